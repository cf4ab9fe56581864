from __future__ import annotations

import json
from typing import Any

import openai
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

RESPONSES = api("/v1/responses")

REASONING = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "Look at the file."}],
    "encrypted_content": "gAAAA",
}
TEXT = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [
        {"type": "output_text", "text": "I will read it — 🐙.", "annotations": [], "logprobs": []}
    ],
}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "shell",
    "arguments": '{"command":["cat","a"]}',
}
CUSTOM = {
    "id": "ctc_1",
    "type": "custom_tool_call",
    "status": "completed",
    "call_id": "call_2",
    "name": "apply_patch",
    "input": "*** Begin Patch",
}
OUTPUT: list[dict[str, Any]] = [REASONING, TEXT, CALL, CUSTOM]
USAGE = {
    "input_tokens": 2048,
    "input_tokens_details": {"cached_tokens": 1024, "cache_write_tokens": 128},
    "output_tokens": 60,
    "output_tokens_details": {"reasoning_tokens": 32},
    "total_tokens": 2108,
}


def lifecycle(status: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": f"response.{status}",
        "response": {
            "id": "resp_1",
            "object": "response",
            "created_at": 1741570283,
            "model": "gpt-5-2025-08-07",
            "status": "in_progress" if status == "created" else status,
            "error": None,
            "incomplete_details": None,
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": None,
            **fields,
        },
    }


def delta(name: str, index: int, text: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": f"response.{name}.delta",
        "item_id": OUTPUT[index]["id"],
        "output_index": index,
        "delta": text,
        **fields,
    }


def added(index: int, **fields: Any) -> dict[str, Any]:
    item = {**OUTPUT[index], "status": "in_progress", **fields}
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(index: int) -> dict[str, Any]:
    return {
        "type": "response.output_item.done",
        "output_index": index,
        "item": OUTPUT[index],
    }


_EVENTS: list[dict[str, Any]] = [
    lifecycle("created"),
    lifecycle("in_progress"),
    added(0, summary=[]),
    {
        "type": "response.reasoning_summary_part.added",
        "item_id": "rs_1",
        "output_index": 0,
        "summary_index": 0,
        "part": {"type": "summary_text", "text": ""},
    },
    delta("reasoning_summary_text", 0, "Look at ", summary_index=0),
    delta("reasoning_summary_text", 0, "the file.", summary_index=0),
    {
        "type": "response.reasoning_summary_text.done",
        "item_id": "rs_1",
        "output_index": 0,
        "summary_index": 0,
        "text": "Look at the file.",
    },
    done(0),
    added(1, content=[]),
    {
        "type": "response.content_part.added",
        "item_id": "msg_1",
        "output_index": 1,
        "content_index": 0,
        "part": {"type": "output_text", "text": "", "annotations": [], "logprobs": []},
    },
    delta("output_text", 1, "I will ", content_index=0, logprobs=[]),
    delta("output_text", 1, "read it — 🐙.", content_index=0, logprobs=[]),
    {
        "type": "response.output_text.done",
        "item_id": "msg_1",
        "output_index": 1,
        "content_index": 0,
        "text": "I will read it — 🐙.",
        "logprobs": [],
    },
    done(1),
    added(2, arguments=""),
    delta("function_call_arguments", 2, '{"command":'),
    delta("function_call_arguments", 2, '["cat","a"]}'),
    {
        "type": "response.function_call_arguments.done",
        "item_id": "fc_1",
        "output_index": 2,
        "name": "shell",
        "arguments": CALL["arguments"],
    },
    done(2),
    added(3, input=""),
    delta("custom_tool_call_input", 3, "*** Begin "),
    delta("custom_tool_call_input", 3, "Patch"),
    {
        "type": "response.custom_tool_call_input.done",
        "item_id": "ctc_1",
        "output_index": 3,
        "input": CUSTOM["input"],
    },
    done(3),
    lifecycle("completed", output=OUTPUT, usage=USAGE),
]
EVENTS = [{**event, "sequence_number": number} for number, event in enumerate(_EVENTS)]
EXPECTED_USAGE = Usage(
    input_tokens=2048,
    output_tokens=60,
    cache_read_tokens=1024,
    cache_write_tokens=128,
    reasoning_tokens=32,
)


def test_stream() -> None:
    assert decode_events(RESPONSES, EVENTS) == LlmResponse(
        response_id="resp_1",
        model="gpt-5-2025-08-07",
        usage=EXPECTED_USAGE,
        finish_reason="completed",
        output=tuple(OUTPUT),
        tool_calls=(
            ToolCall("call_1", "shell", '{"command":["cat","a"]}', 1017),
            ToolCall("call_2", "apply_patch", "*** Begin Patch", 1022),
        ),
        first_token_ns=1004,
        chunk_ns=(1004, 1005, 1010, 1011, 1015, 1016, 1020, 1021),
        complete=True,
    )


def test_json_equals_stream() -> None:
    body = lifecycle("completed", output=OUTPUT, usage=USAGE)["response"]
    whole = decode(RESPONSES, json.dumps(body).encode(), head=response(JSON))
    streamed = decode_events(RESPONSES, EVENTS)
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
    with client.responses.stream(model="m", input="x") as stream:
        oracle = stream.get_final_response()
    ours = decode(RESPONSES, body)
    assert (ours.response_id, ours.model, ours.finish_reason) == (
        oracle.id,
        oracle.model,
        oracle.status,
    )
    theirs = [
        item.model_dump(mode="json", exclude_unset=True, exclude={"parsed_arguments"})
        for item in oracle.output
    ]
    for item in theirs:
        for part in item.get("content") or []:
            part.pop("parsed", None)
        item.pop("parsed_arguments", None)
    assert list(ours.output) == theirs
    assert oracle.usage is not None
    assert ours.usage == Usage(
        input_tokens=oracle.usage.input_tokens,
        output_tokens=oracle.usage.output_tokens,
        cache_read_tokens=oracle.usage.input_tokens_details.cached_tokens,
        cache_write_tokens=oracle.usage.input_tokens_details.cache_write_tokens,
        reasoning_tokens=oracle.usage.output_tokens_details.reasoning_tokens,
    )


def test_deltas_alone_give_the_same_text() -> None:
    """What was accumulated before a cut agrees with what the final response repeats."""
    events = [event for event in EVENTS[:-1] if not event["type"].endswith(".done")]
    result = decode_events(RESPONSES, events, complete=False)
    in_progress = [{**item, "status": "in_progress"} for item in OUTPUT]
    assert list(result.output) == in_progress
    assert [(call.name, call.arguments) for call in result.tool_calls] == [
        ("shell", CALL["arguments"]),
        ("apply_patch", CUSTOM["input"]),
    ]
    assert not result.complete
    assert result.finish_reason is None
    assert result.usage is None


def test_empty_final_output_keeps_what_was_streamed() -> None:
    final = lifecycle("completed", usage=USAGE)
    result = decode_events(RESPONSES, [*EVENTS[:-1], final])
    assert list(result.output) == OUTPUT
    assert result.usage == EXPECTED_USAGE
    assert result.complete


@given(cuts=st.lists(st.integers(0, len(sse(EVENTS))), max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_split_gives_the_same(cuts: list[int]) -> None:
    body = sse(EVENTS)
    assert decode(RESPONSES, body, cuts=cuts) == decode(RESPONSES, body)


@given(events=mutated(EVENTS))
@settings(max_examples=60, deadline=None)
def test_mutations_never_raise(events: list[Any]) -> None:
    decoder = RESPONSES.response_decoder(response(), LlmRequest(None, True))
    for number, event in enumerate(events):
        decoder.feed(sse([event], named=False), number)
        decoder.snapshot()
    result = decoder.finish(True)
    assert all(isinstance(call.arguments, str) for call in result.tool_calls)


@given(documents=mutated([lifecycle("completed", output=OUTPUT, usage=USAGE)["response"]]))
@settings(max_examples=60, deadline=None)
def test_mutated_json_never_raises(documents: list[Any]) -> None:
    raw = json.dumps(documents[0]).encode()
    decode(RESPONSES, raw, head=response(JSON))
    decode(RESPONSES, raw, head=response(JSON, 500))


def test_lost_deltas_are_made_good_by_done() -> None:
    result = decode_events(RESPONSES, [*EVENTS[8:11], EVENTS[12]])
    assert result.output[0]["content"][0]["text"] == "I will read it — 🐙."


def test_joined_inside_a_stream() -> None:
    result = decode_events(RESPONSES, EVENTS[11:12])
    assert result.output == (
        {
            "type": "message",
            "id": "msg_1",
            "content": [{"type": "output_text", "text": "read it — 🐙."}],
        },
    )
    assert not result.complete
    assert decode_events(RESPONSES, EVENTS[11:]).output == tuple(OUTPUT)


def test_snapshot_shows_calls_when_whole() -> None:
    decoder = RESPONSES.response_decoder(response(), LlmRequest(None, True))
    seen = []
    for event in EVENTS:
        decoder.feed(sse([event]), 7)
        seen.append(len(decoder.snapshot().tool_calls))
    assert seen == [0] * 17 + [1] * 5 + [2] * 3


def test_incomplete_and_failed() -> None:
    cut = lifecycle("incomplete", incomplete_details={"reason": "max_output_tokens"}, usage=USAGE)
    result = decode_events(RESPONSES, [EVENTS[0], cut])
    assert (result.finish_reason, result.error, result.complete) == (
        "max_output_tokens",
        None,
        True,
    )
    failed = lifecycle("failed", error={"code": "server_error", "message": "Sorry"})
    result = decode_events(RESPONSES, [EVENTS[0], failed])
    assert result.finish_reason == "failed"
    assert result.error == LlmError("server_error", "Sorry")
    assert result.complete


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "rate_limit_exceeded", "message": "Slow", "param": None},
        {
            "type": "error",
            "status": 429,
            "error": {"type": "rate_limit_exceeded", "message": "Slow"},
        },
        {"error": {"code": "rate_limit_exceeded", "message": "Slow"}},
    ],
)
def test_error_inside_a_stream(event: Any) -> None:
    result = decode_events(RESPONSES, [EVENTS[0], event])
    assert result.error == LlmError("rate_limit_exceeded", "Slow")
    assert result.complete


def test_http_error() -> None:
    body = (
        b'{"error":{"message":"Bad key","type":"invalid_request_error","code":"invalid_api_key"}}'
    )
    result = decode(RESPONSES, body, head=response(JSON, 401))
    assert result.error == LlmError("invalid_api_key", "Bad key")
    assert decode(RESPONSES, body, head=response(JSON)).error == result.error


def test_refusal_is_output() -> None:
    refusal = delta("refusal", 1, "No.", content_index=0)
    result = decode_events(RESPONSES, [added(1, content=[]), refusal])
    assert result.output[0]["content"] == [{"type": "refusal", "refusal": "No."}]
    assert result.error is None
    assert result.chunk_ns == (1001,)


def test_hosted_tools_are_tool_calls() -> None:
    items = [
        {"id": "ws_1", "type": "web_search_call", "action": {"type": "search", "query": "q"}},
        {"id": "mcp_1", "type": "mcp_call", "name": "roll", "arguments": "{}"},
        {"id": "sh", "type": "local_shell_call", "call_id": "c", "action": {"command": ["ls"]}},
    ]
    result = decode_events(RESPONSES, [lifecycle("completed", output=items)])
    assert result.tool_calls == (
        ToolCall("ws_1", "web_search", '{"type":"search","query":"q"}', 1000),
        ToolCall("mcp_1", "roll", "{}", 1000),
        ToolCall("c", "local_shell", '{"command":["ls"]}', 1000),
    )


def test_compaction() -> None:
    head = post("/v1/responses/compact")
    assert RESPONSES.matches(head)
    body = {
        "id": "resp_c",
        "object": "response.compaction",
        "output": [{"id": "cmp_1", "type": "compaction", "encrypted_content": "x"}],
        "usage": USAGE,
    }
    result = decode(RESPONSES, json.dumps(body).encode(), head=response(JSON))
    assert result.output == tuple(body["output"])
    assert (result.usage, result.finish_reason, result.complete) == (EXPECTED_USAGE, None, True)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "LIMIT_BYTES", 4_000)
    deltas = [delta("output_text", 1, "x" * 100, content_index=0)] * 100
    result = decode_events(RESPONSES, [EVENTS[0], *deltas, lifecycle("completed", usage=USAGE)])
    assert 0 < len(result.output[0]["content"][0]["text"]) < 4_000
    assert result.usage == EXPECTED_USAGE
    assert not result.complete


REQUEST_BODY: dict[str, Any] = {
    "model": "gpt-5-codex",
    "stream": True,
    "instructions": "You are Codex.",
    "prompt_cache_key": "thread_1",
    "tools": [{"type": "function", "name": "shell"}],
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "function_call", "call_id": "call_1", "name": "shell", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "exit 0"},
        {
            "type": "custom_tool_call_output",
            "call_id": "call_2",
            "output": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}],
        },
        {"type": "local_shell_call_output", "id": "sh", "output": {"content": "x"}},
    ],
}


def test_request() -> None:
    request = RESPONSES.parse_request(post("/v1/responses"), json.dumps(REQUEST_BODY).encode())
    assert request == LlmRequest(
        request_model="gpt-5-codex",
        stream=True,
        system=("You are Codex.",),
        messages=tuple(REQUEST_BODY["input"]),
        tools=({"type": "function", "name": "shell"},),
        params={"prompt_cache_key": "thread_1"},
        tool_results=(
            ToolResult("call_1", "exit 0", None),
            ToolResult("call_2", "a\nb", None),
            ToolResult("sh", '{"content":"x"}', None),
        ),
    )


def test_request_with_text_input() -> None:
    request = RESPONSES.parse_request(post("/v1/responses"), b'{"model":"m","input":"hi"}')
    assert request == LlmRequest(
        request_model="m", stream=False, messages=({"role": "user", "content": "hi"},)
    )


def test_request_that_continues_a_response() -> None:
    body = b'{"model":"m","previous_response_id":"resp_1","input":[]}'
    request = RESPONSES.parse_request(post("/v1/responses"), body)
    assert request is not None
    assert request.params == {"previous_response_id": "resp_1"}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"model":"m"}', b'{"input":7}', b'{"answers":[1]}']
)
def test_other_bodies_are_no_requests(body: bytes) -> None:
    assert RESPONSES.parse_request(post("/v1/responses"), body) is None


@given(documents=mutated([REQUEST_BODY]))
@settings(max_examples=60, deadline=None)
def test_mutated_requests_never_raise(documents: list[Any]) -> None:
    request = RESPONSES.parse_request(post("/v1/responses"), json.dumps(documents[0]).encode())
    assert request is None or "input" not in request.params
