from __future__ import annotations

import json
from typing import Any

import cohere
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.llm.model import LlmError, LlmRequest, LlmResponse, ToolCall, ToolResult, Usage
from collector.llm.registry import provider_of
from tests.collector.llm.wire import (
    JSON,
    SSE,
    api,
    decode,
    decode_events,
    mutated,
    post,
    response,
    sse,
)

CHAT = api("/v2/chat")
USAGE = {
    "billed_units": {"input_tokens": 37, "output_tokens": 28},
    "tokens": {"input_tokens": 913, "output_tokens": 83},
    "cached_tokens": 16,
}
COUNTED = Usage(input_tokens=37, output_tokens=28, cache_read_tokens=16)


def content(index: int, **fields: str) -> Any:
    return {
        "type": "content-delta",
        "index": index,
        "delta": {"message": {"content": fields}},
    }


def start(index: int, **fields: str) -> Any:
    return {
        "type": "content-start",
        "index": index,
        "delta": {"message": {"content": fields}},
    }


def call(kind: str, index: int, calls: Any = None) -> Any:
    delta = {} if calls is None else {"delta": {"message": {"tool_calls": calls}}}
    return {"type": f"tool-call-{kind}", "index": index, **delta}


EVENTS: list[Any] = [
    {
        "type": "message-start",
        "id": "29f14a5a",
        "delta": {"message": {"role": "assistant", "content": [], "tool_plan": ""}},
    },
    {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I will "}}},
    {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "look."}}},
    call(
        "start",
        0,
        {"id": "get_1", "type": "function", "function": {"name": "get", "arguments": ""}},
    ),
    call("delta", 0, {"function": {"arguments": '{"city"'}}),
    call("delta", 0, {"function": {"arguments": ': "Rome"}'}}),
    call("end", 0),
    start(0, type="thinking", thinking=""),
    content(0, thinking="Hmm."),
    {"type": "content-end", "index": 0},
    start(1, type="text", text=""),
    content(1, text="It is "),
    content(1, text="warm — 🐙."),
    {"type": "content-end", "index": 1},
    {
        "type": "citation-start",
        "index": 0,
        "delta": {"message": {"citations": {"start": 6, "end": 10, "text": "warm"}}},
    },
    {"type": "citation-end", "index": 0},
    {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": USAGE}},
]
MESSAGE = {
    "role": "assistant",
    "tool_calls": [
        {
            "id": "get_1",
            "type": "function",
            "function": {"name": "get", "arguments": '{"city": "Rome"}'},
        }
    ],
    "tool_plan": "I will look.",
    "content": [
        {"type": "thinking", "thinking": "Hmm."},
        {"type": "text", "text": "It is warm — 🐙."},
    ],
    "citations": [{"start": 6, "end": 10, "text": "warm"}],
}


def test_stream() -> None:
    assert decode_events(CHAT, EVENTS) == LlmResponse(
        response_id="29f14a5a",
        usage=COUNTED,
        finish_reason="TOOL_CALL",
        output=(MESSAGE,),
        tool_calls=(ToolCall("get_1", "get", '{"city": "Rome"}', 1_006),),
        first_token_ns=1_001,
        chunk_ns=(1_001, 1_002, 1_004, 1_005, 1_008, 1_011, 1_012),
        complete=True,
    )


def test_json_equals_stream() -> None:
    body = {"id": "29f14a5a", "message": MESSAGE, "finish_reason": "TOOL_CALL", "usage": USAGE}
    streamed = decode_events(CHAT, EVENTS)
    assert decode(CHAT, json.dumps(body).encode(), head=response(JSON)) == LlmResponse(
        response_id="29f14a5a",
        usage=COUNTED,
        finish_reason="TOOL_CALL",
        output=(MESSAGE,),
        tool_calls=(ToolCall("get_1", "get", '{"city": "Rome"}', 1_000),),
        complete=True,
    )
    assert streamed.output == (MESSAGE,)


def test_reads_what_the_sdk_reads() -> None:
    """The SDK hands out events; added up as its documentation does, they are what is stored."""
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, content=sse(EVENTS), headers={"content-type": SSE})
    )
    client = cohere.ClientV2(api_key="k", httpx_client=httpx.Client(transport=transport))
    said = plan = arguments = ""
    events: Any = client.chat_stream(
        model="command-a-03-2025", messages=[cohere.UserChatMessageV2(content="x")]
    )
    for event in events:
        if event.type == "content-delta":
            said += event.delta.message.content.text or ""
        elif event.type == "tool-plan-delta":
            plan += event.delta.message.tool_plan
        elif event.type == "tool-call-delta":
            arguments += event.delta.message.tool_calls.function.arguments
        elif event.type == "message-end":
            end = event.delta
    ours = decode(CHAT, sse(EVENTS))
    (message,) = ours.output
    assert message["content"][1]["text"] == said
    assert message["tool_plan"] == plan
    assert ours.tool_calls[0].arguments == arguments
    assert ours.finish_reason == end.finish_reason
    assert ours.usage is not None
    assert (ours.usage.input_tokens, ours.usage.output_tokens, ours.usage.cache_read_tokens) == (
        end.usage.billed_units.input_tokens,
        end.usage.billed_units.output_tokens,
        end.usage.cached_tokens,
    )


@given(st.lists(st.integers(1, 3_000), max_size=8))
def test_any_split(cuts: list[int]) -> None:
    body = sse(EVENTS)
    assert decode(CHAT, body, cuts=cuts, at=lambda _: 1_000) == decode(CHAT, body)


def test_tokens_where_none_are_billed() -> None:
    body = {"message": {"role": "assistant"}, "usage": {"tokens": {"input_tokens": 3.0}}}
    found = decode(CHAT, json.dumps(body).encode(), head=response(JSON))
    assert found.usage == Usage(input_tokens=3)


def test_joined_in_the_middle() -> None:
    found = decode_events(CHAT, EVENTS[12:])
    assert found.output[0]["content"] == [{"type": "text", "text": "warm — 🐙."}]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"id": "x", "message": "invalid api token"}, LlmError("401", "invalid api token")),
        ({"data": 1}, LlmError("401", '{"data":1}')),
    ],
)
def test_error_bodies(body: Any, error: LlmError) -> None:
    found = decode(CHAT, json.dumps(body).encode(), head=response(JSON, 401))
    assert found.error == error


def test_an_error_ends_a_stream() -> None:
    end = {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "out of memory"}}
    found = decode_events(CHAT, [*EVENTS[:3], end])
    assert found.error == LlmError("error", "out of memory")
    assert found.finish_reason == "ERROR"


def test_request() -> None:
    tool = {"type": "function", "function": {"name": "get", "parameters": {"type": "object"}}}
    documents = [
        {"type": "document", "document": {"data": "warm"}},
        {"type": "document", "document": {"data": {"celsius": 20}}},
        {"type": "text", "text": "today"},
    ]
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [], "tool_plan": "p"},
        {"role": "tool", "tool_call_id": "get_1", "content": documents},
        {"role": "tool", "tool_call_id": "get_2", "content": "plain"},
    ]
    body = {
        "model": "command-a-03-2025",
        "stream": True,
        "messages": [{"role": "system", "content": "Be brief."}, *messages],
        "tools": [tool],
        "temperature": 0.3,
    }
    assert CHAT.parse_request(post("/v2/chat"), json.dumps(body).encode()) == LlmRequest(
        request_model="command-a-03-2025",
        stream=True,
        system=({"role": "system", "content": "Be brief."},),
        messages=tuple(messages),
        tools=(tool,),
        params={"temperature": 0.3},
        tool_results=(
            ToolResult("get_1", 'warm\n{"celsius":20}\ntoday', None),
            ToolResult("get_2", "plain", None),
        ),
    )


@pytest.mark.parametrize("body", [b"", b"{}", b'{"model": "m"}', b'{"messages": []}', b"[1]"])
def test_no_request(body: bytes) -> None:
    assert CHAT.parse_request(post("/v2/chat"), body) is None


def test_provider() -> None:
    assert provider_of(post("/v2/chat", "api.cohere.com"), CHAT) == "cohere"


@given(mutated(EVENTS))
def test_mutated_streams_never_raise(events: list[Any]) -> None:
    decode_events(CHAT, events)


@given(mutated([{"id": "x", "message": MESSAGE, "finish_reason": "COMPLETE", "usage": USAGE}]))
def test_mutated_bodies_never_raise(bodies: list[Any]) -> None:
    for body in bodies:
        decode(CHAT, json.dumps(body).encode(), head=response(JSON))
