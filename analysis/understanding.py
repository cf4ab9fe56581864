"""Everything that analysis says of one family of sessions, on one page.

    tool calls, processes, files, connections -> tool actions -> said and did, injections, footprint
    calls, turns -> where time went; what fills each request -> compactions, spirals, loops...
    all findings -> outcome

In: a `Family`. Out: findings, and the rows of each derived table. Pure: the same rows always give
the same answers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from analysis.actions import tool_actions
from analysis.agents import agent_rows
from analysis.assistant_texts import assistant_texts
from analysis.compactions import compactions
from analysis.context_use import context_uses
from analysis.derived import (
    AgentRow,
    ContextUseRow,
    FindingRow,
    FootprintRow,
    OutcomeRow,
    ToolActionRow,
    TurnTimeRow,
)
from analysis.escalations import session_escalations
from analysis.footprint import footprint
from analysis.injection import injections
from analysis.leaks import leaks
from analysis.loops import loops
from analysis.outcomes import outcome
from analysis.progress import no_progress
from analysis.runaways import DEFAULT, RunawayLimits, runaways
from analysis.said_and_did import said_and_did
from analysis.session_rows import Family
from analysis.spirals import compaction_spirals
from analysis.steps import Finding, SessionSteps
from analysis.text_chants import text_chants
from analysis.turn_times import turn_times
from collector.conversations import digest


@dataclass(frozen=True, slots=True)
class Understanding:
    """What is said of a family. `rows`: one sequence for each of `analysis.analyst.TABLES`;
    the first are those of `findings`, in the same order."""

    findings: tuple[Finding, ...]
    rows: tuple[Sequence[Any], ...]


def understand(
    family: Family, limits: RunawayLimits = DEFAULT, now_ns: int | None = None
) -> Understanding:
    """Run every detector and measure over a family. `now_ns`: the present, while more may come."""
    together = family.together
    actions: list[ToolActionRow] = tool_actions(together)
    found: list[tuple[str, Finding]] = [  # with the session that it was found in
        (family.root_id, one)
        for one in (
            *said_and_did(together, actions),
            *injections(together, actions),
            *leaks(together),
        )
    ]
    times: list[TurnTimeRow] = []
    uses: list[ContextUseRow] = []
    outcomes: list[OutcomeRow] = []
    footprints: list[FootprintRow] = footprint(together, actions)
    agents: list[AgentRow] = []
    for steps in family.sessions:
        session_id = steps.session.session_id
        of_session = context_uses(steps, family.nodes, family.schemas)
        own = _of_session(steps, family, actions, of_session, limits)
        found += [(session_id, one) for one in own]
        times += turn_times(steps, family.gaps)
        uses += of_session
        outcomes.append(outcome(steps, own, now_ns))
        agents += agent_rows(steps, family.nodes, family.build_ids)
    found = _distinct(found)
    return Understanding(
        findings=tuple(one for _, one in found),
        rows=(
            [finding_row(one, scope) for scope, one in found],
            actions,
            times,
            uses,
            outcomes,
            footprints,
            agents,
        ),
    )


def _of_session(
    steps: SessionSteps,
    family: Family,
    actions: Sequence[ToolActionRow],
    uses: Sequence[ContextUseRow],
    limits: RunawayLimits,
) -> list[Finding]:
    said = assistant_texts(steps.calls, family.nodes)
    return [
        *loops(steps.tools, steps.turns, steps.calls),
        *text_chants(said, steps.turns, steps.calls),
        *compaction_spirals(uses, steps.calls),
        *no_progress(steps.tools, steps.turns, steps.files, steps.calls),
        *runaways(steps, limits),
        *session_escalations(steps, actions),
        *compactions(steps, uses),
    ]


def finding_row(finding: Finding, scope: str) -> FindingRow:
    """The finding as it is stored. Its id is that of its kind, session and first evidence, so that
    a finding that goes on stays the same."""
    first = finding.evidence[0] if finding.evidence else None
    about = (
        (finding.first_at_ns, finding.title)
        if first is None
        else (first.kind, first.id, first.at_ns)
    )
    key = (finding.kind, finding.session_id, about, scope)
    return FindingRow(
        finding_id="f" + digest(repr(key).encode())[:16],
        scope=scope,
        session_id=finding.session_id,
        kind=finding.kind,
        severity=finding.severity,
        first_ns=finding.first_at_ns,
        last_ns=finding.last_at_ns,
        title=finding.title,
        count=finding.count,
        wasted_tokens=finding.wasted_tokens,
        wasted_usd=finding.wasted_usd,
        waited_ms=finding.waited_ms,
        evidence=orjson.dumps(finding.evidence).decode(),
        found_ns=time.time_ns(),
    )


def _distinct(found: list[tuple[str, Finding]]) -> list[tuple[str, Finding]]:
    """Without those that have the same id as an earlier one."""
    by_id = {finding_row(one, scope).finding_id: (scope, one) for scope, one in reversed(found)}
    return list(reversed(by_id.values()))
