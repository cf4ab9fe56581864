from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState

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

CHAT = api("/v1/chat/completions")


def chunk(delta: Any = None, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {
        "id": "chatcmpl-B9",
        "object": "chat.completion.chunk",
        "created": 1741570283,
        "model": "gpt-4o-2024-08-06",
        "choices": choices,
        **fields,
    }


def tool(index: int, arguments: str, call_id: str | None = None, name: str | None = None) -> Any:
    call: dict[str, Any] = {"index": index, "function": {"arguments": arguments}}
    if call_id:
        call |= {"id": call_id, "type": "function"}
        call["function"]["name"] = name
    return {"tool_calls": [call]}


USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 45,
    "total_tokens": 1245,
    "prompt_tokens_details": {"cached_tokens": 1024, "cache_write_tokens": 64},
    "completion_tokens_details": {"reasoning_tokens": 20},
}
EVENTS: list[Any] = [
    chunk({"role": "assistant", "content": "", "refusal": None}),
    chunk({"content": "Let me "}),
    chunk({"content": "check — 🐙."}),
    chunk(tool(0, "", "call_a", "read_file")),
    chunk(tool(0, '{"path": ')),
    chunk(tool(0, '"/etc/hosts"}')),
    chunk(tool(1, "", "call_b", "list_dir")),
    chunk(tool(1, "{}")),
    chunk({}, "tool_calls"),
    chunk(usage=USAGE),
    "[DONE]",
]
MESSAGE = {
    "role": "assistant",
    "content": "Let me check — 🐙.",
    "refusal": None,
    "tool_calls": [
        {
            "id": "call_a",
            "type": "function",
            "function": {"name": "read_file", "arguments": '{"path": "/etc/hosts"}'},
        },
        {
            "id": "call_b",
            "type": "function",
            "function": {"name": "list_dir", "arguments": "{}"},
        },
    ],
}


def test_stream() -> None:
    assert decode_events(CHAT, EVENTS) == LlmResponse(
        response_id="chatcmpl-B9",
        model="gpt-4o-2024-08-06",
        usage=Usage(
            input_tokens=1200,
            output_tokens=45,
            cache_read_tokens=1024,
            cache_write_tokens=64,
            reasoning_tokens=20,
        ),
        finish_reason="tool_calls",
        output=(MESSAGE,),
        tool_calls=(
            ToolCall("call_a", "read_file", '{"path": "/etc/hosts"}', 1005),
            ToolCall("call_b", "list_dir", "{}", 1007),
        ),
        first_token_ns=1001,
        chunk_ns=(1001, 1002, 1004, 1005, 1007),
        complete=True,
    )


def test_json_equals_stream() -> None:
    body = {
        "id": "chatcmpl-B9",
        "object": "chat.completion",
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "tool_calls"}],
        "usage": USAGE,
    }
    whole = decode(CHAT, b"\n \n" + json.dumps(body).encode(), head=response(JSON))
    streamed = decode_events(CHAT, EVENTS)
    assert whole == LlmResponse(
        response_id=streamed.response_id,
        model=streamed.model,
        usage=streamed.usage,
        finish_reason=streamed.finish_reason,
        output=streamed.output,
        tool_calls=tuple(
            ToolCall(call.tool_call_id, call.name, call.arguments, 1_000)
            for call in streamed.tool_calls
        ),
        complete=True,
    )


def test_accumulates_as_the_sdk_does() -> None:
    body = sse(EVENTS)
    client = openai.OpenAI(
        api_key="k",
        max_retries=0,
        http_client=openai.DefaultHttpxClient(transport=transport(body)),
    )
    state = ChatCompletionStreamState()
    for part in client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "x"}], stream=True
    ):
        state.handle_chunk(part)
    oracle = state.get_final_completion()
    ours = decode(CHAT, body)
    theirs = oracle.choices[0].message
    message = ours.output[0]
    assert (message["role"], message["content"], message["refusal"]) == (
        theirs.role,
        theirs.content,
        theirs.refusal,
    )
    assert [(call["id"], call["type"], call["function"]) for call in message["tool_calls"]] == [
        (
            call.id,
            call.type,
            {"name": call.function.name, "arguments": call.function.arguments},
        )
        for call in theirs.tool_calls or []
    ]
    assert ours.finish_reason == oracle.choices[0].finish_reason
    assert (ours.response_id, ours.model) == (oracle.id, oracle.model)
    assert oracle.usage is not None
    assert oracle.usage.prompt_tokens_details is not None
    assert oracle.usage.completion_tokens_details is not None
    assert ours.usage == Usage(
        input_tokens=oracle.usage.prompt_tokens,
        output_tokens=oracle.usage.completion_tokens,
        cache_read_tokens=oracle.usage.prompt_tokens_details.cached_tokens,
        cache_write_tokens=oracle.usage.prompt_tokens_details.cache_write_tokens,
        reasoning_tokens=oracle.usage.completion_tokens_details.reasoning_tokens,
    )


@given(cuts=st.lists(st.integers(0, len(sse(EVENTS))), max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_split_gives_the_same(cuts: list[int]) -> None:
    body = sse(EVENTS)
    assert decode(CHAT, body, cuts=cuts) == decode(CHAT, body)
    for label in (None, "text/plain"):  # told apart by its first bytes alone
        assert decode(CHAT, body, cuts=cuts, head=response(label)) == decode(CHAT, body)


@given(events=mutated(EVENTS))
@settings(max_examples=60, deadline=None)
def test_mutations_never_raise(events: list[Any]) -> None:
    decoder = CHAT.response_decoder(response(), LlmRequest(None, True))
    for number, event in enumerate(events):
        decoder.feed(sse([event]), number)
        decoder.snapshot()
    result = decoder.finish(True)
    assert all(isinstance(call.arguments, str) for call in result.tool_calls)


@given(
    documents=mutated(
        [{"id": "c", "choices": [{"message": MESSAGE, "finish_reason": "stop"}], "usage": USAGE}]
    )
)
@settings(max_examples=60, deadline=None)
def test_mutated_json_never_raises(documents: list[Any]) -> None:
    raw = json.dumps(documents[0]).encode()
    decode(CHAT, raw, head=response(JSON))
    decode(CHAT, raw, head=response(JSON, 500))


def test_cut_stream_is_incomplete() -> None:
    result = decode_events(CHAT, EVENTS[:5], complete=False)
    assert not result.complete
    assert result.finish_reason is None
    assert result.usage is None
    assert result.tool_calls == (ToolCall("call_a", "read_file", '{"path": ', 1004),)
    assert not decode_events(CHAT, EVENTS[:5]).complete


def test_end_without_done_is_complete_when_every_choice_finished() -> None:
    assert decode_events(CHAT, EVENTS[:-1]).complete
    assert not decode_events(CHAT, EVENTS[:-1], complete=False).complete
    second = chunk()
    second["choices"] = [{"index": 1, "delta": {"content": "x"}, "finish_reason": None}]
    assert not decode_events(CHAT, [*EVENTS[:-1], second]).complete


def test_joined_inside_a_stream() -> None:
    result = decode_events(CHAT, EVENTS[5:])
    assert [call.name for call in result.tool_calls] == ["list_dir"]
    assert result.output[0]["tool_calls"][0] == {
        "id": None,
        "type": "function",
        "function": {"name": None, "arguments": '"/etc/hosts"}'},
    }
    assert result.complete


def test_snapshot_shows_calls_when_whole() -> None:
    decoder = CHAT.response_decoder(response(), LlmRequest(None, True))
    seen = []
    for event in EVENTS:
        decoder.feed(sse([event]), 7)
        seen.append(len(decoder.snapshot().tool_calls))
    assert seen == [0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2]


def test_several_choices() -> None:
    events = [chunk({"role": "assistant", "content": "a"}), chunk({"content": "b"}, "stop")]
    others = [chunk({"role": "assistant", "content": "c"}), chunk({}, "length")]
    for event in others:
        event["choices"][0]["index"] = 1
    result = decode_events(CHAT, [events[0], *others, events[1], "[DONE]"])
    assert [message["content"] for message in result.output] == ["ab", "c"]
    assert result.finish_reason == "stop"


def test_azure_first_chunk_names_nothing() -> None:
    first = chunk(id="", model="", prompt_filter_results=[{"prompt_index": 0}])
    result = decode_events(CHAT, [first, *EVENTS])
    assert (result.response_id, result.model) == ("chatcmpl-B9", "gpt-4o-2024-08-06")
    assert result.output == (MESSAGE,)


def test_calls_without_index_and_repeated_role() -> None:
    def whole(call_id: str, arguments: Any) -> Any:
        function = {"name": "f", "arguments": arguments}
        return {"role": "assistant", "tool_calls": [{"id": call_id, "function": function}]}

    events = [chunk(whole("a", '{"x":1}')), chunk(whole("b", {"y": 2}), "tool_calls"), "[DONE]"]
    result = decode_events(CHAT, events)
    assert result.output[0]["role"] == "assistant"
    assert [(call.tool_call_id, call.arguments) for call in result.tool_calls] == [
        ("a", '{"x":1}'),
        ("b", '{"y":2}'),
    ]


def test_ids_part_calls_that_share_an_index() -> None:
    events = [
        chunk(tool(0, '{"a":', "x", "f")),
        chunk(tool(0, "1}")),
        chunk(tool(0, "{}", "y", "g")),
    ]
    result = decode_events(CHAT, events)
    assert [(call.name, call.arguments) for call in result.tool_calls] == [
        ("f", '{"a":1}'),
        ("g", "{}"),
    ]


def test_custom_tool_and_legacy_function_call() -> None:
    custom = {
        "tool_calls": [
            {"index": 0, "id": "c", "type": "custom", "custom": {"name": "sql", "input": "sel"}}
        ]
    }
    more = {"tool_calls": [{"index": 0, "custom": {"input": "ect 1"}}]}
    result = decode_events(CHAT, [chunk(custom), chunk(more, "tool_calls"), "[DONE]"])
    assert result.tool_calls == (ToolCall("c", "sql", "select 1", 1001),)
    assert result.output[0]["tool_calls"] == [
        {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    ]
    legacy = [
        chunk({"role": "assistant", "content": None, "function_call": {"name": "f"}}),
        chunk({"function_call": {"arguments": "{}"}}, "function_call"),
        "[DONE]",
    ]
    result = decode_events(CHAT, legacy)
    assert result.tool_calls == (ToolCall(None, "f", "{}", 1001),)
    assert result.output == (
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "f", "arguments": "{}"},
        },
    )


def test_reasoning_and_refusal() -> None:
    events = [
        chunk({"role": "assistant", "content": None, "reasoning_content": "Hm, "}),
        chunk({"reasoning_content": "well."}),
        chunk({"refusal": "I can"}),
        chunk({"refusal": "not."}, "stop"),
        "[DONE]",
    ]
    result = decode_events(CHAT, events)
    assert result.output == (
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "Hm, well.",
            "refusal": "I cannot.",
        },
    )
    assert result.chunk_ns == (1000, 1001, 1002, 1003)
    assert result.error is None


def test_content_in_parts() -> None:
    part = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    events = [chunk({"content": [part]}), chunk({"content": "yes"}, "stop"), "[DONE]"]
    result = decode_events(CHAT, events)
    assert result.output[0]["content"] == [part, {"type": "text", "text": "yes"}]
    assert result.chunk_ns == (1000, 1001)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 5,
                "prompt_cache_hit_tokens": 64,
                "prompt_cache_miss_tokens": 36,
            },
            Usage(input_tokens=100, output_tokens=5, cache_read_tokens=64),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.00125},
            Usage(input_tokens=10, output_tokens=5, cost_usd=0.00125),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "cost": {"total_cost": 0.5}},
            Usage(input_tokens=10, output_tokens=5, cost_usd=0.5),
        ),
        (
            {  # reasoning apart from completion, as the total shows
                "prompt_tokens": 32,
                "completion_tokens": 9,
                "total_tokens": 135,
                "completion_tokens_details": {"reasoning_tokens": 94},
                "cost_in_usd_ticks": 5_000_000,
            },
            Usage(input_tokens=32, output_tokens=103, reasoning_tokens=94, cost_usd=0.0005),
        ),
        ({"prompt_tokens": -1, "completion_tokens": "5", "total_tokens": True}, None),
        ({}, None),
        (7, None),
    ],
)
def test_usage_of_providers(usage: Any, expected: Usage | None) -> None:
    assert decode_events(CHAT, [chunk(usage=usage), "[DONE]"]).usage == expected


def test_groq_usage() -> None:
    groq = {"id": "req_1", "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
    result = decode_events(CHAT, [chunk({}, "stop", x_groq=groq), "[DONE]"])
    assert result.usage == Usage(input_tokens=7, output_tokens=3)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            {
                "error": {
                    "message": "Rate limit reached",
                    "type": "tokens",
                    "param": None,
                    "code": "rate_limit_exceeded",
                }
            },
            LlmError("rate_limit_exceeded", "Rate limit reached"),
        ),
        (
            {"error": {"message": "Oops", "type": "server_error", "code": None}},
            LlmError("server_error", "Oops"),
        ),
        ({"error": {"message": "Provider", "code": 502}}, LlmError("502", "Provider")),
        ({"detail": "Unauthorized"}, LlmError("503", "Unauthorized")),
        (
            {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400},
            LlmError("BadRequestError", "too long"),
        ),
        (
            {"error": {"message": {"detail": [1]}}},
            LlmError("503", '{"error":{"message":{"detail":[1]}}}'),
        ),
    ],
)
def test_http_errors(payload: Any, expected: LlmError) -> None:
    body = json.dumps(payload).encode()
    result = decode(CHAT, body, head=response(JSON, 503))
    assert result.error == expected
    assert result.complete


def test_errors_with_status_200() -> None:
    error = {"error": {"message": "Upstream died", "code": 502}, "choices": []}
    streamed = decode_events(CHAT, [*EVENTS[:3], error])
    assert streamed.error == LlmError("502", "Upstream died")
    assert streamed.output[0]["content"] == "Let me check — 🐙."
    whole = decode(CHAT, json.dumps(error).encode(), head=response(JSON))
    assert whole.error == LlmError("502", "Upstream died")
    assert whole.output == ()


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "LIMIT_BYTES", 4_000)
    result = decode_events(CHAT, [*EVENTS[:1], *[chunk({"content": "x" * 100})] * 99, *EVENTS[8:]])
    assert 0 < len(result.output[0]["content"]) < 4_000
    assert result.usage is not None
    assert not result.complete
    keys = [chunk({"x" * 500 + str(number): None}) for number in range(40)]
    assert len(json.dumps(decode_events(CHAT, keys).output)) < 5_000
    huge = chunk({"content": "x" * 9_000})
    assert not decode_events(CHAT, [EVENTS[0], huge, *EVENTS[8:]]).complete


REQUEST_BODY = {
    "model": "gpt-4o",
    "stream": False,
    "max_completion_tokens": 100,
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "And kind."}]},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "call_a"}]},
        {"role": "tool", "tool_call_id": "call_a", "content": "out"},
        {"role": "tool", "tool_call_id": "call_b", "content": [{"type": "text", "text": "x"}]},
        {"role": "system", "content": "late"},
    ],
}


def test_request() -> None:
    request = CHAT.parse_request(post("/v1/chat/completions"), json.dumps(REQUEST_BODY).encode())
    messages = REQUEST_BODY["messages"]
    assert isinstance(messages, list)
    assert request == LlmRequest(
        request_model="gpt-4o",
        stream=False,
        system=tuple(messages[:2]),
        messages=tuple(messages[2:]),
        tools=({"type": "function", "function": {"name": "f"}},),
        params={"max_completion_tokens": 100},
        tool_results=(ToolResult("call_a", "out", None), ToolResult("call_b", "x", None)),
    )


def test_request_without_model() -> None:
    request = CHAT.parse_request(post("/v1/chat/completions"), b'{"messages":[]}')
    assert request == LlmRequest(request_model=None, stream=False)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"messages":{}}', b'{"prompt":"x"}'])
def test_other_bodies_are_no_requests(body: bytes) -> None:
    assert CHAT.parse_request(post("/v1/chat/completions"), body) is None


@given(documents=mutated([REQUEST_BODY]))
@settings(max_examples=60, deadline=None)
def test_mutated_requests_never_raise(documents: list[Any]) -> None:
    request = CHAT.parse_request(post("/v1/chat/completions"), json.dumps(documents[0]).encode())
    assert request is None or "messages" not in request.params
