"""95 % confidence intervals, and those of differences.

In: counts, or numbers of one kind for each session. Out: an `Estimate`, whose bounds are None
where so few values cannot give them. Pure, and the same values always give the same interval.

- Share of sessions: Wilson (1927), score interval.
- Mean, or sum over sum, of sessions: bootstrap-t over sessions with a fixed seed (Efron 1982),
  which holds its level for skewed values such as costs better than percentiles do.
- Share of calls: the wider one of that, as calls of one session are alike, and of Wilson's.
- Median and percentiles of independent values: order statistics, by the binomial distribution.
- Percentiles of calls, which are alike within a session: the interval of the share below the
  percentile, from its variance between sessions, turned back into values (Woodruff 1952).
- Difference: from both intervals by the square-and-add rule, which for Wilson's is Newcombe's
  method 10 (1998); for others see Zou and Donner (2008).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from statistics import NormalDist, median

LEVEL = 0.95
Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
REPLICATES = 999
SEED = 20_250_101
MAX_GROUPS = 100
"""More sessions than this are put into so many groups at random, which are drawn instead: the
variance of a mean stays the same and the time does not grow."""
MANY_SESSIONS = 1000
"""From here on sums are as good as normal, and nothing is drawn."""
MIN_SESSIONS = 5
"""Fewer say too little of how sessions differ: with them, intervals miss more often than 5 %."""
MIN_EQUAL = 10
"""So many equal values are taken for a value without variance."""

# Student's t for 95 %, where the expansion below is not exact enough.
_T_OF_FEW = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval. `count`: sessions or calls that it rests on."""

    value: float | None
    low: float | None
    high: float | None
    count: int

    @property
    def has_interval(self) -> bool:
        """Are both bounds known?"""
        return self.low is not None and self.high is not None


def share(hits: int, count: int) -> Estimate:
    """Wilson's interval for `hits` of `count`."""
    if count <= 0:
        return Estimate(None, None, None, 0)
    p, z2 = hits / count, Z * Z
    centre = (p + z2 / (2 * count)) / (1 + z2 / count)
    reach = Z * math.sqrt(p * (1 - p) / count + z2 / (4 * count * count)) / (1 + z2 / count)
    low = 0.0 if hits == 0 else max(0.0, centre - reach)
    high = 1.0 if hits == count else min(1.0, centre + reach)
    return Estimate(p, low, high, count)


def mean(values: Sequence[float]) -> Estimate:
    """The mean of one value a session."""
    return ratio([(value, 1.0) for value in values])


def ratio(parts: Sequence[tuple[float, float]]) -> Estimate:
    """Sum over sum, of one (part, whole) a session: dollars and completed tasks, say.

    With parts that are not negative, neither is the lower bound.
    """
    count = len(parts)
    whole = math.fsum(part[1] for part in parts)
    if whole <= 0:
        return Estimate(None, None, None, count)
    value = math.fsum(part[0] for part in parts) / whole
    if count < MIN_SESSIONS:
        return Estimate(value, None, None, count)
    groups = _groups(parts) if count < MANY_SESSIONS else list(parts)
    columns = _columns(groups)
    error = _standard_error(value, [math.fsum(column) for column in columns], len(groups))
    if error <= 1e-12 * max(1.0, abs(value)):
        bound = value if count >= MIN_EQUAL else None
        return Estimate(value, bound, bound, count)
    if count >= MANY_SESSIONS:
        return _bounded(parts, value, value - Z * error, value + Z * error)
    found = []
    for draw in _draws(len(groups)):
        sums = [sum(draw(column)) for column in columns]
        if sums[1] <= 0:
            continue
        drawn = sums[0] / sums[1]
        drawn_error = _standard_error(drawn, sums, len(groups))
        if drawn_error > 1e-12 * max(1.0, abs(drawn)):
            found.append((drawn - value) / drawn_error)
    found.sort()
    if len(found) < REPLICATES // 2:
        return Estimate(value, None, None, count)
    tail = (1 - LEVEL) / 2
    return _bounded(
        parts, value, value - _at(found, 1 - tail) * error, value - _at(found, tail) * error
    )


def _bounded(
    parts: Sequence[tuple[float, float]], value: float, low: float, high: float
) -> Estimate:
    if all(part[0] >= 0 for part in parts):
        low = max(0.0, low)
    return Estimate(value, min(value, low), max(value, high), len(parts))


def share_of_calls(parts: Sequence[tuple[int, int]]) -> Estimate:
    """Hits over calls, of one (hits, calls) a session. `count` is that of the calls.

    With fewer sessions than `MIN_SESSIONS`, their calls are taken for independent.
    """
    alone = share(sum(part[0] for part in parts), sum(part[1] for part in parts))
    together = ratio([(float(hits), float(calls)) for hits, calls in parts])
    if alone.low is None or alone.high is None or together.low is None or together.high is None:
        return alone
    return Estimate(
        alone.value,
        min(alone.low, together.low),
        min(1.0, max(alone.high, together.high)),
        alone.count,
    )


def middle(values: Sequence[float]) -> Estimate:
    """The median of independent values."""
    ordered = sorted(values)
    if not ordered:
        return Estimate(None, None, None, 0)
    low, high = order_ranks(len(ordered), 0.5)
    return Estimate(
        median(ordered),
        None if low is None else ordered[low - 1],
        None if high is None else ordered[high - 1],
        len(ordered),
    )


def order_ranks(count: int, quantile: float) -> tuple[int | None, int | None]:
    """Ranks (from 1) of the order statistics that bound a quantile with 95 %; None: none does.

    Exact by the binomial distribution for up to 1,000 values, by its normal approximation above.
    """
    tail = (1 - LEVEL) / 2
    if count > 1000:
        reach = Z * math.sqrt(count * quantile * (1 - quantile))
        low = math.floor(count * quantile - reach)
        high = math.ceil(count * quantile + reach) + 1
        return (low if low >= 1 else None, high if high <= count else None)
    low_rank: int | None = None
    high_rank: int | None = None
    below = 0.0  # P(X <= k), X values below the quantile
    for k in range(count):
        below += _binomial(count, k, quantile)
        if below <= tail:
            low_rank = k + 1
        if below >= 1 - tail - 1e-12:
            high_rank = k + 1
            break
    return low_rank, high_rank


def share_below(
    quantile: float, sessions: int, calls: int, variance_sum: float
) -> tuple[float, float] | None:
    """Bounds of the share of calls below a quantile's estimate, within (0, 1); None: too few.

    `variance_sum`: over sessions, the square of (calls below - quantile times calls).
    """
    if sessions < MIN_SESSIONS or calls <= 0:
        return None
    between = sessions / (sessions - 1) * variance_sum / (calls * calls)
    alone = quantile * (1 - quantile) / calls
    reach = student_t(sessions - 1) * math.sqrt(max(between, alone))
    low, high = quantile - reach, quantile + reach
    return (low, high) if low > 0 and high < 1 else None


def difference(a: Estimate, b: Estimate) -> Estimate:
    """B less A. Bounds are None unless both have theirs; `count` is that of the smaller."""
    count = min(a.count, b.count)
    if a.value is None or b.value is None:
        return Estimate(None, None, None, count)
    value = b.value - a.value
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return Estimate(value, None, None, count)
    return Estimate(
        value,
        value - math.hypot(b.value - b.low, a.high - a.value),
        value + math.hypot(b.high - b.value, a.value - a.low),
        count,
    )


@lru_cache(maxsize=256)
def student_t(freedom: int) -> float:
    """The two-sided 95 % quantile of Student's t; within 0.001.

    Abramowitz and Stegun 26.7.5.
    """
    if freedom in _T_OF_FEW:
        return _T_OF_FEW[freedom]
    z, n = Z, freedom
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    g4 = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + g1 / n + g2 / n**2 + g3 / n**3 + g4 / n**4


def _groups(parts: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    if len(parts) <= MAX_GROUPS:
        return list(parts)
    order = list(range(len(parts)))
    random.Random(SEED).shuffle(order)
    tops, bottoms = [0.0] * MAX_GROUPS, [0.0] * MAX_GROUPS
    for place, index in enumerate(order):
        tops[place % MAX_GROUPS] += parts[index][0]
        bottoms[place % MAX_GROUPS] += parts[index][1]
    return list(zip(tops, bottoms, strict=True))


def _columns(groups: Sequence[tuple[float, float]]) -> list[list[float]]:
    """Parts, wholes, their squares and products, each in a list to be added up."""
    return [
        [top for top, _ in groups],
        [bottom for _, bottom in groups],
        [top * top for top, _ in groups],
        [top * bottom for top, bottom in groups],
        [bottom * bottom for _, bottom in groups],
    ]


def _standard_error(value: float, sums: Sequence[float], count: int) -> float:
    """Of a ratio, linearised: from the sums of `_columns`."""
    _, whole, top2, cross, bottom2 = sums
    squares = top2 - 2 * value * cross + value * value * bottom2
    return math.sqrt(max(0.0, squares) * count / (count - 1)) / whole


@lru_cache(maxsize=8)
def _draws(count: int) -> list[Callable[[Sequence[float]], tuple[float, ...]]]:
    """Each takes a sample with replacement. The same for every measure of a set."""
    rng = random.Random(SEED)
    places = range(count)
    return [itemgetter(*rng.choices(places, k=count)) for _ in range(REPLICATES)]


def _at(ordered: Sequence[float], share_of: float) -> float:
    place = share_of * (len(ordered) - 1)
    low = min(len(ordered) - 1, max(0, math.floor(place)))
    high = min(len(ordered) - 1, low + 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _binomial(count: int, k: int, p: float) -> float:
    log = (
        math.lgamma(count + 1)
        - math.lgamma(k + 1)
        - math.lgamma(count - k + 1)
        + k * math.log(p)
        + (count - k) * math.log1p(-p)
    )
    return math.exp(log)
