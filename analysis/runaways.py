"""Runaways: agents that do not come to an end by themselves.

In: all that is known of one session, and limits. Out: findings of the kinds `runaway_steps`,
`runaway_time`, `runaway_cost` (a turn, from what a user said to the next such, beyond a limit) and
`work_after_done` (the goal was declared done or its tests passed, and the work went on).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from analysis.effects import edits, fails, shell_command
from analysis.markers import markers
from analysis.operations import ANSWERING
from analysis.steps import CallStep, Evidence, Finding, SessionSteps, ToolStep
from analysis.waste import Waste, wasted

RUNAWAY_KINDS = frozenset({"runaway_steps", "runaway_time", "runaway_cost", "work_after_done"})


@dataclass(frozen=True, slots=True)
class RunawayLimits:
    """What one turn may take before it is a runaway; `None` switches a limit off.

    The defaults stand well above what 65 recorded coding runs took, all of which ended by
    themselves: at most 95 steps, 10 minutes and 1.41 dollars.
    """

    steps: int | None = 250  # tool calls
    active_s: float | None = 7200.0  # seconds; pauses count up to MAX_PAUSE_S
    cost_usd: float | None = 10.0
    calls_after_done: int = 3  # calls that ask for tools
    steps_after_solved: int = 20  # tool calls


DEFAULT = RunawayLimits()
CRITICAL_TIMES = 2.0
"""Beyond the limit by this factor it is critical."""
MAX_PAUSE_S = 900.0
"""A longer pause between calls is waiting, for a human or for a long command, and not work."""
MIN_PASSING_RUNS = 3
"""Runs of the tests, all passed and nothing edited since the first: solved, and known to be."""
_ENDS = frozenset({"stop", "end_turn", "completed", "complete"})
_DONE_COMMAND = re.compile(
    r"\s*echo\s+['\"]?(?:COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT|MINI_SWE_AGENT_FINAL_OUTPUT)\b"
)
_MAX_DONE_CHARS = 200
"""A longer answer to "done" is feedback, on which to go on."""
_PASSED = re.compile(
    r"^(?:=+ )?\d+ passed\b(?!.*(?:failed|error))|^test result: ok\.|^OK(?: \(.*\))?\s*$"
    r"|^Tests:\s+\d+ passed, \d+ total|^\s*\d+ passing\b",
    re.MULTILINE,
)
_NOT_PASSED = re.compile(r"\b[1-9]\d* (?:failed|failing|errors?)\b|^FAILED|^--- FAIL", re.MULTILINE)
_RESULT_TAIL = 4000
MAX_LISTED = 30


@dataclass(frozen=True, slots=True)
class _Turn:
    """From what a user said (or the session's beginning) to the next such."""

    calls: tuple[CallStep, ...]
    tools: tuple[ToolStep, ...]


def runaways(session: SessionSteps, limits: RunawayLimits = DEFAULT) -> list[Finding]:
    """The runaways of one session, by turn."""
    found: list[Finding] = []
    for turn in _turns(session):
        found += _beyond(turn, session.session.session_id, limits)
        done = _after_done(turn, limits) or _after_solved(turn, limits)
        if done is not None:
            found.append(done)
    return found


def declares_done(step: ToolStep) -> bool:
    """Does the agent say with this step that its task is done, and nobody objects?"""
    if fails(step):
        return False
    command = shell_command(step)
    if command is not None:
        return _DONE_COMMAND.match(command) is not None
    result = step.result or ""
    return markers().is_tool("done", step.name) and len(result) <= _MAX_DONE_CHARS


def _turns(session: SessionSteps) -> Iterator[_Turn]:
    ends = [*sorted({turn.at_ns for turn in session.turns}), None]
    called = [call.started_ns for call in session.calls]
    asked = [tool.requested_ns for tool in session.tools]
    call = tool = 0
    for end in ends:
        next_call = len(called) if end is None else bisect_left(called, end)
        next_tool = len(asked) if end is None else bisect_left(asked, end)
        if call < next_call or tool < next_tool:
            yield _Turn(session.calls[call:next_call], session.tools[tool:next_tool])
        call, tool = max(call, next_call), max(tool, next_tool)


def _beyond(turn: _Turn, session_id: str, limits: RunawayLimits) -> Iterator[Finding]:
    at = [call.started_ns for call in turn.calls] + [tool.requested_ns for tool in turn.tools]
    evidence = tuple(
        Evidence("call", call.call_id, note, call.started_ns)
        for call, note in zip(
            (turn.calls[0], turn.calls[-1]) if turn.calls else (),
            ("first of the turn", "last so far"),
            strict=False,
        )
    ) or tuple(Evidence("tool", tool.tool_call_id, tool.name) for tool in turn.tools[-1:])

    def finding(kind: str, title: str, value: float, limit: float) -> Finding:
        return Finding(
            kind=kind,
            session_id=session_id,
            severity="critical" if value > CRITICAL_TIMES * limit else "warning",
            first_at_ns=min(at),
            last_at_ns=max(at),
            title=title,
            evidence=evidence,
            count=max(1, len(turn.tools)),
        )

    steps, active_s = len(turn.tools), _active_s(turn)
    cost = sum(call.cost_usd or 0.0 for call in turn.calls)  # what is known of it
    if limits.steps is not None and steps > limits.steps:
        title = f"{steps} tool calls without a word from the user (limit {limits.steps})"
        yield finding("runaway_steps", title, steps, limits.steps)
    if limits.active_s is not None and active_s > limits.active_s:
        minutes, limit = round(active_s / 60), round(limits.active_s / 60)
        title = f"{minutes} minutes of work without a word from the user (limit {limit})"
        yield finding("runaway_time", title, active_s, limits.active_s)
    if limits.cost_usd is not None and cost > limits.cost_usd:
        title = f"${cost:.2f} spent without a word from the user (limit ${limits.cost_usd:.2f})"
        yield finding("runaway_cost", title, cost, limits.cost_usd)


def _active_s(turn: _Turn) -> float:
    active_ns, busy_until = 0, None
    for call in turn.calls:
        ended_ns = max(call.started_ns, call.ended_ns or call.started_ns)
        if busy_until is None:
            busy_until = call.started_ns
        pause_ns = max(0, call.started_ns - busy_until)
        active_ns += min(pause_ns, int(MAX_PAUSE_S * 1e9))
        active_ns += max(0, ended_ns - max(busy_until, call.started_ns))
        busy_until = max(busy_until, ended_ns)
    return active_ns / 1e9


def _after_done(turn: _Turn, limits: RunawayLimits) -> Finding | None:
    """The first declaration after which enough went on; none of work that went on in parallel."""
    declared: list[tuple[int, Evidence]] = []
    busy_until = 0
    for index, call in enumerate(turn.calls):
        ended_ns = call.ended_ns or call.started_ns
        following = turn.calls[index + 1].started_ns if index + 1 < len(turn.calls) else None
        alone = busy_until <= call.started_ns and (following is None or following >= ended_ns)
        if alone and _is_final_answer(call):
            note = "final answer, without tool calls"
            declared.append((ended_ns, Evidence("call", call.call_id, note, ended_ns)))
        busy_until = max(busy_until, ended_ns)
    for tool in turn.tools:
        if declares_done(tool):
            at_ns = tool.result_ns or tool.requested_ns
            note = f"{tool.name}: says that the task is done"
            declared.append((at_ns, Evidence("tool", tool.tool_call_id, note, at_ns)))
    for at_ns, evidence in sorted(declared, key=lambda each: each[0]):
        after = [call for call in turn.calls if call.started_ns >= at_ns and call.retry_of is None]
        working = [call for call in after if call.tool_call_count]
        if len(working) >= limits.calls_after_done:
            title = f"{len(working)} more calls for tools after the task was declared done"
            return _work_after_done(title, evidence, after, len(working))
    return None


def _is_final_answer(call: CallStep) -> bool:
    """An answer of an agent that could have called a tool, and ended its turn instead."""
    return (
        call.status == "ok"
        and call.operation in ANSWERING
        and call.tool_set is not None
        and call.tool_call_count == 0
        and (call.finish_reason or "").lower() in _ENDS
    )


def _after_solved(turn: _Turn, limits: RunawayLimits) -> Finding | None:
    passing: list[tuple[int, ToolStep]] = []
    for number, step in enumerate(turn.tools):
        if edits(step) or _writes_elsewhere(step):
            passing = []
        elif _passes(step):
            passing.append((number, step))
    if len(passing) < MIN_PASSING_RUNS:
        return None
    number, first = passing[0]
    steps_after = len(turn.tools) - number - 1
    if steps_after < limits.steps_after_solved:
        return None
    at_ns = first.result_ns or first.requested_ns
    after = [call for call in turn.calls if call.started_ns >= at_ns]
    evidence = Evidence("tool", first.tool_call_id, f"{first.name}: tests passed", at_ns)
    title = f"{steps_after} more steps after the tests passed, without a change of any file"
    return _work_after_done(title, evidence, after, steps_after, first.session_id)


def _passes(step: ToolStep) -> bool:
    if step.result is None or fails(step) or shell_command(step) is None:
        return False
    tail = step.result[-_RESULT_TAIL:]
    return _PASSED.search(tail) is not None and _NOT_PASSED.search(tail) is None


def _writes_elsewhere(step: ToolStep) -> bool:
    """Does a shell command write a file by redirection, or a tool write one whole?"""
    command = shell_command(step)
    if command is not None:
        return re.search(r"(?<![0-9&<>=-])>\s*(?!&|/dev/null)\S", command) is not None
    return markers().is_tool("write", step.name)


def _work_after_done(
    title: str,
    done: Evidence,
    after: list[CallStep],
    count: int,
    session_id: str | None = None,
) -> Finding:
    waste = wasted((c.call_id for c in after), {c.call_id: c for c in after}) if after else None
    waste = waste or Waste(None, None)
    return Finding(
        kind="work_after_done",
        session_id=after[0].session_id if after else session_id,
        severity="warning",
        first_at_ns=done.at_ns,
        last_at_ns=after[-1].started_ns if after else done.at_ns,
        title=title,
        evidence=(
            done,
            *(Evidence("call", c.call_id, "went on", c.started_ns) for c in after[:MAX_LISTED]),
        ),
        count=count,
        wasted_tokens=waste.tokens,
        wasted_usd=waste.usd,
    )
