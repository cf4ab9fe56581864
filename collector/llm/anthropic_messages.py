"""Anthropic's Messages API: `POST .../v1/messages`, JSON or an event stream.

In: request and response bodies. Out: `LlmRequest`, `LlmResponse`. Format: Anthropic's API
reference, "Messages" and "Streaming messages". Accumulation equals the `anthropic` SDK's, but
starts anywhere in a stream and takes wrong types for absent fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import orjson

from collector.http.events import RequestHead, ResponseHead
from collector.llm.body import BodyDecoder, joined
from collector.llm.endpoint import PostedTo
from collector.llm.fields import count, dump, mapping, objects, parse_object, text, text_parts, word
from collector.llm.model import (
    Json,
    JsonObject,
    LlmRequest,
    ToolCall,
    ToolResult,
    ToolResults,
    Usage,
)

_PATH = re.compile(r"(?:^|/)v\d+/messages$")
_TOOL_USE = ("tool_use", "server_tool_use", "mcp_tool_use")
_HOLDS_BLOCKS = ("content", "source")  # keys of what may hold blocks
_USAGE_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)
# delta type -> (its text field, the block field it extends, type of a block whose start was missed)
_DELTAS = {
    "text_delta": ("text", "text", "text"),
    "thinking_delta": ("thinking", "thinking", "thinking"),
    "input_json_delta": ("partial_json", "input", "tool_use"),
}


class AnthropicMessages(PostedTo):
    """The `Api` of Anthropic and of servers that speak its format."""

    name = "anthropic.messages"
    operation = "chat"
    path = _PATH
    native_provider = "anthropic"

    def has_shape(self, body: JsonObject) -> bool:
        """`max_tokens` is required, and `system` and tools have shapes of their own. A version
        in the body is that of another host of Anthropic's models."""
        if type(body.get("messages")) is not list or count(body, "max_tokens") is None:
            return False
        anthropic_tools = any("input_schema" in tool for tool in objects(body, "tools"))
        return ("system" in body or anthropic_tools) and "anthropic_version" not in body

    def parse_request(
        self,
        head: RequestHead,
        body: bytes,
    ) -> LlmRequest | None:
        """The request, or None when the body is not of this API's shape."""
        return messages_request(body)

    def response_decoder(
        self,
        head: ResponseHead,
        request: LlmRequest,
    ) -> AnthropicResponse:
        """A decoder for the response that begins with `head`."""
        return AnthropicResponse(head)


def messages_request(body: bytes, model: str | None = None) -> LlmRequest | None:
    """The request in a body; None when it is not of the shape of Messages.

    `model`: what the request's path names, for hosts whose bodies name none.

    Clients move `cache_control` markers from turn to turn, and write marked text as a block and
    unmarked text as a string, which the API defines as the same. So that a resent message stays
    equal to itself, markers are taken out (`cache_control_count` in `params` counts them) and
    strings become text blocks.
    """
    request = parse_object(body)
    if request is None or type(request.get("messages")) is not list:
        return None
    model = word(request, "model") or model
    if model is None:
        return None
    messages = [_with_blocks(message) for message in request.pop("messages")]
    system = _blocks(request.pop("system", None))
    tools = request.pop("tools", None)
    tools = tools if type(tools) is list else []
    params = {key: value for key, value in request.items() if key not in ("model", "stream")}
    marked = b"cache_control" in body
    lists = (system, messages, tools)
    params["cache_control_count"] = sum(map(_take_cache_control, lists)) if marked else 0
    return LlmRequest(
        request_model=model,
        stream=request.get("stream") is True,
        system=tuple(system),
        messages=tuple(messages),
        tools=tuple(tools),
        params=params,
        tool_results=ToolResults(messages, _tool_results),
    )


class AnthropicResponse(BodyDecoder):
    """Accumulates one message. `output` is the assistant message: role and content blocks."""

    def __init__(self, head: ResponseHead) -> None:
        super().__init__(head)
        self._blocks: dict[int, _Block] = {}
        self._counts: dict[str, int] = {}
        self._handlers: dict[object, Callable[[JsonObject], None]] = {
            "content_block_delta": self._block_delta,
            "content_block_start": self._block_start,
            "content_block_stop": self._block_stop,
            "message_start": self._message_start,
            "message_delta": self._message_delta,
            "message_stop": self._message_stop,
            "error": self._fail,
        }

    def _take_event(self, event: JsonObject) -> None:
        kind = event.get("type")
        handler = self._handlers.get(kind) if type(kind) is str else None
        if handler is not None:
            handler(event)
        elif kind is None and "error" in event:
            self._fail(event)

    def _take_json(self, body: JsonObject) -> None:
        if body.get("type") == "error" or "error" in body:
            self._fail(body)
            return
        self._message_start({"message": body})
        self._finish_reason = word(body, "stop_reason")
        self._take_usage(mapping(body, "usage"))
        for index, block in enumerate(objects(body, "content")):
            self._blocks[index] = _Block(block, self._now_ns)
        self._ended = type(body.get("content")) is list

    def _message_start(self, event: JsonObject) -> None:
        message = mapping(event, "message")
        self._response_id = word(message, "id") or self._response_id
        self._model = word(message, "model") or self._model
        usage = mapping(message, "usage")
        # Its output_tokens counts only what was generated when the stream began.
        self._take_usage({key: value for key, value in usage.items() if key != "output_tokens"})

    def _block_start(self, event: JsonObject) -> None:
        index, start = event.get("index"), mapping(event, "content_block")
        if type(index) is not int or not self._has_room(self._event_bytes):
            return
        block = self._blocks[index] = _Block(start, None)
        if joined(block.pieces) or (start.get("type") == "redacted_thinking" and start.get("data")):
            self._chunk_ns.append(self._now_ns)
        if start.get("type") == "fallback":  # another model answered; it names itself here
            self._model = word(mapping(start, "to"), "model") or self._model

    def _block_delta(self, event: JsonObject) -> None:
        delta = event.get("delta")
        index = event.get("index")
        if type(delta) is not dict or type(index) is not int:
            return
        kind = delta.get("type")
        known = _DELTAS.get(kind) if type(kind) is str else None
        if known is None:
            self._metadata_delta(index, delta)
            return
        piece = delta.get(known[0])
        if type(piece) is not str or not piece:
            return
        if not self._has_room(len(piece)):
            return
        self._chunk_ns.append(self._now_ns)
        block = self._blocks.get(index)
        if block is None:  # the stream was joined inside this block
            block = self._blocks[index] = _Block({"type": known[2]}, None)
        if block.field == known[1]:
            block.pieces.append(piece)
            block.last_ns = self._now_ns

    def _metadata_delta(self, index: int, delta: JsonObject) -> None:
        block = self._blocks.get(index)
        if block is None or not self._has_room(self._event_bytes):
            return
        kind, start = delta.get("type"), block.start
        if kind == "signature_delta" and start.get("type") == "thinking":
            start["signature"] = delta.get("signature")
        elif kind == "citations_delta" and start.get("type") == "text":
            if type(start.get("citations")) is not list:
                start["citations"] = []
            start["citations"].append(delta.get("citation"))
        elif kind == "compaction_delta" and start.get("type") == "compaction":
            start.update({key: value for key, value in delta.items() if key != "type"})

    def _block_stop(self, event: JsonObject) -> None:
        index = event.get("index")
        block = self._blocks.get(index) if type(index) is int else None
        if block is not None:
            block.stopped_ns = self._now_ns

    def _message_delta(self, event: JsonObject) -> None:
        self._finish_reason = word(mapping(event, "delta"), "stop_reason") or self._finish_reason
        self._take_usage(mapping(event, "usage"))

    def _message_stop(self, _event: JsonObject) -> None:
        self._ended = True

    def _take_usage(self, usage: JsonObject) -> None:
        """Counts are totals so far: later ones replace earlier ones, absent ones leave them."""
        details = mapping(usage, "output_tokens_details")
        lifetimes = mapping(usage, "cache_creation")
        tools = mapping(usage, "server_tool_use")
        self._service_tier = word(usage, "service_tier") or self._service_tier
        self._speed = word(usage, "speed") or self._speed
        for source, keys in (
            (usage, _USAGE_COUNTS),
            (details, ("thinking_tokens",)),
            (lifetimes, ("ephemeral_1h_input_tokens",)),
            (tools, ("web_search_requests",)),
        ):
            for key in keys:
                value = count(source, key)
                if value is not None:
                    self._counts[key] = value

    def _usage(self) -> Usage | None:
        if not self._counts:
            return None
        known = self._counts.get
        uncached, read = known("input_tokens"), known("cache_read_input_tokens")
        written = known("cache_creation_input_tokens")
        return Usage(
            input_tokens=None if uncached is None else uncached + (read or 0) + (written or 0),
            output_tokens=known("output_tokens"),
            cache_read_tokens=read,
            cache_write_tokens=written,
            cache_write_1h_tokens=known("ephemeral_1h_input_tokens"),
            reasoning_tokens=known("thinking_tokens"),
            web_searches=known("web_search_requests"),
        )

    def _output(self) -> tuple[Json, ...]:
        if not self._blocks:
            return ()
        content = [block.content() for _, block in sorted(self._blocks.items())]
        return ({"role": "assistant", "content": content},)

    def _tool_calls(self, final: bool) -> tuple[ToolCall, ...]:
        calls = []
        for _, block in sorted(self._blocks.items()):
            name = word(block.start, "name")
            if block.start.get("type") not in _TOOL_USE or name is None:
                continue
            if block.stopped_ns is not None or final:
                calls.append(
                    ToolCall(
                        tool_call_id=word(block.start, "id"),
                        name=name,
                        arguments=joined(block.pieces) or dump(block.start.get("input", {})),
                        requested_ns=block.stopped_ns or block.last_ns or self._now_ns,
                    )
                )
        return tuple(calls)


class _Block:
    """A content block: as it started, and the text that extends its `field`."""

    __slots__ = ("field", "last_ns", "pieces", "start", "stopped_ns")

    def __init__(self, start: JsonObject, stopped_ns: int | None) -> None:
        kind = start.get("type")
        self.start = start
        self.field = kind if kind in ("text", "thinking") else "input"
        first = text(start, self.field)
        self.pieces: list[str] = [first] if first else []
        self.last_ns: int | None = None
        self.stopped_ns = stopped_ns

    def content(self) -> JsonObject:
        """The block with its text joined. Tool input that was cut off stays JSON text."""
        if self.field != "input":
            return {**self.start, self.field: joined(self.pieces)}
        if not self.pieces:
            return dict(self.start)
        arguments = joined(self.pieces)
        try:
            return {**self.start, "input": orjson.loads(arguments)}
        except orjson.JSONDecodeError:
            return {**self.start, "input": arguments}


def _blocks(content: Json) -> list[Json]:
    if type(content) is str:
        return [{"type": "text", "text": content}]
    return content if type(content) is list else []


def _with_blocks(message: Json) -> Json:
    if type(message) is dict and type(message.get("content")) is str:
        return {**message, "content": _blocks(message["content"])}
    return message


def _take_cache_control(root: Json, depth: int = 3) -> int:
    """Remove `cache_control` from blocks and tools in place; returns how many were set.

    It stands in blocks: of the system prompt, of messages, of what tool results and documents
    hold, and in tools; `depth` is how deep these nest.
    """
    taken = 0
    for node in root if depth else ():
        if type(node) is not dict:
            continue
        if "cache_control" in node:
            taken += node.pop("cache_control") is not None
        for key in _HOLDS_BLOCKS:
            held = node.get(key)
            if type(held) is list:
                taken += _take_cache_control(held, depth - 1)
            elif type(held) is dict:
                taken += _take_cache_control((held,), depth - 1)
    return taken


def _tool_results(messages: Sequence[Json]) -> list[ToolResult]:
    """Results in user messages. `is_error` is false when absent, as the API defines it."""
    found = []
    for message in messages:
        content = message.get("content") if type(message) is dict else None
        if type(content) is not list or message.get("role") == "assistant":
            continue
        for block in content:
            if type(block) is dict and block.get("type") == "tool_result":
                tool_call_id = word(block, "tool_use_id")
                if tool_call_id is not None:
                    failed = block.get("is_error") is True
                    text = text_parts(block.get("content"))
                    found.append(ToolResult(tool_call_id, text, failed))
    return found
