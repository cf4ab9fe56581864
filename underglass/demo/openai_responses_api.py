"""OpenAI's Responses API, server side: JSON bodies and event streams.

In: request bodies and `Reply`s. Out: `ApiRequest`s and `Event`s in the shapes of
https://platform.openai.com/docs/api-reference/responses and .../responses-streaming. Thinking
becomes a reasoning item with a summary.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from collector.llm.model import JsonObject, Usage
from underglass.demo.ledger import SentToolCall
from underglass.demo.openai_chat_api import error_body, error_type, rate_limit_headers
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

_INCOMPLETE_REASONS = {"length": "max_output_tokens", "refusal": "content_filter"}


class OpenAiResponses:
    """POST /v1/responses."""

    name = "openai.responses"
    response_id_prefix = "resp_"
    request_id_header = "x-request-id"

    def read(self, body: JsonObject, target: str) -> ApiRequest:
        """Read a request body."""
        given = body.get("input") or ()
        items: list[JsonObject] = [{"role": "user", "content": given}]
        if not isinstance(given, str):
            items = list(given)
        user = [item for item in items if item.get("role") == "user"]
        return ApiRequest(
            model=body["model"],
            stream=bool(body.get("stream")),
            turn_number=_turns(items),
            last_user_text=text_of(user[-1].get("content", "")) if user else "",
            tools=tuple(
                (tool["name"], tool.get("parameters") or {})
                for tool in body.get("tools") or ()
                if tool.get("type") == "function"
            ),
            tool_result_ids=tuple(
                item["call_id"] for item in items if item.get("type") == "function_call_output"
            ),
            previous_response_id=body.get("previous_response_id"),
            generate=body.get("generate") is not False,
        )

    def body(self, reply: Reply) -> Event:
        """The whole reply as one JSON body."""
        turn = reply.turn
        items = [item for item, _ in _items(reply)]
        status, _ = _status(turn.finish)
        return Event(
            orjson.dumps(_response(reply, status, items)),
            text="".join(turn.text),
            tool_calls=_calls(reply),
            usage=_usage(turn.usage),
            finish_reason=_INCOMPLETE_REASONS.get(turn.finish, status),
        )

    def stream(self, reply: Reply) -> list[Event]:
        """The reply as server-sent events, numbered by `sequence_number`."""
        started = _response(reply, "in_progress", [])
        parts: list[tuple[JsonObject, dict[str, Any]]] = [
            ({"type": "response.created", "response": started}, {}),
            ({"type": "response.in_progress", "response": started}, {}),
        ]
        for index, (item, middle) in enumerate(_items(reply)):
            where = {"output_index": index}
            parts.append(
                ({"type": "response.output_item.added", **where, "item": _opened(item)}, {})
            )
            where["item_id"] = item["id"]
            parts += [({**payload, **where}, facts) for payload, facts in middle]
            parts.append(
                ({"type": "response.output_item.done", "output_index": index, "item": item}, {})
            )
        status, kind = _status(reply.turn.finish)
        response = _response(reply, status, [item for item, _ in _items(reply)])
        facts = {
            "usage": _usage(reply.turn.usage),
            "finish_reason": _INCOMPLETE_REASONS.get(reply.turn.finish, status),
        }
        parts.append(({"type": kind, "response": response}, facts))
        return [
            Event(sse({**payload, "sequence_number": number}, payload["type"]), **facts)
            for number, (payload, facts) in enumerate(parts)
        ]

    def error_body(self, error: ErrorStep) -> bytes:
        """The JSON body of an HTTP error."""
        return error_body(error, self.error_type(error))

    def error_event(self, error: ErrorStep, reply: Reply) -> Event:
        """`response.failed`, which breaks a stream off."""
        response = _response(reply, "failed", [])
        response["error"] = {"code": self.error_type(error), "message": error.message}
        number = error.after_events or 0
        payload = {"type": "response.failed", "response": response, "sequence_number": number}
        return Event(sse(payload, "response.failed"), finish_reason="failed")

    def error_type(self, error: ErrorStep) -> str:
        """The provider's word for the error."""
        return error_type(error)

    def rate_limit_headers(self, limits: RateLimits) -> list[tuple[str, str]]:
        """Rate limits under the provider's header names."""
        return rate_limit_headers(limits)


def _turns(items: list[JsonObject]) -> int:
    """How many responses of ours the input holds.

    A response's items follow one another, but a client may put each tool's output right after
    its call: a call whose id carries a response already counted opens no new turn.
    """
    turns = 0
    inside = False
    seen: set[str] = set()
    for item in items:
        kind = item.get("type", "message")
        generated = kind in ("reasoning", "function_call") or item.get("role") == "assistant"
        if generated:
            response = str(item.get("call_id") or item.get("id") or "")[:-2].rpartition("_")[2]
            if not inside and (not response or response not in seen):
                turns += 1
            seen.add(response)
        inside = generated
    return turns


def _items(reply: Reply) -> list[tuple[JsonObject, list[tuple[JsonObject, dict[str, Any]]]]]:
    """The output items, each with the events between its `added` and its `done`.

    An event is (payload, facts for `Event`).
    """
    turn = reply.turn
    items: list[tuple[JsonObject, list[tuple[JsonObject, dict[str, Any]]]]] = []
    if turn.thinking:
        items.append(_reasoning(turn.thinking))
    if turn.text:
        items.append(_message(turn.text))
    items += [_function_call(call) for call in _calls(reply)]
    return items


def _reasoning(
    pieces: tuple[str, ...],
) -> tuple[JsonObject, list[tuple[JsonObject, dict[str, Any]]]]:
    text = "".join(pieces)
    part = {"type": "summary_text", "text": text}
    prefix = "response.reasoning_summary"
    where = {"summary_index": 0}
    events: list[tuple[JsonObject, dict[str, Any]]] = [
        ({"type": f"{prefix}_part.added", **where, "part": {**part, "text": ""}}, {})
    ]
    events += [
        ({"type": f"{prefix}_text.delta", **where, "delta": piece}, {"content": True})
        for piece in pieces
    ]
    events.append(({"type": f"{prefix}_text.done", **where, "text": text}, {}))
    events.append(({"type": f"{prefix}_part.done", **where, "part": part}, {}))
    item = {"id": f"rs_{UNIQUE}00", "type": "reasoning", "summary": [part]}
    return item, events


def _message(
    pieces: tuple[str, ...],
) -> tuple[JsonObject, list[tuple[JsonObject, dict[str, Any]]]]:
    text = "".join(pieces)
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    where = {"content_index": 0}
    events: list[tuple[JsonObject, dict[str, Any]]] = [
        ({"type": "response.content_part.added", **where, "part": {**part, "text": ""}}, {})
    ]
    events += [
        (
            {"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []},
            {"content": True, "text": piece},
        )
        for piece in pieces
    ]
    events.append(
        ({"type": "response.output_text.done", **where, "text": text, "logprobs": []}, {})
    )
    events.append(({"type": "response.content_part.done", **where, "part": part}, {}))
    item = {
        "id": f"msg_{UNIQUE}00",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }
    return item, events


def _function_call(
    call: SentToolCall,
) -> tuple[JsonObject, list[tuple[JsonObject, dict[str, Any]]]]:
    namespace, _, name = call.name.rpartition("/")
    call = replace(call, name=name)
    prefix = "response.function_call_arguments"
    events: list[tuple[JsonObject, dict[str, Any]]] = [
        ({"type": f"{prefix}.delta", "delta": piece}, {"content": True})
        for piece in argument_pieces(call.arguments)
    ]
    done = {"type": f"{prefix}.done", "name": call.name, "arguments": call.arguments}
    events.append((done, {"tool_calls": (call,)}))
    item: JsonObject = {
        "id": call.tool_call_id.replace("call_", "fc_"),
        "type": "function_call",
        "status": "completed",
        "call_id": call.tool_call_id,
        "name": call.name,
        "arguments": call.arguments,
    }
    if namespace:
        item["namespace"] = namespace
    return item, events


def _opened(item: JsonObject) -> JsonObject:
    """An item as it stands before its first delta."""
    empty = {"summary": [], "content": [], "arguments": "", "status": "in_progress"}
    return {key: empty.get(key, value) for key, value in item.items()}


def _calls(reply: Reply) -> tuple[SentToolCall, ...]:
    return tuple(
        SentToolCall(f"call_{UNIQUE}{index:02d}", name, arguments)
        for index, (name, arguments) in enumerate(reply.tools)
    )


def _status(finish: str) -> tuple[str, str]:
    status = "incomplete" if finish in _INCOMPLETE_REASONS else "completed"
    return status, f"response.{status}"


def _response(reply: Reply, status: str, output: list[JsonObject]) -> JsonObject:
    finish = reply.turn.finish
    ended = status in ("completed", "incomplete")
    return {
        "id": f"resp_{UNIQUE}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": (
            {"reason": _INCOMPLETE_REASONS[finish]} if status == "incomplete" else None
        ),
        "instructions": None,
        "max_output_tokens": None,
        "model": reply.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": reply.previous_response_id,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": _wire_usage(reply.turn.usage) if ended else None,
        "user": None,
        "metadata": {},
    }


def _wire_usage(usage: TurnUsage) -> JsonObject:
    details = {"cached_tokens": usage.cache_read_tokens}
    if usage.cache_write_tokens:
        details["cache_write_tokens"] = usage.cache_write_tokens
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": details,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _usage(usage: TurnUsage) -> Usage:
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens or None,
        reasoning_tokens=usage.reasoning_tokens,
    )
