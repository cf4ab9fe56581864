"""What a session spent for nothing: failed and cut calls, retries, loops, compactions.

In: a session's calls and findings. Out: tokens and dollars, each call counted once. A call that
failed by its HTTP status made no tokens and cost nothing. What is not known is left out of the
sums, which are therefore at least so much.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis.steps import CallStep, Finding, ToolStep

WASTING_KINDS = frozenset(
    {"repeat", "cycle", "error_repeat", "text_chant", "compaction_spiral", "no_progress",
     "compaction"}
)  # fmt: skip
"""Kinds of findings whose calls were for nothing. Of those that overlap in time, one counts."""


@dataclass(frozen=True, slots=True)
class SessionWaste:
    """None: something was wasted, but how much is not known."""

    tokens: int | None
    usd: float | None


@dataclass(slots=True)
class _Stretch:
    """Time during which findings say that work was for nothing."""

    last_ns: int
    tokens: list[int]
    usd: list[float]
    call_ids: set[str]


def session_waste(
    calls: Sequence[CallStep], tools: Iterable[ToolStep], findings: Iterable[Finding]
) -> SessionWaste:
    """The waste of one session. Findings of other kinds, or that do not say, count as none."""
    calls_of: dict[str, set[str]] = {}
    for tool in tools:
        calls_of.setdefault(tool.tool_call_id, set()).add(tool.call_id)
    stretches = _stretches(findings, calls_of)
    counted = set[str]().union(*(stretch.call_ids for stretch in stretches))
    retried = {call.retry_of for call in calls if call.retry_of is not None}
    lost = [
        call
        for call in calls
        if (is_cut(call) or call.status == "error" or call.call_id in retried)
        and call.call_id not in counted
    ]
    tokens = _sum([*map(_tokens, lost), *(max(s.tokens, default=None) for s in stretches)])
    usd = _sum([*map(_usd, lost), *(max(s.usd, default=None) for s in stretches)])
    spent = sum(call.tokens for call in calls if call.tokens is not None)
    paid = sum(call.cost_usd for call in calls if call.cost_usd is not None)
    return SessionWaste(
        None if tokens is None else int(min(tokens, spent)),
        None if usd is None else float(min(usd, paid)),
    )


def is_cut(call: CallStep) -> bool:
    """Did the answer end before its end? What underglass itself lost is no such case."""
    return call.status == "incomplete" and not call.lost_bytes


def _stretches(findings: Iterable[Finding], calls_of: dict[str, set[str]]) -> list[_Stretch]:
    """Findings that overlap in time as one, which is worth the largest of them."""
    wasting = [
        (one.first_at_ns, one)
        for one in findings
        if one.kind in WASTING_KINDS
        and one.first_at_ns is not None
        and (one.wasted_tokens is not None or one.wasted_usd is not None)
    ]
    found: list[_Stretch] = []
    for first_ns, one in sorted(wasting, key=lambda dated: dated[0]):
        if not found or first_ns > found[-1].last_ns:
            found.append(_Stretch(first_ns, [], [], set()))
        stretch = found[-1]
        stretch.last_ns = max(stretch.last_ns, one.last_at_ns or first_ns)
        if one.wasted_tokens is not None:
            stretch.tokens.append(one.wasted_tokens)
        if one.wasted_usd is not None:
            stretch.usd.append(one.wasted_usd)
        for evidence in one.evidence:
            if evidence.kind == "tool":
                stretch.call_ids |= calls_of.get(evidence.id, set())
            elif evidence.kind == "call":
                stretch.call_ids.add(evidence.id)
    return found


def _tokens(call: CallStep) -> int | None:
    return 0 if call.tokens is None and _made_nothing(call) else call.tokens


def _usd(call: CallStep) -> float | None:
    return 0.0 if call.cost_usd is None and _made_nothing(call) else call.cost_usd


def _made_nothing(call: CallStep) -> bool:
    return call.http_status is not None and call.http_status >= 400


def _sum(values: Sequence[float | None]) -> float | None:
    """Of what is known; None when there is something and none of it is known."""
    known = [value for value in values if value is not None]
    return None if values and not known else sum(known)
