"""Stand-stills: many steps that bring nothing new and change nothing.

In: tool steps, user turns and file events. Out: findings of the kind `no_progress`. This is for
wandering among known results in no fixed order; what comes round in a fixed order is said by
`analysis.loops` and not again here.

A step brings something new when its tool never before in the session gave that result (compared
without times, ids and the like), when it edited a file, when a process of the session wrote a
file while it ran, or when nobody can know: a call never made before whose result is (nearly)
empty may have changed anything. Waits and calls without a result count neither way.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

from analysis.effects import edits, fails, waits
from analysis.loops import in_order, loops
from analysis.steps import CallStep, Evidence, FileStep, Finding, ToolStep, UserTurn
from analysis.waste import wasted

MIN_STEPS = 20
"""The longest such stretch in 205 recorded runs (3,338 steps, docs/detectors.md) has 8."""
CRITICAL_STEPS = 50
MIN_TELLING_CHARS = 40
"""A shorter result ("ok", "", "done") does not tell two effects apart."""
MAX_EVIDENCE_STEPS = 30


@dataclass(slots=True)
class _Session:
    """What was seen of a session, and the steps since something new came."""

    written_ns: list[int]
    seen: set[tuple[str, ...]] = field(default_factory=set)
    idle: list[ToolStep] = field(default_factory=list)


def no_progress(
    steps: Iterable[ToolStep],
    turns: Iterable[UserTurn] = (),
    files: Iterable[FileStep] = (),
    calls: Iterable[CallStep] = (),
) -> list[Finding]:
    """The stand-stills of all sessions, by the time of their end. All their steps are wasted.

    `files`: those of the sessions' processes; without them only edits by tools are known.
    """
    by_id = {call.call_id: call for call in calls}
    written: dict[str | None, list[int]] = {}
    for file in files:
        if file.writes:
            written.setdefault(file.session_id, []).extend({file.first_ns, file.last_ns})
    sessions: dict[str, _Session] = {}
    stretches: list[list[ToolStep]] = []
    for step in in_order(steps, turns):
        session = sessions.get(step.session_id)
        if session is None:
            times = sorted(written.get(step.session_id, ()))
            session = sessions[step.session_id] = _Session(times)
        if isinstance(step, UserTurn) or _brings_something(step, session):
            if len(session.idle) >= MIN_STEPS:
                stretches.append(session.idle)
            session.idle = []
        elif step.result_hash is not None and not waits(step):
            session.idle.append(step)
    stretches += [each.idle for each in sessions.values() if len(each.idle) >= MIN_STEPS]
    found = []
    for stretch in stretches:
        if _is_a_loop(stretch):
            continue
        waste = wasted((step.call_id for step in stretch), by_id)
        found.append(
            Finding(
                kind="no_progress",
                session_id=stretch[0].session_id,
                severity="critical" if len(stretch) >= CRITICAL_STEPS else "warning",
                first_at_ns=stretch[0].requested_ns,
                last_at_ns=stretch[-1].requested_ns,
                title=f"{len(stretch)} steps brought no new result and changed no file",
                evidence=tuple(
                    Evidence("tool", step.tool_call_id, f"{step.name}: nothing new")
                    for step in stretch[:MAX_EVIDENCE_STEPS]
                ),
                count=len(stretch),
                wasted_tokens=waste.tokens,
                wasted_usd=waste.usd,
            )
        )
    return found


def _brings_something(step: ToolStep, session: _Session) -> bool:
    if step.result_hash is None:
        return False
    result = (step.name, step.result_hash)
    call = (step.name, step.arguments_hash, step.result_hash)
    # Without the text of a result it may be one of those that tell nothing.
    telling = step.result is not None and len(step.result.strip()) >= MIN_TELLING_CHARS
    new = (result if telling or fails(step) else call) not in session.seen
    session.seen.update((result, call))
    return new or edits(step) or _wrote(step, session.written_ns)


def _wrote(step: ToolStep, written_ns: list[int]) -> bool:
    at = bisect_left(written_ns, step.requested_ns)
    return at < len(written_ns) and written_ns[at] <= (step.result_ns or step.requested_ns)


def _is_a_loop(stretch: list[ToolStep]) -> bool:
    """Is more than half of the stretch one loop, or several?"""
    looping = [(finding.first_at_ns or 0, finding.last_at_ns or 0) for finding in loops(stretch)]
    inside = sum(
        any(first <= step.requested_ns <= last for first, last in looping) for step in stretch
    )
    return 2 * inside > len(stretch)
