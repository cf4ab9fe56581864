"""Intervals against published values, and how often they hold what they should: by simulation."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import pytest

from analysis.intervals import (
    MIN_EQUAL,
    MIN_SESSIONS,
    Estimate,
    difference,
    mean,
    middle,
    order_ranks,
    ratio,
    share,
    share_below,
    share_of_calls,
    student_t,
)

RUNS = 300


def held(
    draw: Callable[[random.Random], Estimate], truth: float, runs: int = RUNS, seed: int = 1
) -> float:
    """The share of simulated intervals that hold the truth."""
    rng = random.Random(seed)
    found = [draw(rng) for _ in range(runs)]
    assert all(each.has_interval for each in found)
    return sum((each.low or 0) <= truth <= (each.high or 0) for each in found) / runs


def test_wilson_by_the_book() -> None:
    """Newcombe 1998, table I: 81/263, 15/148, 0/20, 1/29."""
    for hits, count, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = share(hits, count)
        assert found.low == pytest.approx(low, abs=5e-5)
        assert found.high == pytest.approx(high, abs=5e-5)
    assert share(0, 0) == Estimate(None, None, None, 0)


def test_newcombe_by_the_book() -> None:
    """Newcombe 1998, method 10: 56/70 less 48/80; 9/10 less 3/10; 10/10 less 0/10."""
    for a, b, low, high in (
        ((48, 80), (56, 70), 0.0524, 0.3339),
        ((3, 10), (9, 10), 0.1705, 0.8090),
        ((0, 10), (10, 10), 0.6075, 1.0),
    ):
        found = difference(share(*a), share(*b))
        assert found.low == pytest.approx(low, abs=5e-5)
        assert found.high == pytest.approx(high, abs=5e-5)


@pytest.mark.parametrize(("count", "p"), [(12, 0.1), (12, 0.5), (60, 0.05), (300, 0.3)])
def test_shares_hold(count: int, p: float) -> None:
    def draw(rng: random.Random) -> Estimate:
        return share(sum(rng.random() < p for _ in range(count)), count)

    assert held(draw, p, runs=3000) >= 0.93


def test_differences_of_shares_hold() -> None:
    def draw(rng: random.Random) -> Estimate:
        a = share(sum(rng.random() < 0.3 for _ in range(15)), 15)
        return difference(a, share(sum(rng.random() < 0.5 for _ in range(25)), 25))

    assert held(draw, 0.2, runs=2000) >= 0.93


def normal(rng: random.Random) -> float:
    return rng.gauss(5, 2)


def skewed(rng: random.Random) -> float:
    return rng.lognormvariate(0, 0.8)


@pytest.mark.parametrize("count", [6, 20, 60])
def test_means_hold(count: int) -> None:
    def of(draw: Callable[[random.Random], float]) -> Callable[[random.Random], Estimate]:
        return lambda rng: mean([draw(rng) for _ in range(count)])

    assert held(of(normal), 5) >= 0.93
    assert held(of(skewed), math.exp(0.32)) >= 0.89  # skewed and few: no method does much better


def test_differences_of_means_hold() -> None:
    def draw(rng: random.Random) -> Estimate:
        a = mean([skewed(rng) for _ in range(30)])
        return difference(a, mean([skewed(rng) + 1 for _ in range(40)]))

    assert held(draw, 1.0) >= 0.93


def test_medians_hold() -> None:
    def draw(rng: random.Random) -> Estimate:
        return middle([skewed(rng) for _ in range(25)])

    assert held(draw, 1.0) >= 0.93


def test_shares_of_calls_that_are_alike_within_sessions_hold() -> None:
    def parts(rng: random.Random) -> list[tuple[int, int]]:
        drawn = []
        for _ in range(30):
            calls, rate = rng.randint(5, 60), rng.betavariate(1, 9)
            drawn.append((sum(rng.random() < rate for _ in range(calls)), calls))
        return drawn

    assert held(lambda rng: share_of_calls(parts(rng)), 0.1) >= 0.92
    # Calls taken for independent claim too much:
    assert held(lambda rng: share(*map(sum, zip(*parts(rng), strict=True))), 0.1) < 0.85


def test_percentiles_of_calls_that_are_alike_within_sessions_hold() -> None:
    def draw(rng: random.Random) -> Estimate:
        """The median over calls of sessions that are fast or slow as a whole."""
        sessions = []
        for _ in range(40):
            pace = rng.gauss(0, 0.5)
            sessions.append([rng.gauss(pace, 1) for _ in range(30)])
        values = sorted(value for one in sessions for value in one)
        median = values[len(values) // 2]
        spread = sum((sum(v <= median for v in one) - 0.5 * len(one)) ** 2 for one in sessions)
        bounds = share_below(0.5, len(sessions), len(values), spread)
        assert bounds is not None
        low, high = (values[int(bound * (len(values) - 1))] for bound in bounds)
        return Estimate(median, low, high, len(values))

    assert held(draw, 0.0) >= 0.92


def test_order_statistics() -> None:
    """Conover, Practical Nonparametric Statistics, 3.2: n = 16 and 30, median."""
    assert order_ranks(5, 0.5) == (None, None)
    assert order_ranks(6, 0.5) == (1, 6)
    assert order_ranks(16, 0.5) == (4, 13)
    assert order_ranks(30, 0.5) == (10, 21)
    low, high = order_ranks(50, 0.95)
    assert (low is not None, high) == (True, None)
    exact, approximate = order_ranks(1000, 0.5), order_ranks(1001, 0.5)
    assert exact == pytest.approx(approximate, abs=2)


def test_students_t() -> None:
    for freedom, expected in ((1, 12.706), (4, 2.776), (5, 2.5706), (10, 2.2281), (30, 2.0423)):
        assert student_t(freedom) == pytest.approx(expected, abs=1e-3)


def test_few_values_give_no_interval() -> None:
    few = [1.0, 2.0, 3.0, 4.0][: MIN_SESSIONS - 1]
    assert mean(few) == Estimate(2.5, None, None, 4)
    assert not middle(few).has_interval
    assert mean([]) == Estimate(None, None, None, 0)
    assert not mean([2.0] * (MIN_EQUAL - 1)).has_interval
    assert mean([2.0] * MIN_EQUAL) == Estimate(2.0, 2.0, 2.0, MIN_EQUAL)
    assert share_of_calls([(1, 8), (0, 12)]) == share(1, 20)
    apart = difference(mean(few), mean([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    assert (apart.value, apart.has_interval) == (1.0, False)


def test_a_ratio_is_of_the_sums() -> None:
    parts = [(2.0, 1.0), (3.0, 0.0), (4.0, 1.0), (1.0, 0.0), (2.0, 1.0), (3.0, 1.0)]
    found = ratio(parts)
    assert found.value == 15 / 4
    assert ratio([(1.0, 0.0)] * 20).value is None


def test_equal_values_give_equal_intervals_and_many_are_quick() -> None:
    rng = random.Random(3)
    values: Sequence[float] = [skewed(rng) for _ in range(10_000)]
    assert mean(values) == mean(values)
    some = values[:500]
    assert mean(some) == mean(list(some))
    few, many = mean(values[:900]), mean(values[:1100])  # drawn, and not
    assert few.high is not None
    assert many.high is not None
    width, other = few.high - (few.low or 0), many.high - (many.low or 0)
    assert width == pytest.approx(other, rel=0.35)
