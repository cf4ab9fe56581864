"""OpenAI's embeddings and legacy completions, server side.

In: request bodies and `Reply`s. Out: `ApiRequest`s and `Event`s in the shapes of OpenAI's API
reference, "Embeddings" and "Completions". Embeddings answer with one vector, whatever was asked.
"""

from __future__ import annotations

import base64
import struct

import orjson

from collector.llm.model import JsonObject, Usage
from underglass.demo.openai_chat_api import error_body, error_type, rate_limit_headers
from underglass.demo.reply import CREATED, UNIQUE, ApiRequest, Event, Reply, sse, text_of
from underglass.demo.script import ErrorStep, RateLimits

_FINISH_REASONS = {
    "stop": "stop",
    "tool_calls": "stop",
    "length": "length",
    "refusal": "content_filter",
}
_VECTOR = base64.b64encode(struct.pack("<2f", 0.25, -0.5)).decode()


class OpenAiErrors:
    """What both APIs say when something fails."""

    request_id_header = "x-request-id"

    def error_body(self, error: ErrorStep) -> bytes:
        """The JSON body of an HTTP error."""
        return error_body(error, self.error_type(error))

    def error_event(self, error: ErrorStep, reply: Reply) -> Event:
        """The event that breaks a stream off."""
        return Event(b"data: %b\n\n" % self.error_body(error))

    def error_type(self, error: ErrorStep) -> str:
        """The provider's word for the error."""
        return error_type(error)

    def rate_limit_headers(self, limits: RateLimits) -> list[tuple[str, str]]:
        """Rate limits under the provider's header names."""
        return rate_limit_headers(limits)


class OpenAiEmbeddings(OpenAiErrors):
    """POST /v1/embeddings."""

    name = "openai.embeddings"
    response_id_prefix = None

    def read(self, body: JsonObject, target: str) -> ApiRequest:
        """Read a request body."""
        return ApiRequest(body["model"], False, 0, text_of(body["input"]), (), ())

    def body(self, reply: Reply) -> Event:
        """The whole reply as one JSON body; the vector in base64, as the SDK asks for it."""
        tokens = reply.turn.usage.input_tokens
        body = {
            "object": "list",
            "data": [{"object": "embedding", "index": 0, "embedding": _VECTOR}],
            "model": reply.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        return Event(orjson.dumps(body), usage=Usage(input_tokens=tokens, output_tokens=0))

    def stream(self, reply: Reply) -> list[Event]:
        """There is no stream of vectors; never asked."""
        return [self.body(reply)]


class OpenAiCompletions(OpenAiErrors):
    """POST /v1/completions."""

    name = "openai.completions"
    response_id_prefix = "cmpl-"

    def read(self, body: JsonObject, target: str) -> ApiRequest:
        """Read a request body."""
        return ApiRequest(
            model=body["model"],
            stream=bool(body.get("stream")),
            turn_number=0,
            last_user_text=text_of(body["prompt"]),
            tools=(),
            tool_result_ids=(),
            include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        )

    def body(self, reply: Reply) -> Event:
        """The whole reply as one JSON body."""
        text, finish = "".join(reply.turn.text), _FINISH_REASONS[reply.turn.finish]
        body = {**_envelope(reply, text, finish), "usage": _wire_usage(reply)}
        return Event(orjson.dumps(body), text=text, usage=_usage(reply), finish_reason=finish)

    def stream(self, reply: Reply) -> list[Event]:
        """The reply as server-sent events; usage only when the request asked for it."""
        finish = _FINISH_REASONS[reply.turn.finish]
        events = [
            Event(sse(_envelope(reply, piece, None)), content=True, text=piece)
            for piece in reply.turn.text
        ]
        events.append(Event(sse(_envelope(reply, "", finish)), finish_reason=finish))
        if reply.include_usage:
            closing = {**_envelope(reply, "", None), "choices": [], "usage": _wire_usage(reply)}
            events.append(Event(sse(closing), usage=_usage(reply)))
        return [*events, Event(b"data: [DONE]\n\n")]


def _envelope(reply: Reply, text: str, finish: str | None) -> JsonObject:
    return {
        "id": f"cmpl-{UNIQUE}",
        "object": "text_completion",
        "created": CREATED,
        "model": reply.model,
        "choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": finish}],
    }


def _wire_usage(reply: Reply) -> JsonObject:
    usage = reply.turn.usage
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _usage(reply: Reply) -> Usage:
    usage = reply.turn.usage
    return Usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
