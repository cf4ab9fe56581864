"""Requests to a provider's host, and responses in the shape of chat completions."""

from __future__ import annotations

import json
from typing import Any

from collector.llm.api import Api
from collector.llm.model import LlmRequest, LlmResponse, Usage
from collector.llm.registry import match, provider_of
from tests.collector.llm.wire import JSON, decode, decode_events, post, response

USAGE = {"prompt_tokens": 14, "completion_tokens": 9, "total_tokens": 23}
COUNTED = Usage(input_tokens=14, output_tokens=9)


def served(provider: str, url: str, api: str = "openai.chat") -> Api:
    """The API of a request to `url`; fails unless it is `api`'s and `provider` serves it."""
    host, _, path = url.removeprefix("https://").partition("/")
    head = post(f"/{path}", host)
    found = match(head)
    assert found is not None, url
    assert (found.name, provider_of(head, found)) == (api, provider)
    return found


def requested(api: Api, url: str, body: Any) -> LlmRequest:
    """The request of a body posted to `url`."""
    host, _, path = url.removeprefix("https://").partition("/")
    found = api.parse_request(post(f"/{path}", host), json.dumps(body).encode())
    assert found is not None
    return found


def answered(api: Api, body: Any, status: int = 200) -> LlmResponse:
    """The response of a JSON body."""
    return decode(api, json.dumps(body).encode(), head=response(JSON, status))


def streamed(api: Api, events: list[Any]) -> LlmResponse:
    """The response of an event stream."""
    return decode_events(api, events)


def completion(
    model: str, message: Any = None, usage: Any = None, finish: str = "stop", **fields: Any
) -> Any:
    """A chat completion with one choice."""
    said = {"role": "assistant", "content": "Hello!"} if message is None else message
    return {
        "id": "cmpl-1",
        "object": "chat.completion",
        "created": 1760000000,
        "model": model,
        "choices": [{"index": 0, "message": said, "finish_reason": finish}],
        "usage": USAGE if usage is None else usage,
        **fields,
    }


def chunks(model: str, deltas: list[Any], usage: Any = None, **last: Any) -> list[Any]:
    """A stream of chunks, one a delta; the last says why it ends, and `usage` beside it."""
    envelope = {"id": "cmpl-1", "object": "chat.completion.chunk", "model": model}
    events = [{**envelope, "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    stop = {"index": 0, "delta": {}, "finish_reason": "stop"}
    usage = USAGE if usage is None else usage
    return [*events, {**envelope, "choices": [stop], "usage": usage, **last}, "[DONE]"]


def assert_plain(provider: str, base_url: str, model: str, usage: Any = None) -> None:
    """A documented base URL serves chat completions as OpenAI has them, whole and streamed."""
    api = served(provider, f"{base_url}/chat/completions")
    asked = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    request = requested(api, f"{base_url}/chat/completions", asked)
    assert (request.request_model, request.stream) == (model, True)
    whole = answered(api, completion(model, usage=usage))
    pieces = [{"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo!"}]
    stream = streamed(api, chunks(model, pieces, usage))
    for found in (whole, stream):
        assert found.complete
        assert (found.model, found.response_id, found.finish_reason) == (model, "cmpl-1", "stop")
        assert found.output[0]["content"] == "Hello!"
        assert found.usage is not None
        assert (found.usage.input_tokens, found.usage.output_tokens) == (14, 9)
    assert stream.first_token_ns == 1_001
