"""Where an agent met a human, a rule or another agent, and where it gained strength or privileges.

In: tool steps, user turns, calls, processes and changes of credentials. Out: findings whose kind
is one of the classes below; one per tool call, interrupting turn, stronger model or chain of
processes. Classes are read off the wire by `markers.toml`: a silently approved call leaves
nothing to read and is not found (see `analysis.aftermath.approval_delays`).
`privilege_escalation` comes from `analysis.privileges`, `model_escalation` from
`analysis.model_escalations`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from analysis.aftermath import Aftermath, approval_delays
from analysis.derived import ToolActionRow
from analysis.markers import Marker, markers
from analysis.model_escalations import model_escalations
from analysis.privileges import privilege_escalations
from analysis.steps import (
    CallStep,
    Evidence,
    Finding,
    ProcessStep,
    SessionSteps,
    Severity,
    ToolStep,
    UserTurn,
)

HUMAN_ESCALATION_CLASSES = frozenset(
    {"human_denied", "human_asked", "plan_approved", "plan_rejected", "handoff_human"}
)
"""The classes that count towards the human-escalation rate."""

_CLASSES: dict[str, tuple[Severity, str]] = {
    "human_denied": ("warning", "A human refused {tool}"),
    "human_asked": ("info", "The agent asked a human through {tool}"),
    "plan_approved": ("info", "A human approved the agent's plan"),
    "plan_rejected": ("warning", "A human rejected the agent's plan"),
    "policy_denied": ("warning", "A policy refused {tool}"),
    "classifier_denied": ("warning", "A safety classifier refused {tool}"),
    "infra_failed": ("warning", "Asking for permission to use {tool} failed"),
    "handoff_agent": ("info", "The agent handed over to another agent through {tool}"),
    "handoff_human": ("warning", "The agent handed over to a human through {tool}"),
}
ESCALATION_KINDS = frozenset(_CLASSES) | {"model_escalation", "privilege_escalation"}

_NOTE_CHARS = 200
_INTERRUPTED = "A human interrupted the agent"


def session_escalations(
    steps: SessionSteps, actions: Sequence[ToolActionRow] = ()
) -> list[Finding]:
    """Every escalation of one session, or of a family taken together, by time.

    `actions`, where they are known, add to a finding how long its tool call waited before it ran.
    Processes of other sessions in the same tree are told of in these.
    """
    own = {steps.session.session_id, *(call.session_id for call in steps.calls)}
    privileges = (
        finding
        for finding in privilege_escalations(steps.processes, steps.privileges)
        if finding.session_id in own
    )
    delays = approval_delays(steps.tools, actions)
    return _by_time(
        [
            *_of_conversation(steps.tools, steps.turns, steps.calls, delays),
            *model_escalations(steps.calls),
            *privileges,
        ]
    )


def escalations(
    steps: Iterable[ToolStep],
    turns: Iterable[UserTurn] = (),
    processes: Iterable[ProcessStep] = (),
) -> list[Finding]:
    """Every escalation of any number of sessions, by session and time (unknown times first)."""
    tools: dict[str, list[ToolStep]] = {}
    said: dict[str, list[UserTurn]] = {}
    for step in steps:
        tools.setdefault(step.session_id, []).append(step)
    for turn in turns:
        said.setdefault(turn.session_id, []).append(turn)
    found = [
        finding
        for session_id in {**tools, **said}
        for finding in _of_conversation(tools.get(session_id, ()), said.get(session_id, ()))
    ]
    return _by_time([*found, *privilege_escalations(processes)])


def _by_time(found: list[Finding]) -> list[Finding]:
    return sorted(found, key=lambda f: (f.session_id or "", f.first_at_ns or 0))


def _of_conversation(
    steps: Sequence[ToolStep],
    turns: Sequence[UserTurn],
    calls: Sequence[CallStep] = (),
    delays: Mapping[tuple[str, str], int] | None = None,
) -> list[Finding]:
    after = Aftermath(steps, turns, calls)
    found: dict[tuple[str, str], Finding] = {}  # some servers number tool calls anew in each call
    denying_calls: set[str] = set()  # requests that already carry a human's refusal
    for step in steps:
        finding = tool_escalation(step)
        if finding is None:
            continue
        key = (step.call_id, step.tool_call_id)
        if key not in found:
            delay_ns = (delays or {}).get(key)
            found[key] = _followed(finding, _delay(step, delay_ns), after.of_step(step))
        if finding.kind in ("human_denied", "plan_rejected") and step.result_call_id:
            denying_calls.add(step.result_call_id)
    interrupts = [
        _followed(interruption, after.of_turn(turn))
        for turn in turns
        if turn.call_id not in denying_calls and (interruption := turn_escalation(turn))
    ]
    return [*found.values(), *interrupts]


def tool_escalation(step: ToolStep) -> Finding | None:
    """The escalation that one tool call is, by its result or else by its name.

    `waited_ms` is from the model's request to the request that carried the result: where one
    answer made many tool calls, the client may have held this result for the others.
    """
    marker: Marker | None = None
    if step.result is not None:
        marker = markers().in_result(step.result, step.name)
    if marker is None or marker.kind not in _CLASSES:
        marker = markers().in_tool_name(step.name, step.arguments)
    if marker is None or marker.kind not in _CLASSES:
        return None
    severity, title = _CLASSES[marker.kind]
    last_ns = step.requested_ns if step.result_ns is None else step.result_ns
    waited_ns = None if step.result_ns is None else max(0, step.result_ns - step.requested_ns)
    return Finding(
        kind=marker.kind,
        session_id=step.session_id,
        severity=severity,
        first_at_ns=step.requested_ns,
        last_at_ns=last_ns,
        title=title.format(tool=step.name),
        evidence=(
            Evidence("tool", step.tool_call_id, _note(step, marker, waited_ns), step.requested_ns),
        ),
        waited_ms=None if waited_ns is None else waited_ns / 1e6,
    )


def turn_escalation(turn: UserTurn) -> Finding | None:
    """A human's interruption, which the client writes into the conversation as user text."""
    marker = markers().in_user_text(turn.text)
    if marker is None or marker.kind not in _CLASSES:
        return None
    return Finding(
        kind=marker.kind,
        session_id=turn.session_id,
        severity=_CLASSES[marker.kind][0],
        first_at_ns=turn.at_ns,
        last_at_ns=turn.at_ns,
        title=_INTERRUPTED,
        evidence=(Evidence("call", turn.call_id, _one_line(turn.text), turn.at_ns),),
    )


def _followed(finding: Finding, *more: Evidence | None) -> Finding:
    known = tuple(evidence for evidence in more if evidence is not None)
    return replace(finding, evidence=(*finding.evidence, *known)) if known else finding


def _delay(step: ToolStep, delay_ns: int | None) -> Evidence | None:
    if delay_ns is None:
        return None
    note = f"its program started {delay_ns / 1e9:.1f} s after the request"
    return Evidence("tool", step.tool_call_id, note, step.requested_ns + delay_ns)


def _note(step: ToolStep, marker: Marker, waited_ns: int | None) -> str:
    parts = [f"{step.name} ({marker.client} marker)"]
    if waited_ns is not None:
        parts.append(f"{waited_ns / 1e9:.1f} s from request to result")
    if step.result is None:
        parts.append("no result seen")
    else:
        parts.append(_one_line(step.result))
    return "; ".join(parts)


def _one_line(text: str) -> str:
    return " ".join(text[: 2 * _NOTE_CHARS].split())[:_NOTE_CHARS]
