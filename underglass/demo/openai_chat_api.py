"""OpenAI's Chat Completions API, server side: JSON bodies and event streams.

In: request bodies and `Reply`s. Out: `ApiRequest`s and `Event`s in the shapes of
https://platform.openai.com/docs/api-reference/chat and .../chat-streaming. Thinking is not
sent, as OpenAI's own service does not; its tokens are in `reasoning_tokens`.
"""

from __future__ import annotations

import orjson

from collector.llm.model import JsonObject, Usage
from underglass.demo.ledger import SentToolCall
from underglass.demo.reply import (
    CREATED,
    UNIQUE,
    ApiRequest,
    Event,
    Reply,
    argument_pieces,
    sse,
    text_of,
)
from underglass.demo.script import ErrorStep, RateLimits, TurnUsage

_FINISH_REASONS = {
    "stop": "stop",
    "tool_calls": "tool_calls",
    "length": "length",
    "refusal": "content_filter",
}
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
}


class OpenAiChat:
    """POST /v1/chat/completions."""

    name = "openai.chat"
    response_id_prefix = "chatcmpl-"
    request_id_header = "x-request-id"

    def read(self, body: JsonObject, target: str) -> ApiRequest:
        """Read a request body."""
        messages = body["messages"]
        user = [message for message in messages if message["role"] == "user"]
        return ApiRequest(
            model=body["model"],
            stream=bool(body.get("stream")),
            turn_number=sum(message["role"] == "assistant" for message in messages),
            last_user_text=text_of(user[-1]["content"]) if user else "",
            tools=tuple(
                (tool["function"]["name"], tool["function"].get("parameters", {}))
                for tool in body.get("tools") or ()
                if tool.get("type") == "function"
            ),
            tool_result_ids=tuple(
                message["tool_call_id"] for message in messages if message["role"] == "tool"
            ),
            include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        )

    def body(self, reply: Reply) -> Event:
        """The whole reply as one JSON body."""
        turn = reply.turn
        calls = _calls(reply)
        text = "".join(turn.text)
        message: JsonObject = {
            "role": "assistant",
            "content": text if turn.text else None,
            "refusal": None,
            "annotations": [],
        }
        if calls:
            message["tool_calls"] = [_call(call, call.arguments) for call in calls]
        finish = _FINISH_REASONS[turn.finish]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        completion = {
            **_envelope(reply, "chat.completion"),
            "choices": [choice],
            "usage": _wire_usage(turn.usage),
        }
        return Event(
            orjson.dumps(completion),
            text=text,
            tool_calls=calls,
            usage=_usage(turn.usage),
            finish_reason=finish,
        )

    def stream(self, reply: Reply) -> list[Event]:
        """The reply as server-sent events; usage only when the request asked for it."""
        turn = reply.turn
        envelope = _envelope(reply, "chat.completion.chunk")
        if reply.include_usage:
            envelope["usage"] = None

        def delta(content: JsonObject, finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": content, "logprobs": None, "finish_reason": finish}
            return sse({**envelope, "choices": [choice]})

        opening = {"role": "assistant", "content": "" if turn.text else None, "refusal": None}
        events = [Event(delta(opening))]
        events += [
            Event(delta({"content": piece}), content=True, text=piece) for piece in turn.text
        ]
        for index, call in enumerate(_calls(reply)):
            first = {"index": index, **_call(call, "")}
            events.append(Event(delta({"tool_calls": [first]}), content=True))
            pieces = argument_pieces(call.arguments)
            events += [
                Event(
                    delta({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}),
                    content=True,
                    tool_calls=(call,) if number == len(pieces) else (),
                )
                for number, piece in enumerate(pieces, 1)
            ]
        finish = _FINISH_REASONS[turn.finish]
        events.append(Event(delta({}, finish), finish_reason=finish))
        if reply.include_usage:
            closing = {**envelope, "choices": [], "usage": _wire_usage(turn.usage)}
            events.append(Event(sse(closing), usage=_usage(turn.usage)))
        events.append(Event(b"data: [DONE]\n\n"))
        return events

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


def error_body(error: ErrorStep, kind: str) -> bytes:
    """The error body of every OpenAI API."""
    return orjson.dumps(
        {"error": {"message": error.message, "type": kind, "param": None, "code": None}}
    )


def error_type(error: ErrorStep) -> str:
    """OpenAI's word for an error."""
    return error.type or _ERROR_TYPES.get(error.status, "server_error")


def rate_limit_headers(limits: RateLimits) -> list[tuple[str, str]]:
    """OpenAI's rate-limit headers; resets are durations."""
    return [
        ("x-ratelimit-limit-requests", str(limits.requests_limit)),
        ("x-ratelimit-remaining-requests", str(limits.requests_remaining)),
        ("x-ratelimit-reset-requests", f"{limits.reset_s}s"),
        ("x-ratelimit-limit-tokens", str(limits.tokens_limit)),
        ("x-ratelimit-remaining-tokens", str(limits.tokens_remaining)),
        ("x-ratelimit-reset-tokens", f"{limits.reset_s}s"),
    ]


def _calls(reply: Reply) -> tuple[SentToolCall, ...]:
    return tuple(
        SentToolCall(f"call_{UNIQUE}{index:02d}", name, arguments)
        for index, (name, arguments) in enumerate(reply.tools)
    )


def _call(call: SentToolCall, arguments: str) -> JsonObject:
    function = {"name": call.name, "arguments": arguments}
    return {"id": call.tool_call_id, "type": "function", "function": function}


def _envelope(reply: Reply, kind: str) -> JsonObject:
    return {
        "id": f"chatcmpl-{UNIQUE}",
        "object": kind,
        "created": CREATED,
        "model": reply.model,
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _wire_usage(usage: TurnUsage) -> JsonObject:
    details = {"cached_tokens": usage.cache_read_tokens, "audio_tokens": 0}
    if usage.cache_write_tokens:
        details["cache_write_tokens"] = usage.cache_write_tokens
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": details,
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _usage(usage: TurnUsage) -> Usage:
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens or None,
        reasoning_tokens=usage.reasoning_tokens,
    )
