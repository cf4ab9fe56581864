"""OpenAI's Chat Completions API: `POST .../chat/completions`, JSON or an event stream.

In: request and response bodies. Out: `LlmRequest`, `LlmResponse`. Format: OpenAI's API
reference, "Chat Completions", plus what compatible servers add: reasoning fields, DeepSeek's
cache counts, OpenRouter's and xAI's cost, tool calls without an index.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from collector.http.events import RequestHead, ResponseHead
from collector.llm.body import BodyDecoder, joined
from collector.llm.endpoint import PostedTo, deployment_of
from collector.llm.fields import (
    dump,
    mapping,
    objects,
    parse_object,
    text_parts,
    word,
)
from collector.llm.model import (
    Json,
    JsonObject,
    LlmRequest,
    ToolCall,
    ToolResult,
    ToolResults,
    Usage,
)
from collector.llm.openai_usage import usage_of, usage_of_timings

_PATH = re.compile(r"(?:^|/)chat/completions$")
# Settings of Ollama and of Cohere, whose messages and tools look alike.
_OF_OTHERS = (
    *("options", "keep_alive", "think", "format"),
    *("citation_options", "safety_mode", "strict_tools"),
)
_GENERATED = ("content", "reasoning_content", "reasoning", "reasoning_text", "refusal")


class OpenAiChat(PostedTo):
    """The `Api` of OpenAI, Azure and the many servers that speak its format."""

    name = "openai.chat"
    operation = "chat"
    path = _PATH
    native_provider = "openai"

    def has_shape(self, body: JsonObject) -> bool:
        """Messages, of which the first may be the system's, and functions for tools."""
        messages = objects(body, "messages")
        if not messages or "system" in body or word(body, "model") is None:
            return False
        if any(key in body for key in _OF_OTHERS):
            return False
        tools = objects(body, "tools")
        if tools:
            return all("function" in tool or "custom" in tool for tool in tools)
        return "stream_options" in body or _is_instruction(messages[0])

    def parse_request(
        self,
        head: RequestHead,
        body: bytes,
    ) -> LlmRequest | None:
        """The request, or None when the body is not of this API's shape.

        System and developer messages at the start go to `system`; Azure's path names a deployment.
        """
        request = parse_object(body)
        if request is None or type(request.get("messages")) is not list:
            return None
        everything = request.pop("messages")
        system = list(takewhile(_is_instruction, everything))
        messages = everything[len(system) :]
        tools = request.pop("tools", None)
        return LlmRequest(
            request_model=word(request, "model") or deployment_of(head),
            stream=request.get("stream") is True,
            system=tuple(system),
            messages=tuple(messages),
            tools=tuple(tools) if type(tools) is list else (),
            params={key: value for key, value in request.items() if key not in ("model", "stream")},
            tool_results=ToolResults(messages, _tool_results),
        )

    def response_decoder(
        self,
        head: ResponseHead,
        request: LlmRequest,
    ) -> OpenAiChatResponse:
        """A decoder for the response that begins with `head`."""
        return OpenAiChatResponse(head)


class OpenAiChatResponse(BodyDecoder):
    """Accumulates one completion. `output` holds the assistant message of each choice."""

    def __init__(self, head: ResponseHead) -> None:
        super().__init__(head)
        self._choices: dict[int, _Choice] = {}
        self._counts: Usage | None = None
        self._timed: Usage | None = None  # as llama.cpp counts, where nothing else does

    def _take_event(self, event: JsonObject) -> None:
        choices = event.get("choices")
        if type(choices) is list:
            for delta in choices:
                if type(delta) is dict:
                    self._choice_delta(delta)
        if self._model is None or self._response_id is None:
            self._take_names(event)
        if event.get("usage") is not None or "x_groq" in event or "timings" in event:
            self._take_usage(event)
        if event.get("error") or event.get("object") == "error":
            self._fail(event)

    def _take_json(self, body: JsonObject) -> None:
        if body.get("error"):
            self._fail(body)
            return
        self._take_names(body)
        self._take_usage(body)
        for index, entry in enumerate(objects(body, "choices")):
            choice = self._choices[index] = _Choice()
            choice.whole = mapping(entry, "message")
            choice.finish_reason = word(entry, "finish_reason")
            for position, call in enumerate(objects(choice.whole, "tool_calls")):
                self._call_delta(choice, position, call)
            legacy = mapping(choice.whole, "function_call")
            if legacy:
                self._call_delta(choice, "function_call", {"function": legacy})
        self._chunk_ns.clear()
        self._finish_reason = self._first_finish_reason()
        self._ended = type(body.get("choices")) is list

    def _take_names(self, body: JsonObject) -> None:
        self._response_id = self._response_id or word(body, "id")
        self._model = self._model or word(body, "model")
        self._service_tier = word(body, "service_tier") or self._service_tier

    def _choice_delta(self, entry: JsonObject) -> None:
        index = entry.get("index", 0)
        if type(index) is not int:
            return
        choice = self._choices.get(index)
        if choice is None:
            if not self._has_room(self._event_bytes):
                return
            choice = self._choices[index] = _Choice()
            self._ended = False
        delta = entry.get("delta")
        if type(delta) is dict:
            for key, value in delta.items():
                if type(value) is str:
                    self._text_delta(choice, key, value)
                elif key == "tool_calls" and type(value) is list:
                    for call in value:
                        if type(call) is dict:
                            self._call_delta(choice, call.get("index"), call)
                elif key == "function_call" and type(value) is dict:
                    self._call_delta(choice, key, {"type": key, "function": value})
                elif value is not None or key not in choice.message:
                    self._other_delta(choice, key, value)
        reason = entry.get("finish_reason")
        if reason and type(reason) is str:
            choice.finish_reason = reason
            self._finish_reason = self._first_finish_reason()
            self._ended = all(choice.finish_reason for choice in self._choices.values())
            if "usage" in entry:  # Moonshot
                self._take_usage(entry)

    def _text_delta(self, choice: _Choice, key: str, piece: str) -> None:
        pieces = choice.texts.get(key)
        if not self._has_room(self._event_bytes if pieces is None else len(piece)):
            return
        if piece and key in _GENERATED:
            self._chunk_ns.append(self._now_ns)
        if pieces is None:
            choice.texts[key] = [piece]
        elif key != "role" and piece:  # some servers repeat the role in every delta
            pieces.append(piece)

    def _call_delta(self, choice: _Choice, index: Json, delta: JsonObject) -> None:
        """Extend a tool call. Its id and name come once; a new id begins a new call."""
        call_id = word(delta, "id")
        call = choice.call_at(index, call_id)
        if call is None:
            if not self._has_room(self._event_bytes):
                return
            call = choice.begin_call(index)
        kind = word(delta, "type")
        if kind is not None:
            call.kind = kind
        elif "custom" in delta:
            call.kind = "custom"
        call.call_id = call.call_id or call_id
        detail = mapping(delta, "custom" if call.kind == "custom" else "function")
        call.name = call.name or word(detail, "name")
        arguments = detail.get("input" if call.kind == "custom" else "arguments")
        if type(arguments) is dict:  # servers that do not serialise them
            arguments = dump(arguments)
        if type(arguments) is str and arguments and self._has_room(len(arguments)):
            self._chunk_ns.append(self._now_ns)
            call.pieces.append(arguments)
        call.last_ns = self._now_ns

    def _other_delta(self, choice: _Choice, key: str, value: Json) -> None:
        """Fields outside the standard: lists grow, objects and scalars are replaced."""
        if not self._has_room(self._event_bytes):
            return
        held = choice.message.get(key)
        if type(held) is list and type(value) is list:
            held.extend(value)
        elif type(held) is dict and type(value) is dict:
            held.update(value)
        else:
            choice.message[key] = value
        if value and key in _GENERATED:
            self._chunk_ns.append(self._now_ns)

    def _first_finish_reason(self) -> str | None:
        reasons = (choice.finish_reason for _, choice in sorted(self._choices.items()))
        return next((reason for reason in reasons if reason), None)

    def _take_usage(self, body: JsonObject) -> None:
        usage = mapping(body, "usage") or mapping(mapping(body, "x_groq"), "usage")
        self._counts = usage_of(usage) or self._counts
        if "timings" in body:
            self._timed = usage_of_timings(body) or self._timed
        self._service_tier = word(body, "service_tier") or self._service_tier

    def _usage(self) -> Usage | None:
        return self._counts or self._timed

    def _output(self) -> tuple[Json, ...]:
        return tuple(choice.joined_message() for _, choice in sorted(self._choices.items()))

    def _tool_calls(self, final: bool) -> tuple[ToolCall, ...]:
        calls = []
        for _, choice in sorted(self._choices.items()):
            whole = final or choice.finish_reason is not None
            for call in choice.calls if whole else choice.calls[:-1]:
                if call.name is not None:
                    calls.append(
                        ToolCall(call.call_id, call.name, joined(call.pieces), call.last_ns)
                    )
        return tuple(calls)


class _Choice:
    """One choice: text fields as pieces, tool calls in order, other fields in `message`."""

    __slots__ = ("_calls_at", "calls", "finish_reason", "message", "texts", "whole")

    def __init__(self) -> None:
        self.whole: JsonObject | None = None  # the message of an unstreamed response
        self.message: JsonObject = {}
        self.texts: dict[str, list[str]] = {}
        self.calls: list[_Call] = []
        self.finish_reason: str | None = None
        self._calls_at: dict[int | str, _Call] = {}

    def call_at(self, index: Json, call_id: str | None) -> _Call | None:
        """The call that a delta extends; without an index, the last one."""
        if type(index) in (int, str):
            call = self._calls_at.get(index)
        else:
            call = self.calls[-1] if self.calls else None
        if call is not None and call_id and call.call_id and call.call_id != call_id:
            return None
        return call

    def begin_call(self, index: Json) -> _Call:
        """Add a call for `index`."""
        call = _Call()
        self.calls.append(call)
        if type(index) in (int, str):
            self._calls_at[index] = call
        return call

    def joined_message(self) -> JsonObject:
        """The assistant message in the shape of an unstreamed response."""
        if self.whole is not None:
            return self.whole
        message: JsonObject = {"role": "assistant", "content": None, **self.message}
        for key, pieces in self.texts.items():
            held = message.get(key)
            if type(held) is list:  # content in parts (Mistral's thinking), then plain text
                message[key] = [*held, {"type": "text", "text": joined(pieces)}]
            else:
                message[key] = joined(pieces)
        tool_calls = [call.as_json() for call in self.calls if call.kind != "function_call"]
        if tool_calls:
            message["tool_calls"] = tool_calls
        for call in self.calls:
            if call.kind == "function_call":
                message["function_call"] = call.as_json()["function"]
        return message


class _Call:
    """A tool call under construction."""

    __slots__ = ("call_id", "kind", "last_ns", "name", "pieces")

    def __init__(self) -> None:
        self.call_id: str | None = None
        self.kind = "function"
        self.name: str | None = None
        self.pieces: list[str] = []
        self.last_ns = 0

    def as_json(self) -> JsonObject:
        """The call as an unstreamed message holds it."""
        if self.kind == "custom":
            detail: JsonObject = {"name": self.name, "input": joined(self.pieces)}
        else:
            detail = {"name": self.name, "arguments": joined(self.pieces)}
        key = "custom" if self.kind == "custom" else "function"
        return {"id": self.call_id, "type": self.kind, key: detail}


def _is_instruction(message: Json) -> bool:
    return type(message) is dict and message.get("role") in ("system", "developer")


def _tool_results(messages: Sequence[Json]) -> list[ToolResult]:
    return [
        ToolResult(tool_call_id, text_parts(message.get("content")), None)
        for message in messages
        if type(message) is dict
        and message.get("role") == "tool"
        and (tool_call_id := word(message, "tool_call_id")) is not None
    ]
