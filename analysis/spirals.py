"""Compaction spirals: a context that is full again as soon as it was made smaller.

In: what filled each request (`ContextUseRow`) and the calls. Out: findings of the kind
`compaction_spiral`: compactions with next to no work between them. One that comes after a long
stretch of work is no part of a spiral.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from analysis.derived import ContextUseRow
from analysis.steps import CallStep, Evidence, Finding
from analysis.waste import Calls, wasted

MIN_COMPACTIONS = 3
"""Two close to each other happen after one huge result; agents that spiral do not stop at three
(211 were seen in one session)."""
MAX_CALLS_BETWEEN = 5
"""A context that was just compacted commonly lasts for dozens of calls."""
CRITICAL_COMPACTIONS = 10
MAX_EVIDENCE = 30


def compaction_spirals(
    uses: Iterable[ContextUseRow], calls: Iterable[CallStep] = ()
) -> list[Finding]:
    """The spirals of all sessions, by session, in order of time.

    Wasted are the calls that asked for a compaction, from the second on.
    """
    by_id = {call.call_id: call for call in calls}
    found: list[Finding] = []
    ordered = sorted(uses, key=lambda use: (use.session_id, use.position))
    for _, session in groupby(ordered, key=lambda use: use.session_id):
        spiral: list[ContextUseRow] = []
        calls_since = 0
        asked = False  # the row before asked for a compaction: the next one shows its effect
        for use in session:
            if use.compaction is None or (asked and use.compaction != "request"):
                calls_since += 1
                asked = False
                continue
            if calls_since > MAX_CALLS_BETWEEN:
                found += _finding(spiral, by_id)
                spiral = []
            spiral.append(use)
            calls_since = 0
            asked = use.compaction == "request"
        found += _finding(spiral, by_id)
    return found


def _finding(spiral: list[ContextUseRow], calls: Calls) -> list[Finding]:
    if len(spiral) < MIN_COMPACTIONS:
        return []
    waste = wasted(
        (use.call_id for use in spiral[1:] if use.compaction == "request"),
        calls,
    )
    return [
        Finding(
            kind="compaction_spiral",
            session_id=spiral[0].session_id,
            severity="critical" if len(spiral) >= CRITICAL_COMPACTIONS else "warning",
            first_at_ns=spiral[0].at_ns,
            last_at_ns=spiral[-1].at_ns,
            title=f"The context was compacted {len(spiral)} times, nearly back to back",
            evidence=tuple(
                Evidence("call", use.call_id, f"compaction {number}", use.at_ns)
                for number, use in enumerate(spiral[:MAX_EVIDENCE], start=1)
            ),
            count=len(spiral),
            wasted_tokens=waste.tokens,
            wasted_usd=waste.usd,
        )
    ]
