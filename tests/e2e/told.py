"""What a watched program tells of its own calls, held against what was stored.

A program prints a JSON line a call: its request id, and of `text`, `thinking`, `tool_calls`
(id, name, arguments), `finish_reason`, `usage`, `model`, `response_id` and `error` (type,
message) those that its SDK made of the response.
"""

from __future__ import annotations

import json
from typing import Any

from analysis.message_parts import message_parts
from tests.e2e.conftest import Watched

_FIELDS = ("api", "stream", "request_model", "model", "response_id", "finish_reason")


def assert_equals_told(watched: Watched, at_least: int) -> None:
    """Every call that the program tells of is stored as it tells, and no other is stored."""
    told = [json.loads(line) for line in watched.stdout.splitlines()]
    calls = {call["provider_request_id"]: call for call in watched.calls}
    assert len(told) == len(calls) == len(watched.calls) >= at_least
    tools: dict[str, list[Any]] = {}
    for tool in watched.tools:
        entry = [tool["tool_call_id"], tool["name"], tool["arguments"]]
        tools.setdefault(tool["call_id"], []).append(entry)
    for one in told:
        call = calls[one["request_id"]]
        for field in _FIELDS:
            if field in one:
                assert call[field] == one[field], (field, one)
        for name, tokens in one.get("usage", {}).items():
            assert call[f"{name}_tokens"] == tokens, (name, one)
        if "tool_calls" in one:
            stored = sorted(tools.get(call["call_id"], []), key=lambda tool: str(tool[0]))
            assert stored == sorted(one["tool_calls"], key=lambda tool: str(tool[0]))
        if "error" in one:
            assert call["status"] == "error"
            assert [call["error_type"], call["error_message"]] == one["error"]
        else:
            assert (call["status"], call["error_type"]) == ("ok", None)
        for kind, field in (("text", "text"), ("thinking", "thinking")):
            if field in one:
                assert _said(watched, call["call_id"], kind) == one[field]


def _said(watched: Watched, call_id: str, kind: str) -> str:
    rows = watched.rows(
        f"SELECT body FROM messages WHERE call_id = '{call_id}' AND side = 'output'"
    )
    parts = [part for row in rows for part in message_parts(row["body"])]
    return "".join(part.text for part in parts if part.kind == kind)
