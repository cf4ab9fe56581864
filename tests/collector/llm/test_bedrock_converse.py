from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.http.events import ResponseHead
from collector.llm.model import LlmError, LlmRequest, LlmResponse, ToolCall, ToolResult, Usage
from collector.llm.registry import provider_of
from tests.collector.llm.wire import JSON, REQUEST, api, decode, mutated, post, response
from underglass.demo.event_stream import event, exception

EVENT_STREAM = "application/vnd.amazon.eventstream"
MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PATH = "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0"
CONVERSE = api(f"{PATH}/converse")
USAGE = {
    "inputTokens": 12,
    "outputTokens": 45,
    "totalTokens": 1_157,
    "cacheReadInputTokens": 1_000,
    "cacheWriteInputTokens": 100,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 60}, {"ttl": "5m", "inputTokens": 40}],
}
EVENTS: list[tuple[str, Any]] = [
    ("messageStart", {"role": "assistant", "p": "abcd"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Hm"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "m."}}}),
    (
        "contentBlockDelta",
        {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "c2ln"}}},
    ),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "Let me "}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "look — 🐙."}}),
    ("contentBlockStop", {"contentBlockIndex": 1}),
    (
        "contentBlockStart",
        {
            "contentBlockIndex": 2,
            "start": {"toolUse": {"toolUseId": "tooluse_1", "name": "read_file"}},
        },
    ),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"path": '}}}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '"/a"}'}}}),
    ("contentBlockStop", {"contentBlockIndex": 2}),
    ("messageStop", {"stopReason": "tool_use"}),
    ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 900}}),
]
CONTENT = [
    {"reasoningContent": {"reasoningText": {"text": "Hmm.", "signature": "c2ln"}}},
    {"text": "Let me look — 🐙."},
    {"toolUse": {"toolUseId": "tooluse_1", "name": "read_file", "input": {"path": "/a"}}},
]
COUNTED = Usage(
    input_tokens=1_112,
    output_tokens=45,
    cache_read_tokens=1_000,
    cache_write_tokens=100,
    cache_write_1h_tokens=60,
)


def stream(events: list[tuple[str, Any]]) -> bytes:
    return b"".join(event(name, json.dumps(payload).encode()) for name, payload in events)


def request(path: str, body: Any) -> LlmRequest | None:
    return CONVERSE.parse_request(post(path), json.dumps(body).encode())


def test_stream() -> None:
    decoder = CONVERSE.response_decoder(response(EVENT_STREAM), REQUEST)
    for number, (name, payload) in enumerate(EVENTS):
        decoder.feed(event(name, json.dumps(payload).encode()), 1_000 + number)
    assert decoder.finish(True) == LlmResponse(
        usage=COUNTED,
        finish_reason="tool_use",
        output=({"role": "assistant", "content": CONTENT},),
        tool_calls=(ToolCall("tooluse_1", "read_file", '{"path": "/a"}', 1_011),),
        first_token_ns=1_001,
        chunk_ns=(1_001, 1_002, 1_005, 1_006, 1_009, 1_010),
        complete=True,
    )


def test_json_equals_stream() -> None:
    body = {
        "output": {"message": {"role": "assistant", "content": CONTENT}},
        "stopReason": "tool_use",
        "usage": USAGE,
        "metrics": {"latencyMs": 900},
    }
    whole = decode(CONVERSE, json.dumps(body).encode(), head=response(JSON))
    assert whole == LlmResponse(
        usage=COUNTED,
        finish_reason="tool_use",
        output=({"role": "assistant", "content": CONTENT},),
        tool_calls=(ToolCall("tooluse_1", "read_file", '{"path":"/a"}', 1_000),),
        complete=True,
    )


@given(st.lists(st.integers(1, 3_000), max_size=8))
def test_any_split(cuts: list[int]) -> None:
    body, head = stream(EVENTS), response(EVENT_STREAM)
    whole = decode(CONVERSE, body, head=head)
    assert decode(CONVERSE, body, head=head, cuts=cuts, at=lambda _: 1_000) == whole


def test_a_stream_that_is_cut() -> None:
    cut = decode(CONVERSE, stream(EVENTS[:10]), head=response(EVENT_STREAM), complete=False)
    assert not cut.complete
    assert cut.output[0]["content"][2]["toolUse"]["input"] == '{"path": '
    assert cut.tool_calls == (ToolCall("tooluse_1", "read_file", '{"path": ', 1_000),)
    assert (cut.finish_reason, cut.usage) == (None, None)


def test_an_exception_inside_a_stream() -> None:
    body = stream(EVENTS[:7]) + exception("throttlingException", b'{"message":"Too many tokens"}')
    broken = decode(CONVERSE, body, head=response(EVENT_STREAM))
    assert broken.error == LlmError("throttlingException", "Too many tokens")
    assert broken.output[0]["content"][1] == {"text": "Let me look — 🐙."}


@pytest.mark.parametrize(
    ("header", "body", "error"),
    [
        (
            "ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/",
            {"message": "The provided model identifier is invalid."},
            LlmError("ValidationException", "The provided model identifier is invalid."),
        ),
        ("ThrottlingException", {"Message": "Slow"}, LlmError("ThrottlingException", "Slow")),
        (
            None,
            {"__type": "com.amazon.coral#UnrecognizedClientException", "message": "no"},
            LlmError("UnrecognizedClientException", "no"),
        ),
        (None, {"message": "no"}, LlmError("403", "no")),
    ],
)
def test_error_bodies(header: str | None, body: Any, error: LlmError) -> None:
    named = () if header is None else (("x-amzn-errortype", header),)
    head = ResponseHead(2, 403, "", "1.1", (("content-type", JSON), *named))
    assert decode(CONVERSE, json.dumps(body).encode(), head=head).error == error


def test_a_prompt_router_names_the_model() -> None:
    router = {"promptRouter": {"invokedModelId": "arn:aws:bedrock:us-east-1:1:x"}}
    events = [*EVENTS[:-1], ("metadata", {"usage": USAGE, "trace": router})]
    found = decode(CONVERSE, stream(events), head=response(EVENT_STREAM))
    assert found.model == "arn:aws:bedrock:us-east-1:1:x"


def test_citations_results_and_redacted_reasoning() -> None:
    events: list[tuple[str, Any]] = [
        (
            "contentBlockDelta",
            {"contentBlockIndex": 0, "delta": {"reasoningContent": {"redactedContent": "eHg="}}},
        ),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "Cited."}}),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"citation": {"title": "T"}}}),
        (
            "contentBlockStart",
            {"contentBlockIndex": 2, "start": {"toolResult": {"toolUseId": "t"}}},
        ),
        (
            "contentBlockDelta",
            {"contentBlockIndex": 2, "delta": {"toolResult": [{"text": "found"}]}},
        ),
        (
            "contentBlockDelta",
            {"contentBlockIndex": 2, "delta": {"toolResult": [{"json": {"n": 1}}]}},
        ),
    ]
    found = decode(CONVERSE, stream(events), head=response(EVENT_STREAM))
    assert found.output[0]["content"] == [
        {"reasoningContent": {"redactedContent": "eHg="}},
        {"citationsContent": {"content": [{"text": "Cited."}], "citations": [{"title": "T"}]}},
        {"toolResult": {"toolUseId": "t", "content": [{"text": "found"}, {"json": {"n": 1}}]}},
    ]


def test_request() -> None:
    point = {"cachePoint": {"type": "default"}}
    spec = {"toolSpec": {"name": "read_file", "inputSchema": {"json": {"type": "object"}}}}
    results = [
        {
            "toolResult": {
                "toolUseId": "tooluse_1",
                "content": [{"text": "a"}, {"json": {"b": 1}}, {"image": {"format": "png"}}],
                "status": "error",
            }
        },
        {"toolResult": {"toolUseId": "tooluse_2", "content": [], "status": "success"}},
        {"toolResult": {"toolUseId": "tooluse_3", "content": [{"text": "c"}]}},
    ]
    found = request(
        f"{PATH}/converse-stream",
        {
            "system": [{"text": "Be brief."}, point],
            "messages": [
                {"role": "user", "content": [{"text": "Hi"}, point]},
                {"role": "user", "content": results},
            ],
            "toolConfig": {"tools": [spec, point], "toolChoice": {"auto": {}}},
            "inferenceConfig": {"maxTokens": 100},
        },
    )
    assert found == LlmRequest(
        request_model=MODEL,
        stream=True,
        system=({"text": "Be brief."},),
        messages=(
            {"role": "user", "content": [{"text": "Hi"}]},
            {"role": "user", "content": results},
        ),
        tools=(spec,),
        params={
            "toolConfig": {"toolChoice": {"auto": {}}},
            "inferenceConfig": {"maxTokens": 100},
            "cache_point_count": 3,
        },
        tool_results=(
            ToolResult("tooluse_1", 'a\n{"b":1}', True),
            ToolResult("tooluse_2", "", False),
            ToolResult("tooluse_3", "c", None),
        ),
    )


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/model/amazon.nova-pro-v1:0/converse", "amazon.nova-pro-v1:0"),
        (
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2F"
            "eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/"
            "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        (
            "/model/arn:aws:bedrock:us-east-1:1:application-inference-profile/abc/converse",
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc",
        ),
    ],
)
def test_the_path_names_the_model(path: str, model: str) -> None:
    found = request(path, {"messages": []})
    assert found is not None
    assert (found.request_model, found.stream) == (model, False)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"messages": 1}', b"\xff"])
def test_no_request(body: bytes) -> None:
    assert CONVERSE.parse_request(post(f"{PATH}/converse"), body) is None


def test_provider() -> None:
    head = post(f"{PATH}/converse", "bedrock-runtime.us-east-1.amazonaws.com")
    assert provider_of(head, CONVERSE) == "aws.bedrock"


@given(mutated([{"name": name, "payload": payload} for name, payload in EVENTS]))
def test_mutated_streams_never_raise(events: list[Any]) -> None:
    body = b"".join(
        event(
            one["name"] if isinstance(one.get("name"), str) else "contentBlockDelta",
            json.dumps(one.get("payload")).encode(),
        )
        for one in events
        if isinstance(one, dict)
    )
    decoder = CONVERSE.response_decoder(response(EVENT_STREAM), REQUEST)
    decoder.feed(body, 1)
    decoder.snapshot()
    decoder.finish(True)


@given(
    mutated(
        [
            {
                "output": {"message": {"role": "assistant", "content": CONTENT}},
                "stopReason": "tool_use",
                "usage": USAGE,
            }
        ]
    )
)
def test_mutated_bodies_never_raise(bodies: list[Any]) -> None:
    for body in bodies:
        decode(CONVERSE, json.dumps(body).encode(), head=response(JSON))


@given(
    mutated(
        [
            {
                "system": [{"text": "a"}, {"cachePoint": {}}],
                "messages": [{"role": "user", "content": [{"toolResult": {"toolUseId": "t"}}]}],
                "toolConfig": {"tools": [{"toolSpec": {}}]},
            }
        ]
    )
)
def test_mutated_requests_never_raise(bodies: list[Any]) -> None:
    for body in bodies:
        request(f"{PATH}/converse", body)
