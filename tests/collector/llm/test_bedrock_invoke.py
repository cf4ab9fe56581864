from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given

from collector.http.events import ResponseHead
from collector.llm.api import ResponseDecoder
from collector.llm.model import LlmError, LlmRequest, LlmResponse, ToolCall, Usage
from tests.collector.llm.test_anthropic_messages import EVENTS as ANTHROPIC_EVENTS
from tests.collector.llm.wire import JSON, api, decode, mutated, post, response
from underglass.demo.event_stream import event, exception

EVENT_STREAM = "application/vnd.amazon.eventstream"
INVOKE = api("/model/m/invoke")
METRICS = {
    "inputTokenCount": 20,
    "outputTokenCount": 7,
    "cacheReadInputTokenCount": 100,
    "cacheWriteInputTokenCount": 3,
    "invocationLatency": 900,
    "firstByteLatency": 300,
}
MEASURED = Usage(input_tokens=123, output_tokens=7, cache_read_tokens=100, cache_write_tokens=3)
CLAUDE = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hi"}],
}
NOVA = {
    "schemaVersion": "messages-v1",
    "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
    "inferenceConfig": {"maxTokens": 10},
}
CHAT = {"messages": [{"role": "user", "content": "Hi"}], "max_completion_tokens": 10}


def request(body: Any, path: str = "/model/m/invoke-with-response-stream") -> LlmRequest:
    found = INVOKE.parse_request(post(path), json.dumps(body).encode())
    assert found is not None
    return found


def chunk(payload: Any) -> bytes:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return event("chunk", json.dumps({"bytes": base64.b64encode(raw).decode(), "p": "ab"}).encode())


def run(decoder: ResponseDecoder, body: bytes) -> LlmResponse:
    decoder.feed(body, 1_000)
    return decoder.finish(True)


def streamed(asked: Any, payloads: list[Any]) -> LlmResponse:
    decoder = INVOKE.response_decoder(response(EVENT_STREAM), request(asked))
    return run(decoder, b"".join(map(chunk, payloads)))


def whole(asked: Any, body: Any, **headers: str) -> LlmResponse:
    given = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    head = ResponseHead(2, 200, "", "1.1", (("content-type", JSON), *given))
    return run(INVOKE.response_decoder(head, request(asked)), json.dumps(body).encode())


def test_anthropic_stream_equals_anthropics_own() -> None:
    """The same events, each in a chunk, with Bedrock's metrics in the last."""
    events = [*ANTHROPIC_EVENTS[:-1], {"type": "message_stop", "x": 1}]
    events[-1]["amazon-bedrock-invocationMetrics"] = METRICS
    own = decode(
        api("/v1/messages"),
        b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in ANTHROPIC_EVENTS),
    )
    assert streamed(CLAUDE, events) == own
    assert own.complete


def test_anthropic_request() -> None:
    marked = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}
    asked = {**CLAUDE, "messages": [{"role": "user", "content": [marked]}]}
    assert request(asked, "/model/us.anthropic.claude-sonnet-4-6/invoke") == LlmRequest(
        request_model="us.anthropic.claude-sonnet-4-6",
        stream=False,
        messages=({"role": "user", "content": [{"type": "text", "text": "Hi"}]},),
        params={
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 100,
            "cache_control_count": 1,
        },
    )


def test_exceptions_inside_streams() -> None:
    for asked in (CLAUDE, NOVA, CHAT, {"prompt": "Hi"}):
        decoder = INVOKE.response_decoder(response(EVENT_STREAM), request(asked))
        failure = exception("modelStreamErrorException", b'{"message":"overloaded"}')
        found = run(decoder, chunk({"nothing": 1}) + failure)
        assert found.error == LlmError("modelStreamErrorException", "overloaded")


def test_chunks_that_hold_no_json() -> None:
    decoder = INVOKE.response_decoder(response(EVENT_STREAM), request(CLAUDE))
    body = b"".join(
        event("chunk", part) for part in (b"{", b"[]", b'{"bytes": 5}', b'{"bytes": "!!!a"}')
    )
    found = run(decoder, body + chunk(b"[]") + chunk(b"\xff"))
    assert found == LlmResponse(complete=False)


def test_nova() -> None:
    content = [{"text": "Hello"}, {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}}]
    usage = {"inputTokens": 20, "outputTokens": 7, "totalTokens": 27}
    usage |= {"cacheReadInputTokenCount": 100, "cacheWriteInputTokenCount": 3}
    body = whole(
        NOVA,
        {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": "tool_use",
            "usage": usage,
        },
    )
    start = {"toolUse": {"toolUseId": "t", "name": "f"}}
    stream = streamed(
        NOVA,
        [
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"delta": {"text": "Hel"}, "contentBlockIndex": 0}},
            {"contentBlockDelta": {"delta": {"text": "lo"}, "contentBlockIndex": 0}},
            {"contentBlockStart": {"start": start, "contentBlockIndex": 1}},
            {
                "contentBlockDelta": {
                    "delta": {"toolUse": {"input": '{"a":1}'}},
                    "contentBlockIndex": 1,
                }
            },
            {"contentBlockStop": {"contentBlockIndex": 1}},
            {"messageStop": {"stopReason": "tool_use"}},
            {"metadata": {"usage": usage}, "amazon-bedrock-invocationMetrics": METRICS},
        ],
    )
    for found in (body, stream):
        assert found.output == ({"role": "assistant", "content": content},)
        assert found.usage == MEASURED
        assert found.tool_calls == (ToolCall("t", "f", '{"a":1}', 1_000),)
        assert (found.finish_reason, found.complete) == ("tool_use", True)
    assert request(NOVA).params["schemaVersion"] == "messages-v1"


def test_chat_completions() -> None:
    message = {"role": "assistant", "content": "Hello"}
    usage = {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27}
    body = whole(CHAT, {"id": "c", "choices": [{"index": 0, "message": message,
                 "finish_reason": "stop"}], "usage": usage})  # fmt: skip
    stream = streamed(
        CHAT,
        [
            {"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant"}}]},
            {"id": "c", "choices": [{"index": 0, "delta": {"content": "Hello"}}]},
            {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"id": "c", "choices": [], "usage": usage, "amazon-bedrock-invocationMetrics": METRICS},
        ],
    )
    for found in (body, stream):
        assert found.output == (message,)
        assert found.usage == Usage(input_tokens=20, output_tokens=7)
        assert (found.response_id, found.finish_reason, found.complete) == ("c", "stop", True)


def test_mistrals_chat() -> None:
    """Choices with `stop_reason`, and `message` in a stream; tokens in headers and metrics."""
    message = {"role": "assistant", "content": "Hello"}
    choice = {"index": 0, "message": message, "stop_reason": "stop"}
    body = whole(
        CHAT,
        {"choices": [choice]},
        x_amzn_bedrock_input_token_count="20",
        x_amzn_bedrock_output_token_count="7",
        x_amzn_bedrock_cache_read_input_token_count="100",
        x_amzn_bedrock_cache_write_input_token_count="3",
    )
    stream = streamed(CHAT, [{"choices": [choice], "amazon-bedrock-invocationMetrics": METRICS}])
    for found in (body, stream):
        assert found.output == (message,)
        assert found.usage == MEASURED
        assert (found.finish_reason, found.complete) == ("stop", True)


@pytest.mark.parametrize(
    ("asked", "body", "usage", "reason"),
    [
        (
            {"inputText": "Hi", "textGenerationConfig": {"maxTokenCount": 10}},
            {
                "inputTextTokenCount": 3,
                "results": [{"tokenCount": 5, "outputText": "Hello", "completionReason": "FINISH"}],
            },
            Usage(input_tokens=3, output_tokens=5),
            "FINISH",
        ),
        (
            {"prompt": "Hi", "max_gen_len": 10},
            {
                "generation": "Hello",
                "prompt_token_count": 3,
                "generation_token_count": 5,
                "stop_reason": "stop",
            },
            Usage(input_tokens=3, output_tokens=5),
            "stop",
        ),
        (
            {"prompt": "<s>[INST] Hi [/INST]", "max_tokens": 10},
            {"outputs": [{"text": "Hello", "stop_reason": "stop"}]},
            Usage(input_tokens=8, output_tokens=2),
            "stop",
        ),
        (
            {"message": "Hi", "chat_history": []},
            {"text": "Hello", "generation_id": "g", "finish_reason": "COMPLETE"},
            Usage(input_tokens=8, output_tokens=2),
            "COMPLETE",
        ),
    ],
)
def test_bare_prompts(asked: Any, body: Any, usage: Usage, reason: str) -> None:
    """Titan, Llama, Mistral, Cohere; headers count where the body does not."""
    found = request(asked)
    assert found.operation == "text_completion"
    assert [message["role"] for message in found.messages] == ["user"]
    read = whole(
        asked,
        body,
        x_amzn_bedrock_input_token_count="8",
        x_amzn_bedrock_output_token_count="2",
    )
    assert read.output == ({"role": "assistant", "content": "Hello"},)
    assert (read.usage, read.finish_reason, read.complete) == (usage, reason, True)
    assert read.first_token_ns is None


def test_llama_stream() -> None:
    found = streamed(
        {"prompt": "Hi"},
        [
            {"generation": "Hel", "prompt_token_count": 3, "generation_token_count": 1},
            {"generation": "lo", "prompt_token_count": None, "generation_token_count": 2},
            {
                "generation": "",
                "generation_token_count": 3,
                "stop_reason": "stop",
                "amazon-bedrock-invocationMetrics": METRICS,
            },
        ],
    )
    assert found.output == ({"role": "assistant", "content": "Hello"},)
    assert found.usage == Usage(input_tokens=3, output_tokens=3)
    assert (found.finish_reason, found.complete, len(found.chunk_ns)) == ("stop", True, 2)


def test_titan_embeddings_keep_no_vectors() -> None:
    asked = {"inputText": "Hi", "dimensions": 256}
    found = request(asked, "/model/amazon.titan-embed-text-v2%3A0/invoke")
    assert (found.operation, found.messages) == (
        "embeddings",
        ({"role": "user", "content": "Hi"},),
    )
    read = whole(asked, {"embedding": [0.5] * 256, "inputTextTokenCount": 2})
    assert (read.output, read.complete) == ((), True)
    assert read.usage == Usage(input_tokens=2, output_tokens=0)


def test_an_unknown_body_is_kept_as_it_is() -> None:
    asked = {"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a cat"}}
    assert request(asked).messages == ()
    assert request(asked).params == asked
    body = {"images": ["aGk="]}
    read = whole(asked, body, x_amzn_bedrock_input_token_count="4")
    assert read.output == (body,)
    assert read.usage == Usage(input_tokens=4)


def test_error_body() -> None:
    headers = (("content-type", JSON), ("x-amzn-errortype", "ThrottlingException:"))
    head = ResponseHead(2, 429, "", "1.1", headers)
    for asked in (CLAUDE, NOVA, CHAT, {"prompt": "Hi"}):
        found = run(INVOKE.response_decoder(head, request(asked)), b'{"message":"wait"}')
        assert found.error == LlmError("ThrottlingException", "wait")
        assert found.usage is None


@given(mutated([CLAUDE, NOVA, CHAT, {"prompt": "Hi"}, {"inputText": "Hi"}, {"texts": ["a"]}]))
def test_mutated_requests_never_raise(bodies: list[Any]) -> None:
    for body in bodies:
        found = INVOKE.parse_request(post("/model/m/invoke"), json.dumps(body).encode())
        if found is not None:
            decoder = INVOKE.response_decoder(response(JSON), found)
            decoder.feed(b'{"usage": 1}', 1)
            decoder.finish(True)


@given(
    mutated(
        [
            {"contentBlockDelta": {"delta": {"text": "lo"}, "contentBlockIndex": 0}},
            {"results": [{"tokenCount": 5, "outputText": "Hello"}], "inputTextTokenCount": 3},
            {"generation": "a", "stop_reason": "x", "amazon-bedrock-invocationMetrics": METRICS},
            {"choices": [{"index": 0, "message": {"content": "a"}, "stop_reason": "stop"}]},
        ]
    )
)
def test_mutated_streams_never_raise(payloads: list[Any]) -> None:
    for asked in (CLAUDE, NOVA, CHAT, {"prompt": "Hi"}):
        streamed(asked, payloads)
