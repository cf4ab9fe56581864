"""Response bodies: tells JSON from streams of events and keeps what all APIs share.

In: decoded body bytes with their times. Out: an `LlmResponse`. An API module derives from
`BodyDecoder` and says what one JSON body and one stream event mean.

Memory is bounded: at most `LIMIT_BYTES` of output are kept, then the response is incomplete.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import orjson

from collector.http.event_stream import EventStreamDecoder
from collector.http.events import ResponseHead, header
from collector.http.framing import Framing, StreamEvent
from collector.http.json_lines import JsonLinesDecoder
from collector.http.json_sequence import JsonSequenceDecoder
from collector.http.sse import SseDecoder
from collector.llm.fields import error_of
from collector.llm.model import Json, JsonObject, LlmError, LlmResponse, ToolCall, Usage

LIMIT_BYTES = 64 << 20
_PIECE_BYTES = 64  # what a kept piece costs beside its text
_STREAM_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")
_SNIFFED_BYTES = 7
_BLANKS = b"\xef\xbb\xbf \t\r\n"
# media type -> how its events are framed
_FRAMINGS: Mapping[str, type[Framing]] = {
    "text/event-stream": SseDecoder,
    "application/x-ndjson": JsonLinesDecoder,
    "application/ndjson": JsonLinesDecoder,
    "application/jsonl": JsonLinesDecoder,
    "application/x-jsonl": JsonLinesDecoder,
    "application/jsonlines": JsonLinesDecoder,
    "application/x-jsonlines": JsonLinesDecoder,
    "application/stream+json": JsonLinesDecoder,
    "application/json-seq": JsonSequenceDecoder,
    "application/vnd.amazon.eventstream": EventStreamDecoder,
}
# of them, those that never hold JSON in their place
_BINARY = frozenset(("application/vnd.amazon.eventstream",))


def joined(pieces: list[str]) -> str:
    """The text of `pieces`, which then hold it as one piece, so that asking again is cheap."""
    if len(pieces) > 1:
        pieces[:] = ["".join(pieces)]
    return pieces[0] if pieces else ""


class BodyDecoder(ABC):
    """Accumulates one response of one API; the `ResponseDecoder` of `collector.llm.api`.

    `array_framing` reads a body that is one JSON array of events; None: such a body is no stream.
    """

    array_framing: ClassVar[type[Framing] | None] = None

    def __init__(self, head: ResponseHead) -> None:
        content_type = header(head.headers, "content-type") or ""
        self._media_type = content_type.partition(";")[0].strip().lower()
        self._status = head.status
        self._sniffed = False
        self._framing: Framing | None = None  # None: one JSON body, or not told yet
        self._event_name = ""  # of the event being read
        self._unread_bytes = 0  # of events that are no JSON
        self._body = bytearray()
        self._kept_bytes = 0
        self._truncated = False
        self._now_ns = head.ktime_ns
        self._event_bytes = 0
        self._chunk_ns: list[int] = []
        self._ended = False  # the terminal event, or a whole body of this API's shape
        self._response_id: str | None = None
        self._model: str | None = None
        self._finish_reason: str | None = None
        self._error: LlmError | None = None
        self._service_tier: str | None = None
        self._speed: str | None = None

    def feed(self, data: bytes, ktime_ns: int) -> None:
        """Take decoded body bytes that arrived at `ktime_ns`."""
        self._now_ns = ktime_ns
        if self._framing is not None:
            self._read_stream(data)
            return
        if len(self._body) + len(data) > LIMIT_BYTES:
            self._truncated = True
            return
        self._body += data
        if not self._sniffed:
            self._sniff()
            if self._framing is not None:
                self._read_stream(bytes(self._body))
                self._body.clear()

    @property
    def skipped_bytes(self) -> int:
        """Bytes of events that were too long, damaged, or no JSON."""
        return self._unread_bytes + (self._framing.skipped_bytes if self._framing else 0)

    def snapshot(self) -> LlmResponse:
        """What is known so far. Tool calls appear when their arguments are whole."""
        return self._response(final=False, complete=False)

    def said(self) -> tuple[Json, ...]:
        """The output so far, texts and tool arguments cut where they are."""
        return self._output()

    def finish(self, complete: bool) -> LlmResponse:
        """The final response. `complete` says whether the HTTP body arrived whole."""
        if self._framing is not None:
            if self._media_type not in _BINARY:
                self._read_stream(b"\n\n")  # a last event without its line end
            self._take_events(self._framing.finish())
            self._truncated |= self._framing.skipped_bytes > 0
        elif not self._truncated:
            self._read_json(bytes(self._body))
        whole = complete and self._ended and not self._truncated
        return self._response(final=True, complete=whole)

    @abstractmethod
    def _take_event(self, event: JsonObject) -> None:
        """Take one event of a stream."""

    @abstractmethod
    def _take_json(self, body: JsonObject) -> None:
        """Take the body of an unstreamed response; set `_ended` when it has this API's shape."""

    @abstractmethod
    def _usage(self) -> Usage | None:
        """Tokens reported so far."""

    @abstractmethod
    def _output(self) -> tuple[Json, ...]:
        """The output so far, in the provider's shape."""

    @abstractmethod
    def _tool_calls(self, final: bool) -> tuple[ToolCall, ...]:
        """Tool calls whose arguments are whole; with `final` also those cut off."""

    def _has_room(self, size_bytes: int) -> bool:
        """Reserve memory for something to keep; False when the limit is reached."""
        self._kept_bytes += size_bytes + _PIECE_BYTES
        if self._kept_bytes <= LIMIT_BYTES:
            return True
        self._truncated = True
        return False

    def _fail(self, payload: Json) -> None:
        """Note an error that arrived in place of, or inside, a response."""
        self._error = error_of(payload, str(self._status) if self._status >= 400 else "error")
        self._ended = True

    def _sniff(self) -> None:
        """Tell what the body is, once enough of it is there."""
        framing = _FRAMINGS.get(self._media_type)
        if self._media_type not in _BINARY:
            self._body = self._body.lstrip(_BLANKS)  # keep-alive of slow unstreamed calls
            start = self._body[:_SNIFFED_BYTES]
            if framing is None or framing is SseDecoder:
                if start.startswith(b"["):
                    framing = self.array_framing if self._status < 400 else None
                elif start.startswith(b"{"):
                    framing = None
                elif framing is None:
                    if len(start) < _SNIFFED_BYTES:
                        return
                    if start.startswith(_STREAM_STARTS):
                        framing = SseDecoder
            if not start:
                return
        self._sniffed = True
        self._framing = framing(LIMIT_BYTES) if framing is not None else None

    def _read_stream(self, data: bytes) -> None:
        assert self._framing is not None
        self._take_events(self._framing.feed(data))

    def _take_events(self, events: list[StreamEvent]) -> None:
        for event in events:
            raw = event.data
            try:
                payload = orjson.loads(raw)
            except orjson.JSONDecodeError:
                if raw.strip() == b"[DONE]":
                    self._ended = True
                else:
                    self._unread_bytes += len(raw)
                continue
            if type(payload) is dict:
                self._event_bytes = len(raw)
                self._event_name = event.event
                self._take_event(payload)

    def _read_json(self, raw: bytes) -> None:
        payload: Json = None
        try:
            payload = orjson.loads(raw)
        except orjson.JSONDecodeError:
            if self._status >= 400:
                payload = raw[:4_000].decode("utf-8", "replace").strip()
        unknown_status = not self._status  # of an HTTP/2 connection that was joined late
        if unknown_status and type(payload) is dict and payload.get("error"):
            self._fail(payload)
        elif self._status >= 400:
            self._fail(payload if payload is not None else "")
        elif type(payload) is dict:
            self._take_json(payload)

    def _response(self, final: bool, complete: bool) -> LlmResponse:
        error = self._error
        if error is None and self._status >= 400:
            error = LlmError(str(self._status), "")
        return LlmResponse(
            response_id=self._response_id,
            model=self._model,
            usage=self._usage(),
            finish_reason=self._finish_reason,
            output=self._output(),
            tool_calls=self._tool_calls(final),
            error=error,
            first_token_ns=self._chunk_ns[0] if self._chunk_ns else None,
            chunk_ns=tuple(self._chunk_ns),
            complete=complete,
            service_tier=self._service_tier,
            speed=self._speed,
        )
