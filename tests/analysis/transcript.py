"""Transcripts of a session, one line a step, for detector tests.

`calls("pytest -q => 1 failed", "user: try again", "Edit {...} => ok")` gives tool steps and user
turns. `name {json} => result` is a tool call; without JSON the line is a Bash command;
`=> !text` marks an error by flag; no `=>` means that no result came.
"""

from __future__ import annotations

import json

from analysis.steps import ToolStep, UserTurn, tool_step

Steps = list[ToolStep | UserTurn]


def transcript(*lines: str, session_id: str = "s") -> Steps:
    """One LLM call per line; times are the line numbers, from 1, in milliseconds."""
    return [_step(line, number, session_id) for number, line in enumerate(lines, start=1)]


def tools(steps: Steps) -> list[ToolStep]:
    return [step for step in steps if isinstance(step, ToolStep)]


def turns(steps: Steps) -> list[UserTurn]:
    return [step for step in steps if isinstance(step, UserTurn)]


def _step(line: str, number: int, session_id: str) -> ToolStep | UserTurn:
    at_ns, call_id = number * 1_000_000, f"call{number}"
    if line.startswith("user: "):
        return UserTurn(session_id, call_id, line.removeprefix("user: "), at_ns)
    call, arrow, result = line.partition(" => ")
    name, brace, arguments = call.partition(" {")
    if not brace:
        name, arguments = "Bash", json.dumps({"command": call})
    return tool_step(
        f"tool{number}",
        name,
        brace.strip() + arguments if brace else arguments,
        result.removeprefix("!") if arrow else None,
        session_id=session_id,
        call_id=call_id,
        is_error=True if result.startswith("!") else None,
        requested_ns=at_ns,
        result_ns=at_ns + 500_000 if arrow else None,
        result_call_id=f"call{number + 1}" if arrow else None,
    )
