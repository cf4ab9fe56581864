"""Ollama's own API: `POST /api/chat`, `/api/generate`, `/api/embed` and `/api/embeddings`.

In: request and response bodies. Out: `LlmRequest`, `LlmResponse`. Format: docs.ollama.com/api. A
response is a stream of JSON lines unless the request says otherwise; its last line has `done` and
the counts, of which `prompt_eval_count` may be missing. Older servers give tool calls no ids, and
clients drop or replace those that newer ones give: see `call_matching`. Durations and vectors
are not kept; nor is `context`, the conversation as token numbers, of which `context_count` is.
"""

from __future__ import annotations

import re
from itertools import takewhile

from collector.http.events import RequestHead, ResponseHead
from collector.llm.body import BodyDecoder, joined
from collector.llm.call_matching import MatchIds, OpenCalls
from collector.llm.embedding_body import EmbeddingBody
from collector.llm.endpoint import PostedTo
from collector.llm.fields import count, dump, mapping, objects, parse_object, text, word
from collector.llm.model import Json, JsonObject, LlmRequest, ToolCall, ToolResult, Usage
from collector.llm.prompts import prompt_messages

_SETTINGS = ("options", "keep_alive", "think", "format")


class OllamaChat(PostedTo):
    """The `Api` of `/api/chat`."""

    name = "ollama.chat"
    operation = "chat"
    path = re.compile(r"(?:^|/)api/chat$")
    native_provider = "ollama"

    def has_shape(self, body: JsonObject) -> bool:
        """Messages, and settings that no other API has."""
        return type(body.get("messages")) is list and _has_settings(body)

    def parse_request(self, head: RequestHead, body: bytes) -> LlmRequest | None:
        """The request; None when the body is not of this API's shape, or holds no message: such
        a request loads the model, or unloads it."""
        request = parse_object(body)
        messages = request.pop("messages", None) if request is not None else None
        model = word(request or {}, "model")
        if request is None or model is None or type(messages) is not list or not messages:
            return None
        system = list(takewhile(_is_system, messages))
        messages = messages[len(system) :]
        tools = request.pop("tools", None)
        return LlmRequest(
            request_model=model,
            stream=request.get("stream") is not False,
            system=tuple(system),
            messages=tuple(messages),
            tools=tuple(tools) if type(tools) is list else (),
            params=_params(request),
            tool_results=tuple(_tool_results(messages)),
        )

    def response_decoder(self, head: ResponseHead, request: LlmRequest) -> OllamaResponse:
        """A decoder for the response that begins with `head`."""
        return OllamaResponse(head, request)


class OllamaGenerate(PostedTo):
    """The `Api` of `/api/generate`, whose prompt is one message of the user's."""

    name = "ollama.generate"
    operation = "text_completion"
    path = re.compile(r"(?:^|/)api/generate$")
    native_provider = "ollama"

    def has_shape(self, body: JsonObject) -> bool:
        """A prompt, and settings that no other API has."""
        return type(body.get("prompt")) is str and _has_settings(body)

    def parse_request(self, head: RequestHead, body: bytes) -> LlmRequest | None:
        """The request; None when the body is not of this API's shape, or has no prompt: such a
        request loads the model, or unloads it."""
        request = parse_object(body)
        prompt = request.pop("prompt", None) if request is not None else None
        model = word(request or {}, "model")
        if request is None or model is None or type(prompt) is not str or not prompt:
            return None
        images, system = request.pop("images", None), request.pop("system", None)
        message: JsonObject = {"role": "user", "content": prompt}
        if images:
            message["images"] = images
        context = request.pop("context", None)
        params = _params(request)
        if type(context) is list:
            params["context_count"] = len(context)
        return LlmRequest(
            request_model=model,
            stream=request.get("stream") is not False,
            system=({"role": "system", "content": system},) if system else (),
            messages=(message,),
            params=params,
        )

    def response_decoder(self, head: ResponseHead, request: LlmRequest) -> OllamaResponse:
        """A decoder for the response that begins with `head`."""
        return OllamaResponse(head, request)


class OllamaEmbeddings(PostedTo):
    """The `Api` of `/api/embed`, and of `/api/embeddings` before it."""

    name = "ollama.embeddings"
    operation = "embeddings"
    path = re.compile(r"(?:^|/)api/embed(?:dings)?$")
    native_provider = "ollama"

    def has_shape(self, body: JsonObject) -> bool:
        """Never: `model` and `input` are what other embeddings have, too."""
        return False

    def parse_request(self, head: RequestHead, body: bytes) -> LlmRequest | None:
        """The request; None when it has nothing to embed. A message is what one vector is asked
        for."""
        request = parse_object(body)
        if request is None:
            return None
        asked = request.pop("input", None) or request.pop("prompt", None)
        model = word(request, "model")
        if not asked or model is None:
            return None
        return LlmRequest(
            request_model=model,
            stream=False,
            messages=prompt_messages(asked),
            params=_params(request),
        )

    def response_decoder(self, head: ResponseHead, request: LlmRequest) -> OllamaVectors:
        """A decoder for the response that begins with `head`."""
        return OllamaVectors(head)


OLLAMA = (OllamaChat(), OllamaGenerate(), OllamaEmbeddings())


class OllamaVectors(EmbeddingBody):
    """Reads the body of an embeddings response; `/api/embeddings` counts no tokens."""

    def _take_json(self, body: JsonObject) -> None:
        if body.get("error"):
            self._fail(body)
            return
        self._model = word(body, "model")
        tokens = count(body, "prompt_eval_count")
        self._counts = None if tokens is None else Usage(input_tokens=tokens, output_tokens=0)
        self._ended = "embeddings" in body or "embedding" in body


class OllamaResponse(BodyDecoder):
    """Accumulates one response. `output` is the assistant's message, also of a completion."""

    def __init__(self, head: ResponseHead, request: LlmRequest) -> None:
        super().__init__(head)
        self._request = request
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._images: list[Json] = []
        self._calls: list[tuple[JsonObject, int]] = []  # each with its time
        self._ids_before: MatchIds | None = None
        self._counts: Usage | None = None

    def _take_event(self, event: JsonObject) -> None:
        if self._take_line(event):
            self._chunk_ns.append(self._now_ns)

    def _take_json(self, body: JsonObject) -> None:
        self._event_bytes = len(self._body)
        self._take_line(body)

    def _take_line(self, line: JsonObject) -> bool:
        """Take a line, or the whole of an unstreamed response; does it hold generated content?"""
        if line.get("error"):
            self._fail(line)
            return False
        self._model = self._model or word(line, "model")
        if line.get("done") is True:
            self._ended = True
            self._finish_reason = word(line, "done_reason")
        prompt, output = count(line, "prompt_eval_count"), count(line, "eval_count")
        if prompt is not None or output is not None:
            self._counts = Usage(input_tokens=prompt, output_tokens=output)
        message = mapping(line, "message")
        said = text(message, "content") or text(line, "response")
        thought = text(message, "thinking") or text(line, "thinking")
        calls = objects(message, "tool_calls")
        images = message.get("images") or line.get("image")
        if not (said or thought or calls or images):
            return False
        size_bytes = self._event_bytes if calls or images else len(said or "") + len(thought or "")
        if not self._has_room(size_bytes):
            return False
        if said:
            self._text.append(said)
        if thought:
            self._thinking.append(thought)
        if images:
            self._images += images if type(images) is list else [images]
        self._calls += [(call, self._now_ns) for call in calls]
        return True

    def _usage(self) -> Usage | None:
        return self._counts

    def _output(self) -> tuple[Json, ...]:
        if not (self._text or self._thinking or self._images or self._calls):
            return ()
        message: JsonObject = {"role": "assistant", "content": joined(self._text)}
        if self._thinking:
            message["thinking"] = joined(self._thinking)
        if self._images:
            message["images"] = self._images
        if self._calls:
            message["tool_calls"] = [call for call, _ in self._calls]
        return (message,)

    def _tool_calls(self, final: bool) -> tuple[ToolCall, ...]:
        if not self._calls:
            return ()
        if self._ids_before is None:
            self._ids_before = _match_ids_after(self._request.messages)
        ids = self._ids_before.copy()
        found = []
        for call, at_ns in self._calls:
            function = mapping(call, "function")
            name, arguments = word(function, "name"), function.get("arguments")
            if name is not None:
                match_id = ids.take(name, arguments)
                written = arguments if type(arguments) is str else dump(arguments)
                found.append(ToolCall(word(call, "id"), name, written, at_ns, match_id))
        return tuple(found)


def _is_system(message: Json) -> bool:
    return type(message) is dict and message.get("role") == "system"


def _has_settings(body: JsonObject) -> bool:
    return word(body, "model") is not None and any(key in body for key in _SETTINGS)


def _params(request: JsonObject) -> JsonObject:
    return {key: value for key, value in request.items() if key not in ("model", "stream")}


def _match_ids_after(messages: tuple[Json, ...]) -> MatchIds:
    """The match ids as they stand at the end of a conversation."""
    ids = MatchIds()
    for message in messages:
        for call in objects(message, "tool_calls") if type(message) is dict else ():
            function = mapping(call, "function")
            name = word(function, "name")
            if name is not None:
                ids.take(name, function.get("arguments"))
    return ids


def _tool_results(messages: list[Json]) -> list[ToolResult]:
    """Results of tools, each with what it says of its call; whether one is an error is not said."""
    calls = OpenCalls()
    found = []
    for message in messages:
        if type(message) is not dict:
            continue
        role = message.get("role")
        if role == "assistant":
            calls.begin_turn()
        for call in objects(message, "tool_calls"):
            function = mapping(call, "function")
            name = word(function, "name")
            if name is not None:
                calls.add(word(call, "id"), name, function.get("arguments"))
        if role == "tool":
            name = word(message, "tool_name") or word(message, "name")
            of = calls.answered(word(message, "tool_call_id"), name)
            if of.tool_call_id is not None or of.match_id is not None:
                said = text(message, "content") or ""
                found.append(ToolResult(of.tool_call_id, said, None, of.match_id))
    return found
