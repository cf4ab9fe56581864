"""Cohere's Chat API, version 2: `POST /v2/chat`, JSON or an event stream.

In: request and response bodies. Out: `LlmRequest`, `LlmResponse`. Format: Cohere's API reference,
"Chat API (v2)" and its streaming events. Tokens are the billed ones, which exclude those of
Cohere's own prompt templates (`usage.tokens` counts all). A response names no model.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import takewhile

from collector.http.events import RequestHead, ResponseHead
from collector.llm.body import BodyDecoder, joined
from collector.llm.endpoint import PostedTo
from collector.llm.fields import count, dump, mapping, objects, parse_object, text, word
from collector.llm.model import Json, JsonObject, LlmRequest, ToolCall, ToolResult, Usage

_PATH = re.compile(r"(?:^|/)v2/chat$")
_TEXTS = ("text", "thinking")  # kinds of content, and the fields that hold them


class CohereChat(PostedTo):
    """The `Api` of Cohere's chat."""

    name = "cohere.chat"
    operation = "chat"
    path = _PATH
    native_provider = "cohere"

    def has_shape(self, body: JsonObject) -> bool:
        """Parameters that only this API has beside messages."""
        ours = ("citation_options", "safety_mode", "strict_tools")
        return type(body.get("messages")) is list and any(key in body for key in ours)

    def parse_request(self, head: RequestHead, body: bytes) -> LlmRequest | None:
        """The request, or None when the body is not of this API's shape."""
        request = parse_object(body)
        if request is None or type(request.get("messages")) is not list:
            return None
        model = word(request, "model")
        if model is None:
            return None
        everything = request.pop("messages")
        system = list(takewhile(_is_instruction, everything))
        messages = everything[len(system) :]
        tools = request.pop("tools", None)
        return LlmRequest(
            request_model=model,
            stream=request.get("stream") is True,
            system=tuple(system),
            messages=tuple(messages),
            tools=tuple(tools) if type(tools) is list else (),
            params={key: value for key, value in request.items() if key not in ("model", "stream")},
            tool_results=tuple(_tool_results(messages)),
        )

    def response_decoder(self, head: ResponseHead, request: LlmRequest) -> CohereChatResponse:
        """A decoder for the response that begins with `head`."""
        return CohereChatResponse(head)


class CohereChatResponse(BodyDecoder):
    """Accumulates one message. `output` is the assistant message as an unstreamed body has it."""

    def __init__(self, head: ResponseHead) -> None:
        super().__init__(head)
        self._whole: JsonObject | None = None
        self._plan: list[str] = []
        self._content: dict[int, _Piece] = {}
        self._calls: dict[int, _Piece] = {}
        self._citations: list[Json] = []
        self._counts: Usage | None = None
        self._handlers: dict[str, Callable[[JsonObject, JsonObject], None]] = {
            "content-delta": self._content_delta,
            "content-start": self._content_start,
            "tool-plan-delta": self._plan_delta,
            "tool-call-start": self._call_start,
            "tool-call-delta": self._call_delta,
            "tool-call-end": self._call_end,
            "citation-start": self._citation,
        }

    def _take_event(self, event: JsonObject) -> None:
        kind = event.get("type")
        handler = self._handlers.get(kind) if type(kind) is str else None
        if handler is not None:
            handler(event, mapping(mapping(event, "delta"), "message"))
        elif kind == "message-start":
            self._response_id = word(event, "id") or self._response_id
        elif kind == "message-end":
            self._message_end(mapping(event, "delta"))
        elif kind is None and ("message" in event or "error" in event):
            self._fail(event)

    def _take_json(self, body: JsonObject) -> None:
        self._response_id = word(body, "id")
        message = mapping(body, "message")
        if message:
            self._whole = message
            self._message_end(body)
            for index, call in enumerate(objects(message, "tool_calls")):
                self._call_start({"index": index}, {"tool_calls": call})
            for call_piece in self._calls.values():
                call_piece.stopped_ns = self._now_ns
            self._chunk_ns.clear()
        self._ended = bool(message)

    def _content_start(self, event: JsonObject, message: JsonObject) -> None:
        index, start = event.get("index"), mapping(message, "content")
        if type(index) is int and self._has_room(self._event_bytes):
            piece = self._content[index] = _Piece(start)
            for key in _TEXTS:
                self._extend(piece, text(start, key))

    def _content_delta(self, event: JsonObject, message: JsonObject) -> None:
        index, delta = event.get("index"), mapping(message, "content")
        if type(index) is not int:
            return
        for key in _TEXTS:
            said = text(delta, key)
            if said is None:
                continue
            piece = self._content.get(index)
            if piece is None:  # the stream was joined inside this content
                if not self._has_room(self._event_bytes):
                    return
                piece = self._content[index] = _Piece({"type": key})
            self._extend(piece, said)

    def _plan_delta(self, event: JsonObject, message: JsonObject) -> None:
        said = text(message, "tool_plan")
        if said and self._has_room(len(said)):
            self._plan.append(said)
            self._chunk_ns.append(self._now_ns)

    def _call_start(self, event: JsonObject, message: JsonObject) -> None:
        index, call = event.get("index"), mapping(message, "tool_calls")
        if type(index) is int and self._has_room(self._event_bytes):
            piece = self._calls[index] = _Piece(call)
            self._extend(piece, text(mapping(call, "function"), "arguments"))

    def _call_delta(self, event: JsonObject, message: JsonObject) -> None:
        index = event.get("index")
        call = self._calls.get(index) if type(index) is int else None
        if call is not None:
            function = mapping(mapping(message, "tool_calls"), "function")
            self._extend(call, text(function, "arguments"))

    def _call_end(self, event: JsonObject, message: JsonObject) -> None:
        index = event.get("index")
        call = self._calls.get(index) if type(index) is int else None
        if call is not None:
            call.stopped_ns = self._now_ns

    def _citation(self, event: JsonObject, message: JsonObject) -> None:
        if message.get("citations") and self._has_room(self._event_bytes):
            self._citations.append(message["citations"])

    def _extend(self, piece: _Piece, said: str | None) -> None:
        if said and self._has_room(len(said)):
            piece.pieces.append(said)
            piece.last_ns = self._now_ns
            self._chunk_ns.append(self._now_ns)

    def _message_end(self, end: JsonObject) -> None:
        self._finish_reason = word(end, "finish_reason") or self._finish_reason
        self._counts = _usage_of(mapping(end, "usage")) or self._counts
        if end.get("error"):
            self._fail(end)
        self._ended = True

    def _usage(self) -> Usage | None:
        return self._counts

    def _output(self) -> tuple[Json, ...]:
        if self._whole is not None:
            return (self._whole,)
        message: JsonObject = {"role": "assistant"}
        if self._calls:
            calls = [call.as_call() for _, call in sorted(self._calls.items())]
            message["tool_calls"] = calls
        if self._plan:
            message["tool_plan"] = joined(self._plan)
        if self._content:
            message["content"] = [piece.as_text() for _, piece in sorted(self._content.items())]
        if self._citations:
            message["citations"] = list(self._citations)
        return (message,) if len(message) > 1 else ()

    def _tool_calls(self, final: bool) -> tuple[ToolCall, ...]:
        return tuple(
            ToolCall(
                word(call.start, "id"),
                name,
                joined(call.pieces),
                call.stopped_ns or call.last_ns or self._now_ns,
            )
            for _, call in sorted(self._calls.items())
            if (name := word(mapping(call.start, "function"), "name")) is not None
            and (final or call.stopped_ns is not None)
        )


class _Piece:
    """A content part or a tool call: as it started, and the text that extends it."""

    __slots__ = ("last_ns", "pieces", "start", "stopped_ns")

    def __init__(self, start: JsonObject) -> None:
        self.start = start
        self.pieces: list[str] = []
        self.last_ns: int | None = None
        self.stopped_ns: int | None = None

    def as_text(self) -> JsonObject:
        """A content part with its text joined."""
        key = "thinking" if self.start.get("type") == "thinking" else "text"
        return {**self.start, key: joined(self.pieces)}

    def as_call(self) -> JsonObject:
        """A tool call with its arguments joined."""
        function = {**mapping(self.start, "function"), "arguments": joined(self.pieces)}
        return {**self.start, "function": function}


def _usage_of(usage: JsonObject) -> Usage | None:
    billed, all_tokens = mapping(usage, "billed_units"), mapping(usage, "tokens")
    source = billed if "input_tokens" in billed or "output_tokens" in billed else all_tokens
    found = Usage(
        input_tokens=count(source, "input_tokens"),
        output_tokens=count(source, "output_tokens"),
        cache_read_tokens=count(usage, "cached_tokens"),
    )
    return None if found == Usage() else found


def _is_instruction(message: Json) -> bool:
    return type(message) is dict and message.get("role") in ("system", "developer")


def _tool_results(messages: list[Json]) -> list[ToolResult]:
    return [
        ToolResult(tool_call_id, _result_text(message.get("content")), None)
        for message in messages
        if type(message) is dict
        and message.get("role") == "tool"
        and (tool_call_id := word(message, "tool_call_id")) is not None
    ]


def _result_text(content: Json) -> str:
    """A string, or text blocks and documents, whose data is text or JSON."""
    if type(content) is str:
        return content
    parts = []
    for block in content if type(content) is list else ():
        if type(block) is not dict:
            continue
        said = text(block, "text")
        data = mapping(block, "document").get("data")
        if said is None and data is not None:
            said = data if type(data) is str else dump(data)
        if said is not None:
            parts.append(said)
    return "\n".join(parts)
