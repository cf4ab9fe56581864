"""Cohere's APIs, version 2, server side: chat as JSON bodies and event streams, embed, rerank.

In: request bodies and `Reply`s. Out: `ApiRequest`s and `Event`s in the shapes of Cohere's API
reference. Tokens are the billed ones; `tokens` counts a prompt template on top of them. Embed and
rerank answer with one vector, and with one document, whatever was asked.
"""

from __future__ import annotations

from dataclasses import replace

import orjson

from collector.llm.model import JsonObject, Usage
from underglass.demo.ledger import SentToolCall
from underglass.demo.reply import (
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
    "stop": "COMPLETE",
    "tool_calls": "TOOL_CALL",
    "length": "MAX_TOKENS",
    "refusal": "ERROR",
}
_TEMPLATE_TOKENS = 500


class CohereErrors:
    """What Cohere's APIs share: ids, and errors that are a message and no type."""

    response_id_prefix = ""
    request_id_header = "x-request-id"

    def error_body(self, error: ErrorStep) -> bytes:
        """The JSON body of an HTTP error."""
        return orjson.dumps({"id": UNIQUE, "message": error.message})

    def error_event(self, error: ErrorStep, reply: Reply) -> Event:
        """The event that breaks a stream off."""
        delta = {"finish_reason": "ERROR", "error": error.message}
        return Event(sse({"type": "message-end", "delta": delta}, "message-end"))

    def error_type(self, error: ErrorStep) -> str:
        """The provider has no words for errors: the status, and inside a stream `error`."""
        return str(error.status) if error.after_events is None else "error"

    def rate_limit_headers(self, limits: RateLimits) -> list[tuple[str, str]]:
        """The provider sends none."""
        return []


class CohereChat(CohereErrors):
    """POST /v2/chat."""

    name = "cohere.chat"

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
            ),
            tool_result_ids=tuple(
                message["tool_call_id"] for message in messages if message["role"] == "tool"
            ),
        )

    def body(self, reply: Reply) -> Event:
        """The whole reply as one JSON body."""
        turn = reply.turn
        calls = _calls(reply)
        message: JsonObject = {"role": "assistant"}
        if calls:
            message["tool_calls"] = [_call(call, call.arguments) for call in calls]
        content = [
            {"type": kind, kind: "".join(pieces)}
            for kind, pieces in (("thinking", turn.thinking), ("text", turn.text))
            if pieces
        ]
        if content:
            message["content"] = content
        finish = _FINISH_REASONS[turn.finish]
        body = {
            "id": UNIQUE,
            "message": message,
            "finish_reason": finish,
            "usage": _wire_usage(turn.usage),
        }
        return Event(
            orjson.dumps(body),
            text="".join(turn.text),
            tool_calls=calls,
            usage=_usage(turn.usage),
            finish_reason=finish,
        )

    def stream(self, reply: Reply) -> list[Event]:
        """The reply as server-sent events."""
        turn = reply.turn
        empty = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
        events = [_event("message-start", {"message": empty}, id=UNIQUE)]
        index = 0
        for kind, pieces in (("thinking", turn.thinking), ("text", turn.text)):
            if not pieces:
                continue
            events.append(_event("content-start", _content({"type": kind, kind: ""}), index=index))
            for piece in pieces:
                delta = _event("content-delta", _content({kind: piece}), index=index)
                said = piece if kind == "text" else ""
                events.append(replace(delta, content=True, text=said))
            events.append(_event("content-end", None, index=index))
            index += 1
        for index, call in enumerate(_calls(reply)):
            start = {"message": {"tool_calls": _call(call, "")}}
            events.append(_event("tool-call-start", start, index=index))
            for piece in argument_pieces(call.arguments):
                delta_calls = {"message": {"tool_calls": {"function": {"arguments": piece}}}}
                delta = _event("tool-call-delta", delta_calls, index=index)
                events.append(replace(delta, content=True))
            end = _event("tool-call-end", None, index=index)
            events.append(replace(end, tool_calls=(call,)))
        finish = _FINISH_REASONS[turn.finish]
        closing = {"finish_reason": finish, "usage": _wire_usage(turn.usage)}
        ended = _event("message-end", closing, id=UNIQUE)
        return [*events, replace(ended, usage=_usage(turn.usage), finish_reason=finish)]


class CohereEmbed(CohereErrors):
    """POST /v2/embed."""

    name = "cohere.embed"

    def read(self, body: JsonObject, target: str) -> ApiRequest:
        """Read a request body."""
        texts = body.get("texts") or body.get("images") or body["inputs"]
        return ApiRequest(body["model"], False, 0, text_of(texts), (), ())

    def body(self, reply: Reply) -> Event:
        """The whole reply as one JSON body."""
        input_tokens = reply.turn.usage.input_tokens
        body = {
            "id": UNIQUE,
            "embeddings": {"float": [[0.25, -0.5]]},
            "texts": [],
            "meta": {"billed_units": {"input_tokens": input_tokens}},
            "response_type": "embeddings_by_type",
        }
        return Event(orjson.dumps(body), usage=Usage(input_tokens=input_tokens, output_tokens=0))

    def stream(self, reply: Reply) -> list[Event]:
        """There is no stream of vectors; never asked."""
        return [self.body(reply)]


class CohereRerank(CohereErrors):
    """POST /v2/rerank."""

    name = "cohere.rerank"

    def read(self, body: JsonObject, target: str) -> ApiRequest:
        """Read a request body."""
        return ApiRequest(body["model"], False, 0, body["query"], (), ())

    def body(self, reply: Reply) -> Event:
        """The whole reply as one JSON body; searches are billed, no tokens."""
        body = {
            "id": UNIQUE,
            "results": [{"index": 0, "relevance_score": 0.75}],
            "meta": {"billed_units": {"search_units": 1}},
        }
        return Event(orjson.dumps(body))

    def stream(self, reply: Reply) -> list[Event]:
        """There is no stream of scores; never asked."""
        return [self.body(reply)]


def _event(kind: str, delta: JsonObject | None, **fields: object) -> Event:
    payload = {"type": kind, **fields}
    if delta is not None:
        payload["delta"] = delta
    return Event(sse(payload, kind))


def _content(content: JsonObject) -> JsonObject:
    return {"message": {"content": content}}


def _calls(reply: Reply) -> tuple[SentToolCall, ...]:
    return tuple(
        SentToolCall(f"{name}_{UNIQUE}{index:02d}", name, arguments)
        for index, (name, arguments) in enumerate(reply.tools)
    )


def _call(call: SentToolCall, arguments: str) -> JsonObject:
    function = {"name": call.name, "arguments": arguments}
    return {"id": call.tool_call_id, "type": "function", "function": function}


def _wire_usage(usage: TurnUsage) -> JsonObject:
    return {
        "billed_units": {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
        },
        "tokens": {
            "input_tokens": usage.input_tokens + _TEMPLATE_TOKENS,
            "output_tokens": usage.output_tokens,
        },
        "cached_tokens": usage.cache_read_tokens,
    }


def _usage(usage: TurnUsage) -> Usage:
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
    )
