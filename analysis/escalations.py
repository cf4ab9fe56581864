"""Where an agent met a human, a rule or another agent, and where it gained privileges.

In: tool steps, user turns and processes. Out: findings whose kind is one of the classes below;
one per tool call, interrupting turn or process. Classes are read off the wire by `markers.toml`:
a silently approved call leaves nothing to read and is not found. `privilege_escalation` comes
from `analysis.privileges`.
"""

from __future__ import annotations

from collections.abc import Iterable

from analysis.markers import Marker, markers
from analysis.privileges import privilege_escalations
from analysis.steps import Evidence, Finding, ProcessStep, Severity, ToolStep, UserTurn

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
ESCALATION_KINDS = frozenset(_CLASSES) | {"privilege_escalation"}

_NOTE_CHARS = 200
_INTERRUPTED = "A human interrupted the agent"


def escalations(
    steps: Iterable[ToolStep],
    turns: Iterable[UserTurn] = (),
    processes: Iterable[ProcessStep] = (),
) -> list[Finding]:
    """Every escalation, by session and time (those of unknown time first)."""
    found: dict[tuple[str, str], Finding] = {}  # some servers number tool calls anew in each call
    denying_calls: set[str] = set()  # requests that already carry a human's refusal
    for step in steps:
        finding = tool_escalation(step)
        if finding is None:
            continue
        found.setdefault((step.call_id, step.tool_call_id), finding)
        if finding.kind in ("human_denied", "plan_rejected") and step.result_call_id:
            denying_calls.add(step.result_call_id)
    interrupts = [
        interruption
        for turn in turns
        if turn.call_id not in denying_calls and (interruption := turn_escalation(turn))
    ]
    everything = [*found.values(), *interrupts, *privilege_escalations(processes)]
    return sorted(everything, key=lambda f: (f.session_id or "", f.first_at_ns or 0))


def tool_escalation(step: ToolStep) -> Finding | None:
    """The escalation that one tool call is, by its result or else by its name."""
    marker: Marker | None = None
    if step.result is not None:
        marker = markers().in_result(step.result, step.name)
    if marker is None or marker.kind not in _CLASSES:
        marker = markers().in_tool_name(step.name, step.arguments)
    if marker is None or marker.kind not in _CLASSES:
        return None
    severity, title = _CLASSES[marker.kind]
    last_ns = step.requested_ns if step.result_ns is None else step.result_ns
    return Finding(
        kind=marker.kind,
        session_id=step.session_id,
        severity=severity,
        first_at_ns=step.requested_ns,
        last_at_ns=last_ns,
        title=title.format(tool=step.name),
        evidence=(Evidence("tool", step.tool_call_id, _note(step, marker)),),
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
        evidence=(Evidence("call", turn.call_id, _one_line(turn.text)),),
    )


def _note(step: ToolStep, marker: Marker) -> str:
    parts = [f"{step.name} ({marker.client} marker)"]
    if step.result_ns is not None:
        waited_s = (step.result_ns - step.requested_ns) / 1e9
        parts.append(f"{waited_s:.1f} s from request to result")
    if step.result is None:
        parts.append("no result seen")
    else:
        parts.append(_one_line(step.result))
    return "; ".join(parts)


def _one_line(text: str) -> str:
    return " ".join(text[: 2 * _NOTE_CHARS].split())[:_NOTE_CHARS]
