from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.llm import body as body_module
from collector.llm.model import LlmError, LlmRequest, LlmResponse, ToolCall, ToolResult, Usage
from tests.collector.llm.wire import (
    JSON,
    api,
    decode,
    decode_events,
    mutated,
    post,
    response,
    sse,
    transport,
)

MESSAGES = api("/v1/messages")

EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": "claude-sonnet-4-5-20250929",
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {
                "input_tokens": 21,
                "cache_creation_input_tokens": 1500,
                "cache_read_input_tokens": 30000,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": 500,
                    "ephemeral_1h_input_tokens": 1000,
                },
                "output_tokens": 4,
                "service_tier": "standard",
            },
        },
    },
    {"type": "ping"},
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "thinking", "thinking": "", "signature": ""},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "thinking_delta", "thinking": "List the "},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "thinking_delta", "thinking": "files first."},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "signature_delta", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3h"},
    },
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "text", "text": ""},
    },
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "text_delta", "text": "Let me look at "},
    },
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "text_delta", "text": "that — ünïcode 🐙."},
    },
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {
            "type": "citations_delta",
            "citation": {
                "type": "char_location",
                "cited_text": "that",
                "document_index": 0,
                "document_title": "notes",
                "start_char_index": 0,
                "end_char_index": 4,
            },
        },
    },
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "toolu_01A", "name": "Bash", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": ""},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": '{"command": "ls'},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": ' -la", "timeout": 5}'},
    },
    {"type": "content_block_stop", "index": 2},
    {
        "type": "content_block_start",
        "index": 3,
        "content_block": {"type": "tool_use", "id": "toolu_01B", "name": "TodoRead", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 3,
        "delta": {"type": "input_json_delta", "partial_json": ""},
    },
    {"type": "content_block_stop", "index": 3},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {
            "output_tokens": 89,
            "cache_read_input_tokens": 30001,
            "output_tokens_details": {"thinking_tokens": 12},
        },
    },
    {"type": "message_stop"},
]
CONTENT = [
    {
        "type": "thinking",
        "thinking": "List the files first.",
        "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3h",
    },
    {
        "type": "text",
        "text": "Let me look at that — ünïcode 🐙.",
        "citations": [EVENTS[10]["delta"]["citation"]],
    },
    {
        "type": "tool_use",
        "id": "toolu_01A",
        "name": "Bash",
        "input": {"command": "ls -la", "timeout": 5},
    },
    {"type": "tool_use", "id": "toolu_01B", "name": "TodoRead", "input": {}},
]


def test_stream() -> None:
    assert decode_events(MESSAGES, EVENTS) == LlmResponse(
        response_id="msg_01XFDUDYJgAACzvnptvVoYEL",
        model="claude-sonnet-4-5-20250929",
        usage=Usage(
            input_tokens=21 + 1500 + 30001,
            output_tokens=89,
            cache_read_tokens=30001,
            cache_write_tokens=1500,
            cache_write_1h_tokens=1000,
            reasoning_tokens=12,
        ),
        finish_reason="tool_use",
        output=({"role": "assistant", "content": CONTENT},),
        tool_calls=(
            ToolCall("toolu_01A", "Bash", '{"command": "ls -la", "timeout": 5}', 1016),
            ToolCall("toolu_01B", "TodoRead", "{}", 1019),
        ),
        first_token_ns=1003,
        chunk_ns=(1003, 1004, 1008, 1009, 1014, 1015),
        complete=True,
        service_tier="standard",
    )


def test_json_equals_stream() -> None:
    message = {
        **EVENTS[0]["message"],
        "content": CONTENT,
        "stop_reason": "tool_use",
        "usage": {**EVENTS[0]["message"]["usage"], **EVENTS[-2]["usage"]},
    }
    streamed = decode_events(MESSAGES, EVENTS)
    whole = decode(MESSAGES, json.dumps(message).encode(), head=response(JSON))
    assert whole.usage == streamed.usage
    assert whole.output == streamed.output
    assert [(call.name, json.loads(call.arguments)) for call in whole.tool_calls] == [
        (call.name, json.loads(call.arguments)) for call in streamed.tool_calls
    ]
    assert {call.requested_ns for call in whole.tool_calls} == {1_000}
    assert (whole.response_id, whole.model, whole.finish_reason) == (
        streamed.response_id,
        streamed.model,
        streamed.finish_reason,
    )
    assert (whole.first_token_ns, whole.chunk_ns, whole.complete) == (None, (), True)


def test_accumulates_as_the_sdk_does() -> None:
    body = sse(EVENTS)
    client = anthropic.Anthropic(
        api_key="k",
        max_retries=0,
        http_client=anthropic.DefaultHttpxClient(transport=transport(body)),
    )
    with client.messages.stream(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]
    ) as stream:
        oracle = stream.get_final_message()
    ours = decode(MESSAGES, body)
    assert ours.response_id == oracle.id
    assert ours.model == oracle.model
    assert ours.finish_reason == oracle.stop_reason
    theirs = [block.model_dump(mode="json", exclude_unset=True) for block in oracle.content]
    assert ours.output[0]["content"] == theirs
    usage = oracle.usage
    assert ours.usage is not None
    assert ours.usage.output_tokens == usage.output_tokens
    assert ours.usage.cache_read_tokens == usage.cache_read_input_tokens
    assert ours.usage.cache_write_tokens == usage.cache_creation_input_tokens
    assert ours.usage.input_tokens == (
        usage.input_tokens
        + (usage.cache_read_input_tokens or 0)
        + (usage.cache_creation_input_tokens or 0)
    )


@given(cuts=st.lists(st.integers(0, len(sse(EVENTS))), max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_split_gives_the_same(cuts: list[int]) -> None:
    body = sse(EVENTS)
    assert decode(MESSAGES, body, cuts=cuts) == decode(MESSAGES, body)


@given(events=mutated(EVENTS))
@settings(max_examples=60, deadline=None)
def test_mutations_never_raise(events: list[Any]) -> None:
    decoder = MESSAGES.response_decoder(response(), LlmRequest(None, True))
    for number, event in enumerate(events):
        decoder.feed(sse([event], named=False), number)
        decoder.snapshot()
    result = decoder.finish(True)
    assert all(isinstance(call.arguments, str) for call in result.tool_calls)
    assert len(result.chunk_ns) <= len(events)


@given(documents=mutated([{**EVENTS[0]["message"], "content": CONTENT}]))
@settings(max_examples=60, deadline=None)
def test_mutated_json_never_raises(documents: list[Any]) -> None:
    raw = json.dumps(documents[0]).encode()
    decode(MESSAGES, raw, head=response(JSON))
    decode(MESSAGES, raw, head=response(JSON, 500))


def test_cut_stream_is_incomplete() -> None:
    result = decode_events(MESSAGES, EVENTS[:15], complete=False)
    assert not result.complete
    assert result.finish_reason is None
    assert result.usage == Usage(
        input_tokens=31521,
        output_tokens=None,  # message_start counts only what was there when it was sent
        cache_read_tokens=30000,
        cache_write_tokens=1500,
        cache_write_1h_tokens=1000,
    )
    assert result.output[0]["content"][2]["input"] == '{"command": "ls'
    assert result.tool_calls == (ToolCall("toolu_01A", "Bash", '{"command": "ls', 1014),)


def test_whole_body_without_message_stop_is_incomplete() -> None:
    assert not decode_events(MESSAGES, EVENTS[:-1]).complete


def test_lost_bytes_make_it_incomplete() -> None:
    assert not decode_events(MESSAGES, EVENTS, complete=False).complete


def test_joined_inside_a_stream() -> None:
    result = decode_events(MESSAGES, EVENTS[9:])
    assert result.response_id is None
    assert result.model is None
    assert result.finish_reason == "tool_use"
    assert result.usage == Usage(
        output_tokens=89, cache_read_tokens=30001, reasoning_tokens=12, input_tokens=None
    )
    assert result.output[0]["content"][0]["text"] == "that — ünïcode 🐙."
    assert [call.name for call in result.tool_calls] == ["Bash", "TodoRead"]
    assert decode_events(MESSAGES, EVENTS[15:]).output[0]["content"][0] == {
        "type": "tool_use",
        "input": ' -la", "timeout": 5}',
    }


def test_snapshot_shows_calls_when_whole() -> None:
    decoder = MESSAGES.response_decoder(response(), LlmRequest(None, True))
    seen = []
    for event in EVENTS:
        decoder.feed(sse([event]), 7)
        seen.append(len(decoder.snapshot().tool_calls))
    assert seen == [0] * 16 + [1] * 3 + [2] * 3
    assert not decoder.snapshot().complete


def test_error_inside_a_stream() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    result = decode_events(MESSAGES, [*EVENTS[:9], error])
    assert result.error == LlmError("overloaded_error", "Overloaded")
    assert result.output[0]["content"][1]["text"] == "Let me look at "
    assert result.finish_reason is None
    assert result.complete


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (
            b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"},'
            b'"request_id":"req_1"}',
            JSON,
            LlmError("rate_limit_error", "Slow down"),
        ),
        (b"<html>Bad gateway</html>", "text/html", LlmError("429", "<html>Bad gateway</html>")),
        (b"data center down", "text/plain", LlmError("429", "data center down")),
        (b"", None, LlmError("429", "")),
        (b'{"error":"no"}', None, LlmError("429", "no")),
        (b'[{"error":{"code":429,"message":"Quota"}}]', JSON, LlmError("429", "Quota")),
        (
            b'event: error\ndata: {"type":"error","error":{"type":"x"}}',
            None,
            LlmError("x", '{"type":"error","error":{"type":"x"}}'),
        ),
    ],
)
def test_http_errors(body: bytes, content_type: str | None, expected: LlmError) -> None:
    result = decode(MESSAGES, body, head=response(content_type, 429))
    assert result.error == expected
    assert result.usage is None
    assert result.output == ()


def test_refusal_is_a_finish_reason() -> None:
    delta = {"type": "message_delta", "delta": {"stop_reason": "refusal"}, "usage": {}}
    result = decode_events(MESSAGES, [EVENTS[0], delta, EVENTS[-1]])
    assert result.finish_reason == "refusal"
    assert result.error is None
    assert result.complete


def test_redacted_thinking_and_fallback_model() -> None:
    blocks = [
        {"type": "fallback", "from": {"model": "a"}, "to": {"model": "claude-opus-4"}},
        {"type": "redacted_thinking", "data": "Em0"},
    ]
    events = [
        {"type": "content_block_start", "index": index, "content_block": block}
        for index, block in enumerate(blocks)
    ]
    result = decode_events(MESSAGES, [EVENTS[0], *events, EVENTS[-1]])
    assert result.model == "claude-opus-4"
    assert result.output[0]["content"] == blocks
    assert result.chunk_ns == (1002,)


def test_compaction_block() -> None:
    start = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "compaction", "content": None},
    }
    delta = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "compaction_delta", "content": "What went on."},
    }
    result = decode_events(MESSAGES, [EVENTS[0], start, delta, EVENTS[-1]])
    assert result.output[0]["content"] == [{"type": "compaction", "content": "What went on."}]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "LIMIT_BYTES", 4_000)
    delta = {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "text_delta", "text": "x" * 100},
    }
    result = decode_events(MESSAGES, [EVENTS[0], EVENTS[7], *[delta] * 100, *EVENTS[-2:]])
    assert len(result.output[0]["content"][0]["text"]) < 4_000
    assert result.finish_reason == "tool_use"
    assert result.usage is not None
    assert result.usage.output_tokens == 89
    assert not result.complete
    oversized = decode(MESSAGES, b'{"a":"' + b"x" * 9_000 + b'"}', head=response(JSON))
    assert oversized == LlmResponse()


def test_body_of_another_shape_is_incomplete() -> None:
    assert decode(MESSAGES, b'{"ok":true}', head=response(JSON)) == LlmResponse()
    assert decode(MESSAGES, b"hello, world", head=response("text/plain")) == LlmResponse()


REQUEST_BODY = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 32000,
    "stream": True,
    "temperature": 1,
    "metadata": {"user_id": "user_1_session_2"},
    "system": [
        {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}}
    ],
    "tools": [
        {
            "name": "Bash",
            "input_schema": {"type": "object", "properties": {"cache_control": {"type": "string"}}},
            "cache_control": {"type": "ephemeral"},
        }
    ],
    "messages": [
        {"role": "user", "content": "List the files"},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"cache_control": 1}}
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "is_error": True,
                    "content": [
                        {"type": "text", "text": "a"},
                        {"type": "image", "source": {}},
                        {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}},
                    ],
                },
                {"type": "tool_result", "tool_use_id": "t2", "content": "done"},
                {"type": "tool_result", "tool_use_id": "t3", "cache_control": None},
                {"type": "text", "text": "go on"},
            ],
        },
    ],
}


def test_request() -> None:
    request = MESSAGES.parse_request(post("/v1/messages"), json.dumps(REQUEST_BODY).encode())
    assert request is not None
    assert request.request_model == "claude-sonnet-4-5"
    assert request.stream
    assert request.system == ({"type": "text", "text": "You are Claude Code."},)
    assert request.tools == (
        {
            "name": "Bash",
            "input_schema": {"type": "object", "properties": {"cache_control": {"type": "string"}}},
        },
    )
    assert request.messages[0] == {
        "role": "user",
        "content": [{"type": "text", "text": "List the files"}],
    }
    assert request.messages[1]["content"][0]["input"] == {"cache_control": 1}
    assert "cache_control" not in json.dumps(request.messages[2])
    assert request.params == {
        "max_tokens": 32000,
        "temperature": 1,
        "metadata": {"user_id": "user_1_session_2"},
        "cache_control_count": 3,
    }
    assert request.tool_results == (
        ToolResult("t1", "a\nb", True),
        ToolResult("t2", "done", False),
        ToolResult("t3", "", False),
    )


def test_wandering_markers_leave_messages_equal() -> None:
    marked = {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}
    first = {"model": "m", "messages": [{"role": "user", "content": [marked]}]}
    second = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "hello"},
            {"role": "user", "content": [marked]},
        ],
    }
    one, two = (
        MESSAGES.parse_request(post("/v1/messages"), json.dumps(body).encode())
        for body in (first, second)
    )
    assert one is not None
    assert two is not None
    assert two.messages[:1] == one.messages


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"messages":[]}', b'{"model":"m"}', b'{"model":"m","messages":"x"}'],
)
def test_other_bodies_are_no_requests(body: bytes) -> None:
    assert MESSAGES.parse_request(post("/v1/messages"), body) is None


@given(documents=mutated([REQUEST_BODY]))
@settings(max_examples=60, deadline=None)
def test_mutated_requests_never_raise(documents: list[Any]) -> None:
    request = MESSAGES.parse_request(post("/v1/messages"), json.dumps(documents[0]).encode())
    assert request is None or isinstance(request.params["cache_control_count"], int)


def test_deep_nesting_is_read() -> None:
    deep = b"[" * 900 + b"]" * 900
    body = b'{"model":"m","messages":[{"role":"user","content":' + deep + b"}]}"
    request = MESSAGES.parse_request(post("/v1/messages"), body)
    assert request is not None
    assert len(request.messages) == 1
