"""What Google's SDK makes of its answers, and what the stand-in sent, equal the stored calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import Record, Watched, assert_equals_ledger, python
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
Watch = Callable[..., Watched]
Start = Callable[..., StandIn]
PROGRAM = "google_genai_calls.py"


def output_parts(watched: Watched, call: Record) -> list[dict[str, Any]]:
    rows = watched.rows(
        f"SELECT body FROM messages WHERE call_id = '{call['call_id']}' AND side = 'output'"
    )
    return [part for row in rows for part in row["body"]["parts"]]


def tools_of(watched: Watched, call: Record) -> list[Record]:
    return watched.rows(f"SELECT * FROM tools WHERE call_id = '{call['call_id']}'")


def assert_told(watched: Watched, told: list[dict[str, Any]]) -> None:
    """Field by field, in order."""
    for one, call in zip(told, watched.calls, strict=True):
        assert call["request_model"] == one.get("model", "gemini-2.5-flash")
        if "error" in one:
            assert (call["status"], call["error_type"]) == ("error", one["error"])
            assert call["error_message"] == one["message"]
            continue
        assert (call["status"], call["complete"]) == ("ok", True)
        if "tokens" in one:
            assert (call["operation"], call["input_tokens"]) == ("embeddings", one["tokens"])
            assert output_parts(watched, call) == []
            continue
        assert call["operation"] == "generate_content"
        assert (call["model"], call["response_id"]) == (one["response_model"], one["response_id"])
        assert (call["finish_reason"], call["stream"]) == (one["finish"], one["streamed"])
        assert (call["input_tokens"], call["cache_read_tokens"]) == (one["input"], one["cached"])
        assert call["output_tokens"] == one["said"] + (one["thought"] or 0)
        assert call["reasoning_tokens"] == one["thought"]
        parts = output_parts(watched, call)
        said = [part for part in parts if "text" in part]
        assert "".join(part["text"] for part in said if not part.get("thought")) == one["text"]
        assert "".join(part["text"] for part in said if part.get("thought")) == one["thoughts"]
        assert len(said) == bool(one["text"]) + bool(one["thoughts"])
        asked = [part["functionCall"] for part in parts if "functionCall" in part]
        assert [[each.get("id"), each["name"], each["args"]] for each in asked] == one["calls"]
        assert sum("thoughtSignature" in part for part in parts) == one["signatures"]
        stored = [
            [None if each["tool_call_id"].startswith(call["call_id"]) else each["tool_call_id"],
             each["name"], each["arguments"]]
            for each in tools_of(watched, call)
        ]  # fmt: skip
        assert sorted(stored, key=repr) == sorted(one["calls"], key=repr)


@pytest.mark.parametrize(
    ("how", "provider"),
    [("api", "gcp.gemini"), ("express", "gcp.gemini"), ("vertex", "gcp.gemini")],
)
def test_calls(standin: Start, watched: Watch, how: str, provider: str) -> None:
    """The stand-in's host is nobody's: the provider is the API's own."""
    server = standin("tools", latency_scale=0)
    result = watched(server, python(PROGRAM, how))
    assert result.exit_code == 0, result.stderr
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(told) == 18
    assert_told(result, told)
    assert_equals_ledger(result, server.ledger(at_least=19))
    assert {call["provider"] for call in result.calls} == {provider}
    first = result.rows(
        "SELECT body FROM messages WHERE kind = 'system' AND "
        f"call_id = '{result.calls[0]['call_id']}'"
    )
    assert [part["text"] for part in first[0]["body"]["parts"]] == ["Be brief."]
    assert_results(result)


def assert_results(watched: Watched) -> None:
    """Every call of a conversation has its own result, whether the model gave ids or not."""
    for model in ("gemini-3-pro-preview", "gemini-2.0-flash"):
        tools = watched.rows(
            "SELECT tools.*, calls.session_id FROM tools JOIN calls USING (call_id) "
            f"WHERE request_model = '{model}' AND NOT stream"
        )
        assert len(tools) == 3
        for tool in tools:
            assert tool["result_preview"] == str(tool["arguments"]), tool
            assert tool["result_call_id"] is not None


def test_errors(standin: Start, watched: Watch) -> None:
    server = standin("errors", latency_scale=0)
    result = watched(server, python(PROGRAM, "errors"))
    assert result.exit_code == 0, result.stderr
    told = [json.loads(line) for line in result.stdout.splitlines()]
    failed = [one["error"] for one in told if "error" in one]
    assert failed[:2] == ["RESOURCE_EXHAUSTED", "INTERNAL"]
    assert len(failed) == 3
    ledger = server.ledger(at_least=5)
    assert_equals_ledger(result, ledger)
    assert_told(result, told)


def test_claude_on_vertex(standin: Start, watched: Watch) -> None:
    server = standin("tools", latency_scale=0)
    result = watched(server, python("vertex_claude.py", "plain", "one", "parallel"))
    assert result.exit_code == 0, result.stderr
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert_equals_ledger(result, server.ledger(at_least=6))
    calls = sorted([call["finish_reason"], call["output_tokens"]] for call in result.calls)
    assert calls == sorted(told)
    assert {call["api"] for call in result.calls} == {"anthropic.vertex"}
    assert {call["request_model"] for call in result.calls} == {"claude-sonnet-4@20250514"}


def test_code_assist(standin: Start, watched: Watch) -> None:
    server = standin("tools", latency_scale=0)
    result = watched(server, python("code_assist.py"))
    assert result.exit_code == 0, result.stderr
    assert_equals_ledger(result, server.ledger(at_least=3))
    said = [output_parts(result, call) for call in result.calls]
    for parts in said:
        asked = parts[2]["functionCall"]
        assert parts[0] == {**said[0][0], "thought": True}
        assert parts[1] == {"text": "I will ask the weather service."}
        assert (asked["name"], asked["args"]["city"], len(parts)) == ("get_weather", "Zürich", 3)
    assert {(call["agent"], call["session_id"].rpartition(":")[2]) for call in result.calls} == {
        ("gemini-cli", "0b6c1c6e-session")
    }
    assert [call["stream"] for call in result.calls] == [True, True, False]
