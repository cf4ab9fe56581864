from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.llm.model import LlmError, LlmRequest, LlmResponse, Usage
from collector.llm.registry import match
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

COMPLETIONS = api("/v1/completions")
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}


def chunk(text: str | None, finish: str | None = None, index: int = 0, **fields: Any) -> Any:
    choices = [{"text": text, "index": index, "logprobs": None, "finish_reason": finish}]
    return {
        "id": "cmpl-7i",
        "object": "text_completion",
        "model": "gpt-3.5-turbo-instruct",
        "choices": [] if text is None else choices,
        **fields,
    }


EVENTS: list[Any] = [
    chunk("This is "),
    chunk("indeed — 🐙"),
    chunk("", "length"),
    chunk(None, usage=USAGE),
    "[DONE]",
]
MESSAGE = {"role": "assistant", "content": "This is indeed — 🐙"}


def test_stream() -> None:
    assert decode_events(COMPLETIONS, EVENTS) == LlmResponse(
        response_id="cmpl-7i",
        model="gpt-3.5-turbo-instruct",
        usage=Usage(input_tokens=5, output_tokens=7),
        finish_reason="length",
        output=(MESSAGE,),
        first_token_ns=1_000,
        chunk_ns=(1_000, 1_001),
        complete=True,
    )


def test_json() -> None:
    body = chunk("This is indeed — 🐙", "length", usage=USAGE)
    assert decode(COMPLETIONS, json.dumps(body).encode(), head=response(JSON)) == LlmResponse(
        response_id="cmpl-7i",
        model="gpt-3.5-turbo-instruct",
        usage=Usage(input_tokens=5, output_tokens=7),
        finish_reason="length",
        output=(MESSAGE,),
        complete=True,
    )


def test_accumulates_what_the_sdk_hands_out() -> None:
    client = openai.OpenAI(
        api_key="k",
        http_client=openai.DefaultHttpxClient(transport=transport(sse(EVENTS))),
    )
    parts = list(client.completions.create(model="m", prompt="Say", stream=True))
    said = "".join(choice.text for part in parts for choice in part.choices)
    ours = decode(COMPLETIONS, sse(EVENTS))
    assert ours.output == ({"role": "assistant", "content": said},)
    assert ours.response_id == parts[0].id


def test_choices_stay_apart() -> None:
    events = [chunk("b", index=1), chunk("a"), chunk("", "stop", 1), chunk("a", "stop")]
    found = decode_events(COMPLETIONS, events)
    assert [message["content"] for message in found.output] == ["aa", "b"]
    assert found.complete
    assert not decode_events(COMPLETIONS, events[:3]).complete


def test_fill_in_the_middle_as_mistral_answers() -> None:
    fim = match(post("/v1/fim/completions", "codestral.mistral.ai"))
    assert fim is COMPLETIONS
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}
    body = {"id": "i", "object": "chat.completion", "model": "codestral-latest",
            "choices": [choice], "usage": USAGE}  # fmt: skip
    found = decode(COMPLETIONS, json.dumps(body).encode(), head=response(JSON))
    assert found.output == ({"role": "assistant", "content": "x"},)
    deltas = [{"index": 0, "delta": {"content": part}} for part in ("a", "b")]
    streamed = decode_events(COMPLETIONS, [{"choices": [delta]} for delta in deltas])
    assert streamed.output == ({"role": "assistant", "content": "ab"},)


LLAMA = {
    "content": "This is indeed",
    "stop": True,
    "model": "qwen3-8b.gguf",
    "stop_type": "limit",
    "stopping_word": "",
    "tokens_predicted": 7,
    "tokens_evaluated": 12,
    "timings": {"cache_n": 8, "prompt_n": 4, "predicted_n": 7},
}


def test_llama_cpps_own() -> None:
    assert match(post("/completion")) is COMPLETIONS
    whole = decode(COMPLETIONS, json.dumps(LLAMA).encode(), head=response(JSON))
    parts = [{"content": "This is ", "stop": False}, {"content": "indeed", "stop": False}]
    stream = decode_events(COMPLETIONS, [*parts, {**LLAMA, "content": ""}])
    for found in (whole, stream):
        assert found.output == ({"role": "assistant", "content": "This is indeed"},)
        assert (found.model, found.finish_reason) == ("qwen3-8b.gguf", "limit")
        assert found.usage == Usage(input_tokens=12, output_tokens=7, cache_read_tokens=8)
        assert found.complete
    assert stream.chunk_ns == (1_000, 1_001)
    assert not decode_events(COMPLETIONS, parts).complete


@pytest.mark.parametrize(
    ("prompt", "messages"),
    [
        ("Say", ({"role": "user", "content": "Say"},)),
        (["a", "b"], ({"role": "user", "content": "a"}, {"role": "user", "content": "b"})),
        ([1, 2], ({"role": "user", "tokens": [1, 2]},)),
    ],
)
def test_request(prompt: Any, messages: Any) -> None:
    body = {"model": "m", "prompt": prompt, "suffix": "end", "stream": True}
    asked = COMPLETIONS.parse_request(post("/v1/completions"), json.dumps(body).encode())
    assert asked == LlmRequest(
        request_model="m", stream=True, messages=messages, params={"suffix": "end"}
    )


def test_no_request() -> None:
    assert COMPLETIONS.parse_request(post("/v1/completions"), b'{"model": "m"}') is None


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/completions", True),
        ("/beta/completions", True),
        ("/v1/engines/copilot-codex/completions", True),
        ("/openai/deployments/d/completions?api-version=1", True),
        ("/v1/chat/completions", False),
        ("/chat/completions", False),
    ],
)
def test_paths(path: str, found: bool) -> None:
    assert (match(post(path)) is COMPLETIONS) is found


def test_errors() -> None:
    error = {"error": {"message": "no", "type": "invalid_request_error"}}
    for found in (
        decode(COMPLETIONS, json.dumps(error).encode(), head=response(JSON, 400)),
        decode_events(COMPLETIONS, [EVENTS[0], error]),
    ):
        assert found.error == LlmError("invalid_request_error", "no")


@given(st.lists(st.integers(1, 900), max_size=8))
def test_any_split(cuts: list[int]) -> None:
    body = sse(EVENTS)
    split = decode(COMPLETIONS, body, cuts=cuts, at=lambda _: 1_000)
    assert split == decode(COMPLETIONS, body)


@given(mutated(EVENTS))
def test_mutated_streams_never_raise(events: list[Any]) -> None:
    decode_events(COMPLETIONS, events)
