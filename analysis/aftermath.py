"""What an agent did after an escalation, and how long a tool call waited to be run.

In: a tool step and the steps, turns and calls of its session that came later; which processes
each tool call started (`ToolActionRow`). Out: an `Evidence` that says what followed; delays.

A call that a human approved in silence looks on the wire as one that nobody was asked about. Only
the time from the model's request to the start of its process can tell them apart, and slow tools
look the same: `approval_delays` measures that time and claims nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from analysis.derived import ToolActionRow
from analysis.effects import shell_command
from analysis.steps import CallStep, Evidence, ToolStep, UserTurn

_TEXT_CHARS = 120


class Aftermath:
    """One session in order of time, asked what came next."""

    def __init__(
        self,
        steps: Iterable[ToolStep],
        turns: Iterable[UserTurn] = (),
        calls: Iterable[CallStep] = (),
    ) -> None:
        self._steps = sorted(steps, key=lambda step: step.requested_ns)
        self._requested = [step.requested_ns for step in self._steps]
        self._turns = sorted(turns, key=lambda turn: turn.at_ns)
        self._turn_times = [turn.at_ns for turn in self._turns]
        self._calls = sorted(calls, key=lambda call: call.started_ns)
        self._call_times = [call.started_ns for call in self._calls]

    def of_step(self, step: ToolStep) -> Evidence | None:
        """What followed the result of a tool call; None while nothing did."""
        if step.result_ns is None:
            return None
        return self._after(step.result_ns, step, step.result_call_id)

    def of_turn(self, turn: UserTurn) -> Evidence | None:
        """What followed a turn by which a human interrupted."""
        before = bisect_left(self._requested, turn.at_ns) - 1
        return self._after(turn.at_ns, self._steps[before] if before >= 0 else None, turn.call_id)

    def _after(
        self, since_ns: int, step: ToolStep | None, answer_id: str | None
    ) -> Evidence | None:
        at = bisect_left(self._requested, since_ns)
        while at < len(self._steps) and step is not None and self._is_beside(step, at):
            at += 1
        answer = self._answer(since_ns, answer_id)
        if at == len(self._steps):
            if answer is None or answer.status == "running":
                return None
            note = "then: no more tool calls: it gave up or was done"
            return Evidence("call", answer.call_id, note, answer.started_ns)
        following = self._steps[at]
        spoke = bisect_left(self._turn_times, following.requested_ns) > bisect_left(
            self._turn_times, since_ns + 1
        )
        note = _what(step, following) + (", after a message of the user" if spoke else "")
        return Evidence("tool", following.tool_call_id, f"then: {note}", following.requested_ns)

    def _is_beside(self, step: ToolStep, at: int) -> bool:
        """Is it a call of the same answer of the model?"""
        return self._steps[at].call_id == step.call_id

    def _answer(self, since_ns: int, answer_id: str | None) -> CallStep | None:
        """The call that carried the result, else the first one after it."""
        at = bisect_left(self._call_times, since_ns)
        for call in self._calls[max(0, at - 1) : at + 2]:
            if call.call_id == answer_id:
                return call
        return self._calls[at] if at < len(self._calls) else None


def approval_delays(
    steps: Iterable[ToolStep], actions: Sequence[ToolActionRow]
) -> dict[tuple[str, str], int]:
    """By (call id, tool call id): nanoseconds from the request to the first process it started.

    Holds an approval, if there was one, and the client's own time. Calls that started no process,
    or one of unknown start, are left out.
    """
    started: dict[tuple[str, str], int] = {}
    for action in actions:
        if action.kind == "process" and action.at_ns is not None:
            key = (action.call_id, action.tool_call_id)
            started[key] = min(action.at_ns, started.get(key, action.at_ns))
    return {
        key: started[key] - step.requested_ns
        for step in steps
        if (key := (step.call_id, step.tool_call_id)) in started
        and started[key] >= step.requested_ns
    }


def _what(step: ToolStep | None, following: ToolStep) -> str:
    if step is not None and following.name == step.name:
        if following.arguments_hash == step.arguments_hash:
            return f"it tried the same {step.name} call again"
        return f"it changed the {step.name} call: {_shown(following)}"
    return f"it went on with {following.name}: {_shown(following)}"


def _shown(step: ToolStep) -> str:
    text = shell_command(step) or step.arguments or "arguments not kept"
    return " ".join(text[: 2 * _TEXT_CHARS].split())[:_TEXT_CHARS]
