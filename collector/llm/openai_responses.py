"""OpenAI's Responses API: `POST .../responses` (and `/compact`), JSON or an event stream.

In: request and response bodies. Out: `LlmRequest`, `LlmResponse`. Format: OpenAI's API
reference, "Responses" and its streaming events. Items are accumulated from their deltas, so
that a cut stream shows what it held; `*.done` events and the final response replace them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from collector.http.events import RequestHead, ResponseHead
from collector.llm.body import BodyDecoder, joined
from collector.llm.endpoint import PostedTo
from collector.llm.fields import dump, mapping, objects, parse_object, text, text_parts, word
from collector.llm.model import (
    Json,
    JsonObject,
    LlmRequest,
    LlmResponse,
    ToolCall,
    ToolResult,
    ToolResults,
    Usage,
)
from collector.llm.openai_usage import usage_of

_PATH = re.compile(r"(?:^|/)responses(?:/compact)?$")
_ASKS = ("input", "prompt", "previous_response_id", "conversation")
_MAX_LIMIT_EVENTS = 16
_TERMINAL = ("completed", "incomplete", "failed", "cancelled")
# item type -> (name of the tool, None: the item's own, field with its arguments)
_TOOL_ITEMS: dict[object, tuple[str | None, str]] = {
    "function_call": (None, "arguments"),
    "custom_tool_call": (None, "input"),
    "mcp_call": (None, "arguments"),
    "local_shell_call": ("local_shell", "action"),
    "shell_call": ("shell", "action"),
    "apply_patch_call": ("apply_patch", "operation"),
    "computer_call": ("computer", "action"),
    "web_search_call": ("web_search", "action"),
    "file_search_call": ("file_search", "queries"),
    "code_interpreter_call": ("code_interpreter", "code"),
    "tool_search_call": ("tool_search", "arguments"),
}
# event `response.<name>.delta` -> (item type, list field, its index in the event, part type,
# text field); without a list the text field is the item's own
_DELTAS: dict[object, tuple[str, str, str, str, str]] = {
    "output_text": ("message", "content", "content_index", "output_text", "text"),
    "refusal": ("message", "content", "content_index", "refusal", "refusal"),
    "reasoning_text": ("reasoning", "content", "content_index", "reasoning_text", "text"),
    "reasoning_summary_text": ("reasoning", "summary", "summary_index", "summary_text", "text"),
    "function_call_arguments": ("function_call", "", "", "", "arguments"),
    "custom_tool_call_input": ("custom_tool_call", "", "", "", "input"),
    "mcp_call_arguments": ("mcp_call", "", "", "", "arguments"),
    "code_interpreter_call_code": ("code_interpreter_call", "", "", "", "code"),
}


class OpenAiResponses(PostedTo):
    """The `Api` of OpenAI's Responses, also Azure's, Codex's and OpenRouter's."""

    name = "openai.responses"
    operation = "chat"
    path = _PATH
    native_provider = "openai"

    def has_shape(self, body: JsonObject) -> bool:
        """`input` with what only this API has beside it."""
        if type(body.get("input")) not in (list, str) or "messages" in body:
            return False
        return any(key in body for key in ("instructions", "store", "previous_response_id"))

    def parse_request(
        self,
        head: RequestHead,
        body: bytes,
    ) -> LlmRequest | None:
        """The request, or None when the body is not of this API's shape.

        A string `input` is one user message, as the API defines it. With `generate: false` the
        server only makes ready what a later request goes on from, and that may hold no message.
        """
        request = parse_object(body)
        if request is None:
            return None
        warms_up = request.get("generate") is False
        if not warms_up and not any(request.get(key) for key in _ASKS):
            return None
        model = word(request, "model")
        asked = request.pop("input", None)
        if type(asked) is str:
            asked = [{"role": "user", "content": asked}]
        messages = asked if type(asked) is list else []
        if model is None and not messages and not request.get("prompt"):
            return None
        instructions = request.pop("instructions", None)
        tools = request.pop("tools", None)
        return LlmRequest(
            request_model=model,
            stream=request.get("stream") is True,
            system=(instructions,) if instructions else (),
            messages=tuple(messages),
            tools=tuple(tools) if type(tools) is list else (),
            params={key: value for key, value in request.items() if key not in ("model", "stream")},
            tool_results=ToolResults(messages, _tool_results),
            previous_response_id=word(request, "previous_response_id"),
            conversation_id=word(request, "conversation")
            or word(mapping(request, "conversation"), "id"),
        )

    def response_decoder(
        self,
        head: ResponseHead,
        request: LlmRequest,
    ) -> OpenAiResponsesResponse:
        """A decoder for the response that begins with `head`."""
        return OpenAiResponsesResponse(head)


class OpenAiResponsesResponse(BodyDecoder):
    """Accumulates one response. `output` holds its output items.

    `finish_reason` is the reason of an incomplete response, else the response's final status.
    """

    def __init__(self, head: ResponseHead) -> None:
        super().__init__(head)
        self._items: dict[int, _Item] = {}
        self._final: list[JsonObject] = []  # the output that the final response repeats
        self._done_ns: dict[str, int] = {}  # item or call id -> time when it was whole
        self._counts: Usage | None = None
        self._limit_events: list[JsonObject] = []
        self._handlers: dict[object, Callable[[JsonObject], None]] = {
            "response.output_item.added": self._item_added,
            "response.output_item.done": self._item_done,
            "response.content_part.added": self._part_added,
            "response.content_part.done": self._part_added,
            "response.reasoning_summary_part.added": self._part_added,
            "response.reasoning_summary_part.done": self._part_added,
            "error": self._fail,
            "codex.rate_limits": self._limits_told,
        }
        for name, shape in _DELTAS.items():
            self._handlers[f"response.{name}.delta"] = _bound(self._delta, shape)
            self._handlers[f"response.{name}.done"] = _bound(self._text_done, shape)
        for status in ("created", "queued", "in_progress", *_TERMINAL):
            self._handlers[f"response.{status}"] = self._lifecycle

    def _take_event(self, event: JsonObject) -> None:
        kind = event.get("type")
        handler = self._handlers.get(kind) if type(kind) is str else None
        if handler is not None:
            handler(event)
        elif kind is None and event.get("error"):
            self._fail(event)

    def _take_json(self, body: JsonObject) -> None:
        if body.get("error") and type(body.get("output")) is not list:
            self._fail(body)
            return
        self._take_response(body)
        self._ended = type(body.get("output")) is list

    def _limits_told(self, event: JsonObject) -> None:
        if len(self._limit_events) < _MAX_LIMIT_EVENTS and self._has_room(self._event_bytes):
            self._limit_events.append(event)

    def _response(self, final: bool, complete: bool) -> LlmResponse:
        response = super()._response(final, complete)
        if self._limit_events:
            response = replace(response, limit_events=tuple(self._limit_events))
        return response

    def _lifecycle(self, event: JsonObject) -> None:
        self._take_response(mapping(event, "response"))
        self._ended = self._ended or str(event["type"]).removeprefix("response.") in _TERMINAL

    def _take_response(self, response: JsonObject) -> None:
        self._response_id = word(response, "id") or self._response_id
        self._model = word(response, "model") or self._model
        self._service_tier = word(response, "service_tier") or self._service_tier
        self._counts = usage_of(mapping(response, "usage")) or self._counts
        status = word(response, "status")
        if status in _TERMINAL:
            reason = word(mapping(response, "incomplete_details"), "reason")
            self._finish_reason = reason or status
        if response.get("error"):
            self._fail(response)
        output = objects(response, "output")
        if output and self._has_room(self._event_bytes):
            self._final = output

    def _item_added(self, event: JsonObject) -> None:
        index = event.get("output_index")
        if type(index) is int and self._has_room(self._event_bytes):
            self._items[index] = _Item(mapping(event, "item"))

    def _item_done(self, event: JsonObject) -> None:
        index, item = event.get("output_index"), mapping(event, "item")
        self._note_done(item)
        if type(index) is int and item and self._has_room(self._event_bytes):
            held = self._items[index] = _Item(item)
            held.done = True

    def _part_added(self, event: JsonObject) -> None:
        in_summary = "summary_index" in event
        part = event.get("summary_index" if in_summary else "content_index")
        item, start = self._item(event, None), mapping(event, "part")
        if item is not None and type(part) is int and self._has_room(self._event_bytes):
            item.parts[("summary" if in_summary else "content", part)] = _Part.of(start)

    def _delta(self, event: JsonObject, shape: tuple[str, str, str, str, str]) -> None:
        piece = event.get("delta")
        if type(piece) is not str or not piece:
            return
        if not self._has_room(len(piece)):
            return
        self._chunk_ns.append(self._now_ns)
        part = self._part(event, shape)
        if part is not None:
            part.pieces.append(piece)

    def _text_done(self, event: JsonObject, shape: tuple[str, str, str, str, str]) -> None:
        """The whole text of a part; it also makes good deltas that were missed."""
        if not shape[1]:
            self._note_done({"id": event.get("item_id")})
        whole = event.get(shape[4])
        part = self._part(event, shape)
        if part is not None and type(whole) is str and self._has_room(len(whole)):
            part.pieces = [whole]

    def _part(self, event: JsonObject, shape: tuple[str, str, str, str, str]) -> _Part | None:
        item_type, field, index_key, part_type, text_field = shape
        item = self._item(event, item_type)
        index = event.get(index_key) if field else 0
        if item is None or item.done or type(index) is not int:
            return None
        key = (field or text_field, index)
        part = item.parts.get(key)
        if part is None and self._has_room(self._event_bytes):
            part = item.parts[key] = _Part({"type": part_type}, text_field)
        return part

    def _item(self, event: JsonObject, item_type: str | None) -> _Item | None:
        """The item of an event. One whose start was missed is begun, when its type is known."""
        index = event.get("output_index")
        if type(index) is not int:
            return None
        item = self._items.get(index)
        if item is None and item_type is not None and self._has_room(self._event_bytes):
            item = self._items[index] = _Item({"type": item_type, "id": event.get("item_id")})
        return item

    def _note_done(self, item: JsonObject) -> None:
        for key in ("id", "call_id"):
            name = word(item, key)
            if name is not None and self._has_room(len(name)):
                self._done_ns.setdefault(name, self._now_ns)

    def _usage(self) -> Usage | None:
        return self._counts

    def _output(self) -> tuple[Json, ...]:
        if self._final:
            return tuple(self._final)
        return tuple(item.joined_item() for _, item in sorted(self._items.items()))

    def _tool_calls(self, final: bool) -> tuple[ToolCall, ...]:
        calls = []
        for item in self._output():
            kind = item.get("type")
            name, field = _TOOL_ITEMS.get(kind, (None, "")) if type(kind) is str else (None, "")
            name = name or word(item, "name")
            done_ns = self._done_ns.get(word(item, "id") or "")
            done_ns = done_ns or self._done_ns.get(word(item, "call_id") or "")
            if not field or name is None or (done_ns is None and not final):
                continue
            arguments = item.get(field)
            calls.append(
                ToolCall(
                    tool_call_id=word(item, "call_id") or word(item, "id"),
                    name=name,
                    arguments=arguments if type(arguments) is str else dump(arguments),
                    requested_ns=done_ns or self._now_ns,
                )
            )
        return tuple(calls)


class _Part:
    """A text under construction: `start` is what surrounds it, `field` where it goes."""

    __slots__ = ("field", "pieces", "start")

    def __init__(self, start: JsonObject, field: str) -> None:
        self.start = start
        self.field = field
        first = text(start, field)
        self.pieces: list[str] = [first] if first else []

    @staticmethod
    def of(start: JsonObject) -> _Part:
        """A part as an event brought it."""
        return _Part(start, "refusal" if start.get("type") == "refusal" else "text")


class _Item:
    """An output item: as it was added, and its parts by (field, index)."""

    __slots__ = ("done", "parts", "start")

    def __init__(self, start: JsonObject) -> None:
        self.start = start
        self.done = False
        self.parts: dict[tuple[str, int], _Part] = {}

    def joined_item(self) -> JsonObject:
        """The item with its parts joined."""
        if self.done or not self.parts:
            return self.start
        item = dict(self.start)
        for field in ("content", "summary"):
            parts = [part for (held, _), part in sorted(self.parts.items()) if held == field]
            if parts:
                item[field] = [{**part.start, part.field: joined(part.pieces)} for part in parts]
        for (field, _), part in self.parts.items():
            if field not in ("content", "summary"):
                item[field] = joined(part.pieces)
        return item


def _bound(
    method: Callable[[JsonObject, tuple[str, str, str, str, str]], None],
    shape: tuple[str, str, str, str, str],
) -> Callable[[JsonObject], None]:
    return lambda event: method(event, shape)


def _tool_results(messages: Sequence[Json]) -> list[ToolResult]:
    """Outputs of calls among the input items, whatever the tool; the API has no error flag."""
    results = []
    for item in messages:
        if type(item) is not dict or not (word(item, "type") or "").endswith("_call_output"):
            continue
        tool_call_id = word(item, "call_id") or word(item, "id")
        if tool_call_id is not None:
            output = item.get("output")
            plain = type(output) in (str, list)
            results.append(
                ToolResult(tool_call_id, text_parts(output) if plain else dump(output), None)
            )
    return results
