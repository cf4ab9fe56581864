"""Amazon Bedrock's InvokeModel: `POST /model/{id}/invoke`, and `/invoke-with-response-stream`.

In: request and response bodies. Out: `LlmRequest`, `LlmResponse`. Format: "InvokeModel" in the
Amazon Bedrock API reference and "Inference request parameters and response fields" in its user
guide. Bodies are those of the model's maker, told by the request's shape, since an id may be an
ARN that names no maker: Anthropic's Messages, Nova's (as Converse), chat completions (OpenAI,
Mistral, AI21, DeepSeek, Qwen), or a prompt (Titan, Llama, Mistral, Cohere). What is of no known
shape is kept as JSON. A streamed event holds a body's piece in base64 (`{"bytes": ..}`); the last
carries `amazon-bedrock-invocationMetrics`. Where a body counts no tokens, these or the response's
headers do.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterator
from dataclasses import replace

import orjson

from collector.http.events import RequestHead, ResponseHead
from collector.http.framing import StreamEvent
from collector.llm.anthropic_messages import AnthropicResponse, messages_request
from collector.llm.api import ResponseDecoder
from collector.llm.bedrock_body import (
    BedrockBody,
    known_usage,
    model_of,
    usage_in_headers,
    usage_in_metrics,
)
from collector.llm.bedrock_converse import ConverseResponse, converse_request
from collector.llm.body import joined
from collector.llm.endpoint import PostedTo, path_of
from collector.llm.fields import count, mapping, objects, parse_object, text, word
from collector.llm.model import Json, JsonObject, LlmRequest, LlmResponse, ToolCall, Usage
from collector.llm.openai_chat import OpenAiChat, OpenAiChatResponse

_PATH = re.compile(r"/model/.+/invoke(?:-with-response-stream)?$")
_METRICS = "amazon-bedrock-invocationMetrics"
_PROMPTS = ("prompt", "inputText", "message")  # a bare prompt, by maker
_EMBEDDED = ("texts", "images", "inputs")  # Cohere's embeddings
_TEXTS = ("generation", "outputText", "completion", "text")
_LISTS = ("results", "outputs", "generations", "completions")  # of objects that hold the text
_STOPS = ("stop_reason", "completionReason", "finish_reason", "finishReason")
_VECTORS = ("embedding", "embeddings", "embeddingsByType")
_INPUT_COUNTS = ("inputTextTokenCount", "prompt_token_count")
_OUTPUT_COUNTS = ("totalOutputTextTokenCount", "generation_token_count", "tokenCount")
_CHAT = OpenAiChat()


class BedrockInvoke(PostedTo):
    """The `Api` of InvokeModel and InvokeModelWithResponseStream."""

    name = "bedrock.invoke"
    operation = "chat"
    path = _PATH
    native_provider = "aws.bedrock"

    def has_shape(self, body: JsonObject) -> bool:
        """Anthropic's version for Bedrock, or Nova's schema; other bodies are told by the path."""
        version = word(body, "anthropic_version") or ""
        return version.startswith("bedrock-") or "schemaVersion" in body

    def parse_request(self, head: RequestHead, body: bytes) -> LlmRequest | None:
        """The request, or None when the body is not one JSON object."""
        request = parse_object(body)
        if request is None:
            return None
        model, stream = model_of(head), path_of(head).endswith("-stream")
        messages = request.get("messages")
        if type(messages) is list and "anthropic_version" in request:
            found = messages_request(body, model or "")
            return found and replace(found, request_model=model, stream=stream)
        if type(messages) is list and _as_converse(messages):
            return converse_request(body, model, stream)
        if type(messages) is list:
            found = _CHAT.parse_request(head, body)
            return found and replace(found, request_model=model, stream=stream)
        return _prompt_request(request, model, stream)

    def response_decoder(self, head: ResponseHead, request: LlmRequest) -> ResponseDecoder:
        """A decoder for the response that begins with `head`, for the kind of body asked."""
        if request.operation is not None:
            return InvokedText(head)
        if "anthropic_version" in request.params:
            return InvokedAnthropic(head)
        return InvokedConverse(head) if _as_converse(request.messages) else InvokedChat(head)


class _Invoked(BedrockBody):
    """A body of the model's maker: its pieces unpacked, tokens counted by Bedrock if not by it."""

    def __init__(self, head: ResponseHead) -> None:
        super().__init__(head)
        self._measured = usage_in_headers(head)

    def _take_events(self, events: list[StreamEvent]) -> None:
        super()._take_events(list(self._unpacked(events)))

    def _unpacked(self, events: list[StreamEvent]) -> Iterator[StreamEvent]:
        for event in events:
            if event.event != "chunk":
                yield event
                continue
            try:
                chunk = orjson.loads(event.data)
                piece = a2b_base64(text(chunk, "bytes") or "") if type(chunk) is dict else b""
            except (orjson.JSONDecodeError, Base64Error, ValueError):
                continue
            if _METRICS.encode() in piece:
                metrics = mapping(parse_object(piece) or {}, _METRICS)
                self._measured = usage_in_metrics(metrics) or self._measured
            yield StreamEvent(event.event, piece)

    def _response(self, final: bool, complete: bool) -> LlmResponse:
        response = super()._response(final, complete)
        if response.usage is None and response.error is None:
            return replace(response, usage=self._measured)
        return response


class InvokedAnthropic(_Invoked, AnthropicResponse):
    """Anthropic's Messages."""


class InvokedConverse(_Invoked, ConverseResponse):
    """Nova's: Converse's JSON, each event of a stream under its name."""

    def _take_event(self, event: JsonObject) -> None:
        for name, inner in event.items():
            if type(inner) is dict:
                self._event_name = name
                super()._take_event(inner)


class InvokedChat(_Invoked, OpenAiChatResponse):
    """Chat completions. Mistral's choices say `stop_reason`, and `message` also in a stream."""

    def _take_event(self, event: JsonObject) -> None:
        for choice in objects(event, "choices"):
            _take_mistral_names(choice)
            if "delta" not in choice and "message" in choice:
                choice["delta"] = choice["message"]
        super()._take_event(event)

    def _take_json(self, body: JsonObject) -> None:
        for choice in objects(body, "choices"):
            _take_mistral_names(choice)
        super()._take_json(body)


class InvokedText(_Invoked):
    """The answer to a bare prompt, or to texts to embed, whose vectors are not kept.

    `output` holds an assistant message; of a body of no known shape, the JSON itself.
    """

    def __init__(self, head: ResponseHead) -> None:
        super().__init__(head)
        self._pieces: list[str] = []
        self._unknown: list[JsonObject] = []
        self._counts = Usage()

    def _take_event(self, event: JsonObject) -> None:
        self._take(event)
        if self._finish_reason is not None:
            self._ended = True

    def _take_json(self, body: JsonObject) -> None:
        self._take(body)
        self._chunk_ns.clear()
        self._ended = True

    def _take(self, body: JsonObject) -> None:
        parts = [body, *(part for key in _LISTS for part in objects(body, key))]
        said = False
        for part in parts:
            for key in _TEXTS:
                piece = text(part, key)
                if piece is not None and self._has_room(len(piece)):
                    said = True
                    self._pieces.append(piece)
                    if piece:
                        self._chunk_ns.append(self._now_ns)
            reasons = (word(part, key) for key in _STOPS)
            self._finish_reason = next((one for one in reasons if one), self._finish_reason)
        sent = _counted(parts, _INPUT_COUNTS)
        made = _counted(parts, _OUTPUT_COUNTS)
        if sent is not None and any(key in body for key in _VECTORS):
            made = 0  # embeddings generate nothing
        self._counts = Usage(
            self._counts.input_tokens if sent is None else sent,
            self._counts.output_tokens if made is None else made,
        )
        self._response_id = word(body, "id") or word(body, "generation_id") or self._response_id
        known = said or sent is not None or made is not None
        known = known or any(key in body for key in (*_VECTORS, _METRICS))
        if not known and self._has_room(self._event_bytes):
            self._unknown.append(body)

    def _usage(self) -> Usage | None:
        return known_usage(self._counts)

    def _output(self) -> tuple[Json, ...]:
        if self._pieces:
            return ({"role": "assistant", "content": joined(self._pieces)},)
        return tuple(self._unknown)

    def _tool_calls(self, final: bool) -> tuple[ToolCall, ...]:
        return ()


def _prompt_request(request: JsonObject, model: str | None, stream: bool) -> LlmRequest:
    """A request without a list of messages: a prompt, texts to embed, or what is not known."""
    embeds = any(type(request.get(key)) is list for key in _EMBEDDED)
    embeds = embeds or "embed" in (model or "").lower()
    keys = (*_PROMPTS, *_EMBEDDED) if embeds else _PROMPTS
    asked = next((key for key in keys if type(request.get(key)) in (str, list)), None)
    value = None if asked is None else request.pop(asked)
    texts = [value] if type(value) is str else value or []
    return LlmRequest(
        request_model=model,
        stream=stream,
        messages=tuple(
            {"role": "user", "content": one} if type(one) is str else one for one in texts
        ),
        params=request,
        operation="embeddings" if embeds else "text_completion",
    )


def _as_converse(messages: list[Json] | tuple[Json, ...]) -> bool:
    """Are messages made of blocks without a type, as Nova's are?"""
    return any(
        "type" not in block
        for message in messages
        if type(message) is dict
        for block in objects(message, "content")
    )


def _take_mistral_names(choice: JsonObject) -> None:
    if choice.get("finish_reason") is None and "stop_reason" in choice:
        choice["finish_reason"] = choice["stop_reason"]


def _counted(parts: list[JsonObject], keys: tuple[str, ...]) -> int | None:
    found = (count(part, key) for key in keys for part in parts)
    return next((value for value in found if value is not None), None)
