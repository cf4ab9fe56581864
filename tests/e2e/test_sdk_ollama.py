"""What Ollama's SDK makes of its answers, and what the stand-in sent, equal the stored calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import APIS, Record, Watched, assert_equals_ledger, python
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
Watch = Callable[..., Watched]
Start = Callable[..., StandIn]


def output(watched: Watched, call: Record) -> list[dict[str, Any]]:
    rows = watched.rows(
        f"SELECT body FROM messages WHERE call_id = '{call['call_id']}' AND side = 'output'"
    )
    return [row["body"] for row in rows]


def assert_told(watched: Watched, told: list[dict[str, Any]]) -> None:
    """Field by field, in order."""
    for one, call in zip(told, watched.calls, strict=True):
        assert call["provider"] == "ollama"
        if "error" in one:
            assert call["status"] == "error"
            assert call["error_message"] in one["error"]  # the SDK may give the whole body
            continue
        assert (call["status"], call["complete"]) == ("ok", True)
        assert call["model"] == one["model"]
        if "tokens" in one:
            assert (call["operation"], call["input_tokens"]) == ("embeddings", one["tokens"])
            assert output(watched, call) == []
            continue
        assert (call["operation"], call["stream"]) == (one["operation"], one["streamed"])
        assert (call["input_tokens"], call["output_tokens"]) == (one["input"], one["output"])
        assert call["finish_reason"] == one["finish"]
        [message] = output(watched, call)
        assert message["content"] == one["text"]
        assert message.get("thinking", "") == one["thoughts"]
        asked = [each["function"] for each in message.get("tool_calls", ())]
        assert [[each["name"], each["arguments"]] for each in asked] == one["calls"]
        stored = watched.rows(f"SELECT * FROM tools WHERE call_id = '{call['call_id']}'")
        found = [[each["name"], each["arguments"]] for each in stored]
        assert sorted(found, key=repr) == sorted(one["calls"], key=repr)


def test_calls(standin: Start, watched: Watch) -> None:
    server = standin("tools", latency_scale=0)
    result = watched(server, python("ollama_calls.py", "tools"))
    assert result.exit_code == 0, result.stderr
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(told) == 18
    assert_told(result, told)
    assert_equals_ledger(result, server.ledger(at_least=19))
    tools = result.rows(
        "SELECT tools.* FROM tools JOIN calls ON calls.call_id = result_call_id "
        "ORDER BY tools.tool_call_id"
    )
    assert len(tools) == 3  # by ids that the SDK does not send back
    assert {tool["result_preview"] for tool in tools} == {str(tool["arguments"]) for tool in tools}
    assert all(tool["result_preview"] == str(tool["arguments"]) for tool in tools)


def test_errors(standin: Start, watched: Watch) -> None:
    server = standin("errors", latency_scale=0)
    result = watched(server, python("ollama_calls.py", "errors"))
    assert result.exit_code == 0, result.stderr
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["error"] for one in told if "error" in one][1:] == ["Overloaded"]
    assert_told(result, told)
    refused, broken, whole = (record for record in server.ledger(at_least=3) if record.api in APIS)
    seen = result.calls
    assert [call["error_type"] for call in seen] == [refused.error_type, "error", None]
    assert [call["http_status"] for call in seen] == [529, 200, 200]
    assert [call["response_bytes"] for call in seen] == [
        record.response_bytes for record in (refused, broken, whole)
    ]
    assert (seen[2]["finish_reason"], seen[2]["status"]) == (whole.finish_reason, "ok")
