"""Steps of a session with defaults that a test overrides by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from analysis.steps import CallStep, SessionStep, SessionSteps, ToolStep

MS = 1_000_000
_CALL = CallStep(
    call_id="call1",
    session_id="s",
    model="claude-sonnet-4-5",
    started_ns=MS,
    input_tokens=1000,
    output_tokens=100,
    provider="anthropic",
    ended_ns=MS + 400_000,
    http_status=200,
    finish_reason="end_turn",
    cost_usd=0.01,
    request_bytes=4000,
    pid=10,
)


def call_step(number: int, **changes: Any) -> CallStep:
    """Call `number`, begun in that millisecond and answered in less than one."""
    started_ns = number * MS
    call = replace(
        _CALL, call_id=f"call{number}", started_ns=started_ns, ended_ns=started_ns + 400_000
    )
    return replace(call, **changes)


def session(
    tools: Iterable[ToolStep] = (), calls: Iterable[CallStep] = (), **parts: Any
) -> SessionSteps:
    """A session `s` of process 10."""
    about = SessionStep("s", "read", "claude-code", "2.1", None, 10, MS)
    return SessionSteps(about, calls=tuple(calls), tools=tuple(tools), **parts)
