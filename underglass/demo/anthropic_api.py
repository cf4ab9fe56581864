"""Anthropic's Messages API, server side: JSON bodies and event streams.

In: request bodies and `Reply`s. Out: `ApiRequest`s and `Event`s in the shapes of
https://docs.anthropic.com/en/api/messages and .../messages-streaming. On the wire
`input_tokens` excludes cache reads and writes; in `Usage` it includes them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson

from collector.llm.model import JsonObject, Usage
from underglass.demo.ledger import SentToolCall
from underglass.demo.reply import UNIQUE, ApiRequest, Event, Reply, argument_pieces, sse, text_of
from underglass.demo.script import ErrorStep, RateLimits, TurnUsage

_STOP_REASONS = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "refusal": "refusal",
}
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_SIGNATURE = "EqQBCkYIBxgCKkAxc2NyaXB0ZWQtdGhpbmtpbmctc2lnbmF0dXJl"


class AnthropicMessages:
    """POST /v1/messages."""

    name = "anthropic.messages"
    response_id_prefix = "msg_"
    request_id_header = "request-id"

    def read(self, body: JsonObject, target: str) -> ApiRequest:
        """Read a request body."""
        messages = body["messages"]
        contents = [message["content"] for message in messages if message["role"] == "user"]
        return ApiRequest(
            model=body["model"],
            stream=bool(body.get("stream")),
            turn_number=sum(message["role"] == "assistant" for message in messages),
            last_user_text=text_of(contents[-1]) if contents else "",
            tools=tuple(
                (tool["name"], tool.get("input_schema", {})) for tool in body.get("tools") or ()
            ),
            tool_result_ids=tuple(
                block["tool_use_id"]
                for content in contents
                if not isinstance(content, str)
                for block in content
                if block.get("type") == "tool_result"
            ),
        )

    def body(self, reply: Reply) -> Event:
        """The whole reply as one JSON body."""
        turn = reply.turn
        calls = _calls(reply)
        content: list[JsonObject] = []
        if turn.thinking:
            thinking = "".join(turn.thinking)
            content.append({"type": "thinking", "thinking": thinking, "signature": _SIGNATURE})
        if turn.text:
            content.append({"type": "text", "text": "".join(turn.text)})
        content += [{**_tool_use(call), "input": orjson.Fragment(call.arguments)} for call in calls]
        stop_reason = _STOP_REASONS[turn.finish]
        message = _message(reply, turn.usage.output_tokens)
        message |= {"content": content, "stop_reason": stop_reason}
        return Event(
            orjson.dumps(message),
            text="".join(turn.text),
            tool_calls=calls,
            usage=_usage(turn.usage),
            finish_reason=stop_reason,
        )

    def stream(self, reply: Reply) -> list[Event]:
        """The reply as server-sent events."""
        turn = reply.turn
        start = {"type": "message_start", "message": _message(reply, 1)}
        events = [
            Event(sse(start, "message_start"), usage=replace(_usage(turn.usage), output_tokens=1))
        ]
        index = 0
        if turn.thinking:
            block: JsonObject = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [
                _delta(index, {"type": "thinking_delta", "thinking": piece})
                for piece in turn.thinking
            ]
            deltas.append(
                replace(
                    _delta(index, {"type": "signature_delta", "signature": _SIGNATURE}),
                    content=False,
                )
            )
            events += [_start(index, block), *deltas, _stop(index)]
            index += 1
        if turn.text:
            deltas = [
                _delta(index, {"type": "text_delta", "text": piece}, text=piece)
                for piece in turn.text
            ]
            events += [_start(index, {"type": "text", "text": ""}), *deltas, _stop(index)]
            index += 1
        for call in _calls(reply):
            deltas = [
                _delta(index, {"type": "input_json_delta", "partial_json": piece})
                for piece in argument_pieces(call.arguments)
            ]
            stop = replace(_stop(index), tool_calls=(call,))
            events += [_start(index, {**_tool_use(call), "input": {}}), *deltas, stop]
            index += 1
        events.insert(min(2, len(events)), Event(sse({"type": "ping"}, "ping")))
        stop_reason = _STOP_REASONS[turn.finish]
        closing = {
            "type": "message_delta",
            "delta": {"stop_reason": stop_reason, "stop_sequence": None},
            "usage": _wire_usage(turn.usage, turn.usage.output_tokens),
        }
        events.append(
            Event(
                sse(closing, "message_delta"),
                usage=_usage(turn.usage),
                finish_reason=stop_reason,
            )
        )
        events.append(Event(sse({"type": "message_stop"}, "message_stop")))
        return events

    def error_body(self, error: ErrorStep) -> bytes:
        """The JSON body of an HTTP error."""
        return orjson.dumps(
            {
                "type": "error",
                "error": {"type": self.error_type(error), "message": error.message},
                "request_id": f"req_{UNIQUE}",
            }
        )

    def error_event(self, error: ErrorStep, reply: Reply) -> Event:
        """The event that breaks a stream off."""
        return Event(sse(orjson.loads(self.error_body(error)), "error"))

    def error_type(self, error: ErrorStep) -> str:
        """The provider's word for the error."""
        return error.type or _ERROR_TYPES.get(error.status, "api_error")

    def rate_limit_headers(self, limits: RateLimits) -> list[tuple[str, str]]:
        """Rate limits under the provider's header names; resets are RFC 3339 times."""
        reset = (datetime.now(UTC) + timedelta(seconds=limits.reset_s)).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )
        prefix = "anthropic-ratelimit"
        return [
            (f"{prefix}-requests-limit", str(limits.requests_limit)),
            (f"{prefix}-requests-remaining", str(limits.requests_remaining)),
            (f"{prefix}-requests-reset", reset),
            (f"{prefix}-tokens-limit", str(limits.tokens_limit)),
            (f"{prefix}-tokens-remaining", str(limits.tokens_remaining)),
            (f"{prefix}-tokens-reset", reset),
        ]


def _calls(reply: Reply) -> tuple[SentToolCall, ...]:
    return tuple(
        SentToolCall(f"toolu_{UNIQUE}{index:02d}", name, arguments)
        for index, (name, arguments) in enumerate(reply.tools)
    )


def _tool_use(call: SentToolCall) -> JsonObject:
    return {"type": "tool_use", "id": call.tool_call_id, "name": call.name}


def _message(reply: Reply, output_tokens: int) -> JsonObject:
    return {
        "id": f"msg_{UNIQUE}",
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            **_wire_usage(reply.turn.usage, output_tokens),
            "cache_creation": {
                "ephemeral_5m_input_tokens": reply.turn.usage.cache_write_tokens
                - reply.turn.usage.cache_write_1h_tokens,
                "ephemeral_1h_input_tokens": reply.turn.usage.cache_write_1h_tokens,
            },
            "service_tier": "standard",
        },
    }


def _wire_usage(usage: TurnUsage, output_tokens: int) -> JsonObject:
    return {
        "input_tokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": output_tokens,
    }


def _usage(usage: TurnUsage) -> Usage:
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
    )


def _start(index: int, block: JsonObject) -> Event:
    payload = {"type": "content_block_start", "index": index, "content_block": block}
    return Event(sse(payload, "content_block_start"))


def _delta(index: int, delta: JsonObject, *, text: str = "") -> Event:
    payload = {"type": "content_block_delta", "index": index, "delta": delta}
    return Event(sse(payload, "content_block_delta"), content=True, text=text)


def _stop(index: int) -> Event:
    return Event(sse({"type": "content_block_stop", "index": index}, "content_block_stop"))
