"""Amazon Bedrock's Converse API: `POST /model/{id}/converse`, JSON, and `/converse-stream`.

In: request and response bodies. Out: `LlmRequest`, `LlmResponse`. Format: "Converse" and
"ConverseStream" in the Amazon Bedrock API reference; the stream's events are those of
`collector.http.event_stream`. The model stands in the path alone: a response names one only
where a prompt router chose it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import orjson

from collector.http.events import RequestHead, ResponseHead
from collector.llm.bedrock_body import BedrockBody, known_usage, model_of, usage_from
from collector.llm.body import joined
from collector.llm.endpoint import PostedTo, path_of
from collector.llm.fields import count, dump, mapping, objects, parse_object, text, word
from collector.llm.model import (
    Json,
    JsonObject,
    LlmRequest,
    ToolCall,
    ToolResult,
    Usage,
)

_PATH = re.compile(r"/model/.+/converse(?:-stream)?$")
_SETTINGS = ("inferenceConfig", "toolConfig", "additionalModelRequestFields")


class BedrockConverse(PostedTo):
    """The `Api` of Converse and ConverseStream."""

    name = "bedrock.converse"
    operation = "chat"
    path = _PATH
    native_provider = "aws.bedrock"

    def has_shape(self, body: JsonObject) -> bool:
        """Messages with settings that only this API groups so; Nova's own body has a schema."""
        settings = any(type(body.get(key)) is dict for key in _SETTINGS)
        return settings and type(body.get("messages")) is list and "schemaVersion" not in body

    def parse_request(self, head: RequestHead, body: bytes) -> LlmRequest | None:
        """The request, or None when the body is not of this API's shape."""
        return converse_request(body, model_of(head), path_of(head).endswith("-stream"))

    def response_decoder(self, head: ResponseHead, request: LlmRequest) -> ConverseResponse:
        """A decoder for the response that begins with `head`."""
        return ConverseResponse(head)


def converse_request(body: bytes, model: str | None, stream: bool) -> LlmRequest | None:
    """The request in a body; None when it is not of the shape of Converse.

    Clients move `cachePoint` blocks from turn to turn. So that a resent message stays equal to
    itself, they are taken out; `cache_point_count` in `params` counts them.
    """
    request = parse_object(body)
    if request is None or type(request.get("messages")) is not list:
        return None
    system, messages = _list(request, "system"), request.pop("messages")
    request.pop("system", None)
    settings = mapping(request, "toolConfig")
    tools = _list(settings, "tools")
    settings.pop("tools", None)
    params = {key: value for key, value in request.items() if key != "toolConfig" or settings}
    if b"cachePoint" in body:
        held = [system, tools]
        held += [content for m in messages if type(m) is dict and (content := _list(m, "content"))]
        params["cache_point_count"] = sum(map(_take_cache_points, held))
    return LlmRequest(
        request_model=model,
        stream=stream,
        system=tuple(system),
        messages=tuple(messages),
        tools=tuple(tools),
        params=params,
        tool_results=tuple(_tool_results(messages)),
    )


class ConverseResponse(BedrockBody):
    """Accumulates one message. `output` is the assistant message: role and content blocks."""

    def __init__(self, head: ResponseHead) -> None:
        super().__init__(head)
        self._blocks: dict[int, _Block] = {}
        self._counts: Usage | None = None
        self._handlers: dict[str, Callable[[JsonObject], None]] = {
            "contentBlockDelta": self._block_delta,
            "contentBlockStart": self._block_start,
            "contentBlockStop": self._block_stop,
            "messageStop": self._message_stop,
            "metadata": self._metadata,
        }

    def _take_event(self, event: JsonObject) -> None:
        handler = self._handlers.get(self._event_name)
        if handler is not None:
            handler(event)

    def _take_json(self, body: JsonObject) -> None:
        message = mapping(mapping(body, "output"), "message")
        self._message_stop(body)
        self._metadata(body)
        for index, whole in enumerate(objects(message, "content")):
            self._blocks[index] = _Block(whole=whole, stopped_ns=self._now_ns)
        self._ended = type(message.get("content")) is list

    def _block_start(self, event: JsonObject) -> None:
        index = event.get("contentBlockIndex")
        if type(index) is int and self._has_room(self._event_bytes):
            self._blocks[index] = _Block(start=mapping(event, "start"))

    def _block_delta(self, event: JsonObject) -> None:
        index, delta = event.get("contentBlockIndex"), mapping(event, "delta")
        if type(index) is not int or not delta:
            return
        block = self._blocks.get(index)
        if not self._has_room(self._event_bytes if block is None else _size(delta)):
            return
        if block is None:  # blocks of text have no start
            block = self._blocks[index] = _Block()
        if block.extend(delta):
            self._chunk_ns.append(self._now_ns)
            block.last_ns = self._now_ns

    def _block_stop(self, event: JsonObject) -> None:
        index = event.get("contentBlockIndex")
        block = self._blocks.get(index) if type(index) is int else None
        if block is not None:
            block.stopped_ns = self._now_ns

    def _message_stop(self, event: JsonObject) -> None:
        self._finish_reason = word(event, "stopReason") or self._finish_reason
        self._ended = True

    def _metadata(self, event: JsonObject) -> None:
        self._counts = _usage_of(mapping(event, "usage")) or self._counts
        router = mapping(mapping(event, "trace"), "promptRouter")
        self._model = word(router, "invokedModelId") or self._model

    def _usage(self) -> Usage | None:
        return self._counts

    def _output(self) -> tuple[Json, ...]:
        if not self._blocks:
            return ()
        content = [block.content() for _, block in sorted(self._blocks.items())]
        return ({"role": "assistant", "content": content},)

    def _tool_calls(self, final: bool) -> tuple[ToolCall, ...]:
        calls = []
        for _, block in sorted(self._blocks.items()):
            asked = block.tool_use()
            name = word(asked, "name")
            if name is None or not (final or block.stopped_ns is not None):
                continue
            calls.append(
                ToolCall(
                    tool_call_id=word(asked, "toolUseId"),
                    name=name,
                    arguments=joined(block.pieces) or dump(asked.get("input", {})),
                    requested_ns=block.stopped_ns or block.last_ns or self._now_ns,
                )
            )
        return tuple(calls)


class _Block:
    """A content block: whole, or as it started, with the text that extends it.

    A block's kind is its only key: `text`, `toolUse`, `reasoningContent`...
    """

    __slots__ = ("citations", "extra", "last_ns", "pieces", "start", "stopped_ns", "whole")

    def __init__(
        self,
        *,
        start: JsonObject | None = None,
        whole: JsonObject | None = None,
        stopped_ns: int | None = None,
    ) -> None:
        self.whole = whole
        self.start = start or {}
        self.pieces: list[str] = []  # of text, of reasoning, or of a tool's input
        self.extra: JsonObject = {}
        self.citations: list[Json] = []
        self.last_ns: int | None = None
        self.stopped_ns = stopped_ns

    def extend(self, delta: JsonObject) -> bool:
        """Take a delta; does it carry generated content?"""
        piece = text(delta, "text")
        if piece is not None:
            self.pieces.append(piece)
            return bool(piece)
        asked = delta.get("toolUse")
        if type(asked) is dict:
            self.start.setdefault("toolUse", {})
            piece = text(asked, "input")
            if piece:
                self.pieces.append(piece)
            return bool(piece)
        thought = delta.get("reasoningContent")
        if type(thought) is dict:
            piece = text(thought, "text")
            if piece is not None:
                self.pieces.append(piece)
            held = self.extra.get("reasoningContent")
            if type(held) is not dict:
                held = self.extra["reasoningContent"] = {}
            held.update({key: value for key, value in thought.items() if key != "text"})
            return bool(piece or thought.get("redactedContent"))
        if "citation" in delta:
            self.citations.append(delta["citation"])
            return False
        for key, value in delta.items():  # toolResult, image
            held = self.extra.get(key)
            if type(held) is list and type(value) is list:
                held.extend(value)
            else:
                self.extra[key] = value
        return False

    def tool_use(self) -> JsonObject:
        """The tool call that the block is; empty when it is none."""
        return mapping(self.start if self.whole is None else self.whole, "toolUse")

    def content(self) -> JsonObject:
        """The block as an unstreamed message holds it. Tool input cut off stays JSON text."""
        if self.whole is not None:
            return self.whole
        said = joined(self.pieces)
        if "toolUse" in self.start:
            return {"toolUse": {**mapping(self.start, "toolUse"), "input": _parsed(said)}}
        if "reasoningContent" in self.extra:
            thought = mapping(self.extra, "reasoningContent")
            if not said and "redactedContent" in thought:
                return {"reasoningContent": {"redactedContent": thought["redactedContent"]}}
            return {"reasoningContent": {"reasoningText": {"text": said, **thought}}}
        if self.citations:
            cited = {"content": [{"text": said}], "citations": list(self.citations)}
            return {"citationsContent": cited}
        if not self.extra and not self.start:
            return {"text": said}
        found = dict(self.start)
        for key, value in self.extra.items():
            about = mapping(self.start, key)
            if type(value) is list:
                found[key] = {**about, "content": value}
            else:
                found[key] = {**about, **value} if type(value) is dict else value
        return found


def _parsed(arguments: str) -> Json:
    if not arguments:
        return {}
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments


def _size(delta: JsonObject) -> int:
    """What a delta's text costs to keep; of other deltas a bound."""
    value = delta.get("text")
    if type(value) is str:
        return len(value)
    return len(dump(delta))


def _usage_of(usage: JsonObject) -> Usage | None:
    counted = usage_from(
        count(usage, "inputTokens"),
        count(usage, "outputTokens"),
        _either(usage, "cacheReadInputTokens", "cacheReadInputTokenCount"),
        _either(usage, "cacheWriteInputTokens", "cacheWriteInputTokenCount"),
    )
    lasting = [
        tokens
        for detail in objects(usage, "cacheDetails")
        if detail.get("ttl") == "1h" and (tokens := count(detail, "inputTokens")) is not None
    ]
    if lasting:
        counted = Usage(
            counted.input_tokens,
            counted.output_tokens,
            counted.cache_read_tokens,
            counted.cache_write_tokens,
            cache_write_1h_tokens=sum(lasting),
        )
    return known_usage(counted)


def _either(usage: JsonObject, key: str, in_nova: str) -> int | None:
    """A count under Converse's name, or under the one that Nova's own bodies give it."""
    value = count(usage, key)
    return count(usage, in_nova) if value is None else value


def _list(obj: JsonObject, key: str) -> list[Json]:
    value = obj.get(key)
    return value if type(value) is list else []


def _take_cache_points(blocks: list[Json]) -> int:
    """Remove cache points from a list of blocks or tools; returns how many there were."""
    kept = [block for block in blocks if type(block) is not dict or "cachePoint" not in block]
    taken = len(blocks) - len(kept)
    blocks[:] = kept
    return taken


def _tool_results(messages: list[Json]) -> list[ToolResult]:
    """Results in user messages. Without a `status` it is not known whether one is an error."""
    found = []
    for message in messages:
        for block in objects(message, "content") if type(message) is dict else ():
            result = mapping(block, "toolResult")
            tool_call_id = word(result, "toolUseId")
            if tool_call_id is None:
                continue
            parts = (
                part if (part := text(one, "text")) is not None else dump(one["json"])
                for one in objects(result, "content")
                if "text" in one or "json" in one
            )
            status = result.get("status")
            is_error = status == "error" if type(status) is str else None
            found.append(ToolResult(tool_call_id, "\n".join(parts), is_error))
    return found
