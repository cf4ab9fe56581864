"""Two sets of sessions side by side: what differs, by how much, and whether so few can show it.

In: a `Reader` and two `SessionSet`s. Out: a `Comparison`: for each measure both estimates with
95 % intervals, the difference (B less A) with its own, and what that says in words. Sessions that
were not analysed have an unknown outcome and are left out of what rests on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from analysis.intervals import (
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
)
from analysis.reading import Reader, query
from analysis.session_sets import SessionSet

OUTCOMES = ("completed", "failed", "gave_up", "cut_off", "refused")
NOT_ENDED = frozenset({"running", "unknown"})
QUANTILES = (0.5, 0.95)
COUNTED_LOOPS = frozenset(
    {"repeat", "cycle", "error_repeat", "text_chant", "compaction_spiral", "no_progress",
     "agent_detected"}
)  # fmt: skip
"""`analysis.loops.LOOP_KINDS` without polling, which is waiting. Its import alone would take a
tenth of the time that this command has."""
SMALL = 20
"""Sets of fewer sessions than this show only large differences, and the notes say so."""


class SessionFacts(NamedTuple):
    """One session, as `queries/compare_sessions.sql` has it. None: not analysed, or not known."""

    session_id: str
    outcome: str | None
    calls: int | None
    failed_calls: int | None
    tool_calls: int | None
    failed_tool_calls: int | None
    human_escalations: int | None
    loops: int | None
    cost_usd: float | None  # None also when some of its calls have no price
    tokens: int | None
    wall_ns: int | None

    @property
    def ended(self) -> bool:
        """Is it known how the session ended?"""
        return self.outcome is not None and self.outcome not in NOT_ENDED


@dataclass(frozen=True, slots=True)
class ComparedSet:
    """One of the sets. `ended`: sessions whose outcome is known."""

    expression: str
    sessions: int
    ended: int


@dataclass(frozen=True, slots=True)
class Compared:
    """One measure of both sets.

    `unit`: share, count, tokens, usd, ms. `of`: what an estimate's count counts, sessions or
    calls. `significant`: does the interval of the difference leave out 0? None: there is none.
    """

    name: str
    unit: str
    of: str
    a: Estimate
    b: Estimate
    difference: Estimate
    significant: bool | None
    says: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """All measures, and what to keep in mind about them."""

    a: ComparedSet
    b: ComparedSet
    measures: tuple[Compared, ...]
    notes: tuple[str, ...]


def compare(reader: Reader, a: SessionSet, b: SessionSet) -> Comparison:
    """Compare two sets. Raises `UnderglassError` when one is empty."""
    ids = a.session_ids(reader), b.session_ids(reader)
    facts = _facts(reader, sorted({*ids[0], *ids[1]}))
    of_a, of_b = ([facts[one] for one in each] for each in ids)
    measures = [
        _compared(name, unit, of, estimate(of_a), estimate(of_b))
        for name, unit, of, estimate in _MEASURES
    ]
    measures += _timings(reader, *ids)
    sets = [
        ComparedSet(each.text, len(facts), sum(one.ended for one in facts))
        for each, facts in ((a, of_a), (b, of_b))
    ]
    shared = len(set(ids[0]) & set(ids[1]))
    return Comparison(sets[0], sets[1], tuple(measures), _notes(sets, shared, measures))


_Facts = Sequence[SessionFacts]


def _facts(reader: Reader, session_ids: Sequence[str]) -> dict[str, SessionFacts]:
    asked = {"sessions": list(session_ids), "loop_kinds": sorted(COUNTED_LOOPS)}
    found = {row[0]: SessionFacts(*row) for row in reader.rows(query("compare_sessions"), asked)}
    not_analysed = [one.session_id for one in found.values() if one.outcome is None]
    if not_analysed:
        rows = reader.rows(query("compare_calls"), {"sessions": not_analysed})
        for session_id, calls, failed in rows:
            found[session_id] = found[session_id]._replace(calls=calls, failed_calls=failed)
    return found


def _outcome_share(outcome: str) -> Callable[[_Facts], Estimate]:
    def estimate(facts: _Facts) -> Estimate:
        ended = [one for one in facts if one.ended]
        return share(sum(one.outcome == outcome for one in ended), len(ended))

    return estimate


def _asked_a_human(facts: _Facts) -> Estimate:
    known = [one.human_escalations for one in facts if one.human_escalations is not None]
    return share(sum(count > 0 for count in known), len(known))


def _call_errors(facts: _Facts) -> Estimate:
    return share_of_calls([(one.failed_calls or 0, one.calls) for one in facts if one.calls])


def _tool_errors(facts: _Facts) -> Estimate:
    return share_of_calls(
        [(one.failed_tool_calls or 0, one.tool_calls) for one in facts if one.tool_calls]
    )


def _mean_of(value: Callable[[SessionFacts], float | None]) -> Callable[[_Facts], Estimate]:
    return lambda facts: mean([float(v) for v in map(value, facts) if v is not None])


def _cost_per_completed(facts: _Facts) -> Estimate:
    return ratio(
        [
            (one.cost_usd, float(one.outcome == "completed"))
            for one in facts
            if one.ended and one.cost_usd is not None
        ]
    )


def _median_wall(facts: _Facts) -> Estimate:
    return middle([one.wall_ns / 1e6 for one in facts if one.wall_ns is not None])


_MEASURES: tuple[tuple[str, str, str, Callable[[_Facts], Estimate]], ...] = (
    *((f"sessions {name}", "share", "sessions", _outcome_share(name)) for name in OUTCOMES),
    ("sessions that needed a human", "share", "sessions", _asked_a_human),
    ("calls that failed", "share", "calls", _call_errors),
    ("tool calls that failed", "share", "calls", _tool_errors),
    ("loops per session", "count", "sessions", _mean_of(lambda one: one.loops)),
    ("calls per session", "count", "sessions", _mean_of(lambda one: one.calls)),
    ("tool calls per session", "count", "sessions", _mean_of(lambda one: one.tool_calls)),
    ("tokens per session", "tokens", "sessions", _mean_of(lambda one: one.tokens)),
    ("cost per session", "usd", "sessions", _mean_of(lambda one: one.cost_usd)),
    ("cost per completed session", "usd", "sessions", _cost_per_completed),
    ("wall time, median", "ms", "sessions", _median_wall),
)


def _timings(reader: Reader, a: list[str], b: list[str]) -> list[Compared]:
    """Percentiles of calls: time to the first token, and the whole call."""
    asked = {"a": a, "b": b}
    rows = reader.rows(query("compare_timing"), {**asked, "quantiles": list(QUANTILES)})
    at = {(side, measure, quantile): rest for side, measure, quantile, *rest in rows}
    bounds = {
        key: _share_bounds(key[2], sessions, calls, variance)
        for key, (_, sessions, calls, variance) in at.items()
    }
    shares = sorted({each for pair in bounds.values() for each in pair if each is not None})
    values: dict[tuple[str, str, float], float] = {}
    if shares:
        for side, latency, ttft in reader.rows(
            query("compare_bounds"), {**asked, "shares": shares}
        ):
            for measure, found in (("latency", latency), ("ttft", ttft)):
                for each, ms in zip(shares, found or (), strict=False):
                    values[side, measure, each] = ms

    def estimate(side: str, measure: str, quantile: float) -> Estimate:
        key = (side, measure, quantile)
        if key not in at:
            return Estimate(None, None, None, 0)
        low, high = (
            None if each is None else values.get((side, measure, each)) for each in bounds[key]
        )
        ms, _, calls, _ = at[key]
        return Estimate(ms, low, high, calls)

    return [
        _compared(
            f"{name}, {label}",
            "ms",
            "calls",
            estimate("a", measure, quantile),
            estimate("b", measure, quantile),
        )
        for measure, name in (("ttft", "time to first token"), ("latency", "latency"))
        for quantile, label in zip(QUANTILES, ("median", "95th percentile"), strict=True)
    ]


def _share_bounds(
    quantile: float, sessions: int, calls: int, variance_sum: float
) -> tuple[float | None, float | None]:
    """Shares of the calls whose values bound the quantile; None: so few calls do not say."""
    if sessions >= MIN_SESSIONS:
        return share_below(quantile, sessions, calls, variance_sum) or (None, None)
    low, high = order_ranks(calls, quantile)
    last = max(1, calls - 1)
    return (None if low is None else (low - 1) / last, None if high is None else (high - 1) / last)


def _compared(name: str, unit: str, of: str, a: Estimate, b: Estimate) -> Compared:
    apart = difference(a, b)
    significant = None
    if apart.low is not None and apart.high is not None:
        significant = apart.low > 0 or apart.high < 0
    return Compared(name, unit, of, a, b, apart, significant, _says(a, b, apart, significant, of))


def _says(a: Estimate, b: Estimate, apart: Estimate, significant: bool | None, of: str) -> str:
    if a.value is None or b.value is None:
        missing = [side for side, each in (("A", a), ("B", b)) if each.value is None]
        return f"not known of {' and '.join(missing)}"
    counts = f"{a.count} and {b.count} {of}"
    if significant is None:
        return f"{counts} are too few to tell"
    if not significant:
        return f"no difference that {counts} could show"
    return "B is higher" if (apart.value or 0) > 0 else "B is lower"


def _notes(
    sets: Sequence[ComparedSet], shared: int, measures: Sequence[Compared]
) -> tuple[str, ...]:
    notes = []
    if shared:
        notes.append(
            f"the sets share {shared} of their sessions: intervals of differences take sets for "
            "independent, which these are not"
        )
    for side, each in zip("AB", sets, strict=True):
        if each.ended < each.sessions:
            notes.append(
                f"how {each.sessions - each.ended} of {each.sessions} sessions of {side} ended is "
                "not known: rates of outcomes leave them out"
            )
        if each.sessions < MIN_SESSIONS:
            notes.append(
                f"{side} has fewer than {MIN_SESSIONS} sessions: calls of one session are alike, "
                "but so few do not show how much; measures of calls take them for independent"
            )
        elif each.sessions < SMALL:
            notes.append(f"{side} has {each.sessions} sessions: only large differences can show")
    tested = sum(each.significant is not None for each in measures)
    if any(each.significant for each in measures):
        notes.append(
            f"{tested} measures are compared at 95 %: one in twenty differs by chance alone"
        )
    return tuple(notes)
