"""Google's Gemini API, server side: JSON bodies, event streams and streamed arrays.

In: request bodies and `Reply`s. Out: `ApiRequest`s and `Event`s in the shapes of
https://ai.google.dev/api/generate-content. The model and the kind of stream stand in the
target: `:streamGenerateContent` streams one JSON array, with `?alt=sse` server-sent events.
On the wire `candidatesTokenCount` excludes thoughts; in `Usage` output tokens include them.
Vertex AI's targets end alike. Code Assist (`/v1internal:`) wraps request and response. Calls of
models called gemini-2.0 have no ids, as those of older models.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import orjson

from collector.llm.model import JsonObject, Usage
from underglass.demo.ledger import SentToolCall
from underglass.demo.reply import UNIQUE, ApiRequest, Event, Reply, sse, text_of
from underglass.demo.script import ErrorStep, RateLimits, TurnUsage

TARGET = re.compile(
    r".*(?:/models/(?P<model>[^/:?]+)|/v1internal):(?P<stream>stream)?[gG]enerateContent$"
)
_NO_IDS = "gemini-2.0"

_FINISH_REASONS = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "refusal": "SAFETY",
}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_SIGNATURE = "Y3NjcmlwdGVkLXRob3VnaHQtc2lnbmF0dXJl"


class Gemini:
    """POST /v1beta/models/MODEL:generateContent and :streamGenerateContent."""

    name = "gemini"
    response_id_prefix = ""
    request_id_header = None

    def read(self, body: JsonObject, target: str) -> ApiRequest:
        """Read a request body and its target."""
        url = urlsplit(target)
        asked = TARGET.fullmatch(url.path)
        if asked is None:
            raise ValueError(f"no model in {url.path}")
        model = asked["model"] or body["model"]
        if asked["model"] is None:
            body = body["request"]
        contents = body["contents"]
        user = [_parts(content) for content in contents if content.get("role") != "model"]
        results = [part["functionResponse"] for parts in user for part in parts if _result(part)]
        words = [parts for parts in user if not all(map(_result, parts))]
        in_array = asked["stream"] and parse_qs(url.query).get("alt") != ["sse"]
        return ApiRequest(
            model=unquote(model),
            stream=asked["stream"] is not None,
            turn_number=sum(content.get("role") == "model" for content in contents),
            last_user_text=text_of(words[-1]) if words else "",
            tools=tuple(
                (
                    declared["name"],
                    declared.get("parametersJsonSchema") or declared.get("parameters") or {},
                )
                for tool in body.get("tools") or ()
                for declared in tool.get("functionDeclarations") or ()
            ),
            tool_result_ids=tuple(result.get("id") or result["name"] for result in results),
            framing="json_array" if in_array else "sse",
        )

    def body(self, reply: Reply) -> Event:
        """The whole reply as one JSON body."""
        turn = reply.turn
        calls = _calls(reply)
        parts: list[JsonObject] = []
        if turn.thinking:
            parts.append({"text": "".join(turn.thinking), "thought": True})
        if turn.text:
            parts.append({"text": "".join(turn.text)})
        parts += [_call_part(call, index) for index, call in enumerate(calls)]
        finish = _FINISH_REASONS[turn.finish]
        return Event(
            orjson.dumps(self._wrapped(_response(reply, parts, finish))),
            text="".join(turn.text),
            tool_calls=calls,
            usage=_usage(turn.usage),
            finish_reason=finish,
        )

    def stream(self, reply: Reply) -> list[Event]:
        """The reply as a stream; the last event has the finish reason and the whole usage."""
        turn = reply.turn
        parts: list[tuple[JsonObject, dict[str, Any]]] = [
            ({"text": piece, "thought": True}, {}) for piece in turn.thinking
        ]
        parts += [({"text": piece}, {"text": piece}) for piece in turn.text]
        parts += [
            (_call_part(call, index), {"tool_calls": (call,)})
            for index, call in enumerate(_calls(reply))
        ]
        prompt_only = _prompt_usage(turn.usage)
        events = [
            (
                self._wrapped(_response(reply, [part])),
                {"content": True, "usage": prompt_only, **facts},
            )
            for part, facts in parts
        ]
        finish = _FINISH_REASONS[turn.finish]
        closing = self._wrapped(_response(reply, [{"text": ""}], finish))
        events.append((closing, {"usage": _usage(turn.usage), "finish_reason": finish}))
        if reply.framing == "sse":
            return [Event(b"data: %b\r\n\r\n" % orjson.dumps(p), **facts) for p, facts in events]
        rendered = [
            Event((b",\r\n" if number else b"[") + orjson.dumps(payload), **facts)
            for number, (payload, facts) in enumerate(events)
        ]
        return [*rendered[:-1], replace(rendered[-1], data=rendered[-1].data + b"\n]\n")]

    def error_body(self, error: ErrorStep) -> bytes:
        """The JSON body of an HTTP error."""
        return orjson.dumps(_error(error, self.error_type(error)))

    def error_event(self, error: ErrorStep, reply: Reply) -> Event:
        """The event that breaks a stream off."""
        payload = _error(error, self.error_type(error))
        if reply.framing == "sse":
            return Event(sse(payload))
        return Event(b",\r\n" + orjson.dumps(payload) + b"\n]\n")

    def error_type(self, error: ErrorStep) -> str:
        """The provider's word for the error."""
        return error.type or _STATUSES.get(error.status, "INTERNAL")

    def rate_limit_headers(self, limits: RateLimits) -> list[tuple[str, str]]:
        """The provider sends none."""
        return []

    def _wrapped(self, response: JsonObject) -> JsonObject:
        return response


class CodeAssist(Gemini):
    """POST /v1internal:generateContent and :streamGenerateContent."""

    def _wrapped(self, response: JsonObject) -> JsonObject:
        return {"response": response, "traceId": response["responseId"]}


def _parts(content: JsonObject) -> list[JsonObject]:
    parts = content.get("parts") or []
    return parts if isinstance(parts, list) else [parts]


def _result(part: JsonObject) -> bool:
    return "functionResponse" in part


def _calls(reply: Reply) -> tuple[SentToolCall, ...]:
    nameless = reply.model.startswith(_NO_IDS)
    return tuple(
        SentToolCall("" if nameless else f"call_{UNIQUE}{index:02d}", name, arguments)
        for index, (name, arguments) in enumerate(reply.tools)
    )


def _call_part(call: SentToolCall, index: int) -> JsonObject:
    arguments = orjson.Fragment(call.arguments)
    given = {"id": call.tool_call_id} if call.tool_call_id else {}
    part: JsonObject = {"functionCall": {**given, "name": call.name, "args": arguments}}
    return part if index else {**part, "thoughtSignature": _SIGNATURE}


def _response(reply: Reply, parts: list[JsonObject], finish: str | None = None) -> JsonObject:
    candidate: JsonObject = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": _wire_usage(reply.turn.usage, ended=finish is not None),
        "modelVersion": reply.model,
        "responseId": UNIQUE,
    }


def _wire_usage(usage: TurnUsage, *, ended: bool) -> JsonObject:
    output = usage.output_tokens if ended else 0
    counts: JsonObject = {
        "promptTokenCount": usage.input_tokens,
        "totalTokenCount": usage.input_tokens + output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.input_tokens}],
    }
    if usage.cache_read_tokens:
        counts["cachedContentTokenCount"] = usage.cache_read_tokens
    if ended:
        counts["candidatesTokenCount"] = output - usage.reasoning_tokens
        if usage.reasoning_tokens:
            counts["thoughtsTokenCount"] = usage.reasoning_tokens
    return counts


def _prompt_usage(usage: TurnUsage) -> Usage:
    return Usage(input_tokens=usage.input_tokens, cache_read_tokens=usage.cache_read_tokens or None)


def _usage(usage: TurnUsage) -> Usage:
    return replace(
        _prompt_usage(usage),
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens or None,
    )


def _error(error: ErrorStep, status: str) -> JsonObject:
    return {"error": {"code": error.status, "message": error.message, "status": status}}
