"""The HTTP exchange that a call was, found again in the raw data of its capture.

In: a recording (`collector.raw_data`), and which call. Out: a `RawExchange`: heads, and bodies as
they came but for chunks and content coding. Secrets are masked, as in all raw data. Only what the
call's process said is decoded, up to the end of the call; of bodies the beginning is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from collector.calls import call_id_of
from collector.capture_info import CaptureInfo
from collector.channels import is_channel
from collector.connections import Connections
from collector.coverage import Coverage
from collector.decoding import Progress
from collector.exchange import WEBSOCKET, Exchange, HttpCounters, SocketMessage
from collector.http.codings import ContentDecoder
from collector.http.events import Headers, header
from collector.llm.api import Api
from collector.processes import ProcessTable
from collector.recording import RecordingReader
from collector.redaction import Redactor
from collector.socket_calls import SocketCalls
from collector.streams import StreamAssembler
from probes import frames
from probes.events import (
    ConnectionClosed,
    ConnectionOpened,
    HalfJoined,
    LibrarySeen,
    PlainData,
    ProcessExecuted,
    ProcessExited,
    ProcessForked,
    ProcessSeen,
)

BODY_BYTES = 4 << 20
"""Of a body that are kept."""
_DECODED_BYTES = 256 << 20
_LATER_NS = 2_000_000_000  # how long after the end of a call its last frames may come
_TOLD_EVERY_FRAMES = 500
_TGID = slice(48, 52)  # of a PLAIN_DATA frame


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One message. `start_line` is empty where HTTP/2 has none: its fields are in `headers`.

    `body` is its beginning, decoded; `body_bytes` all of it. `coding`: what was undone, or could
    not be (`coding_failed`). `complete`: nothing of it is missing.
    """

    start_line: str
    headers: Headers
    body: bytes
    body_bytes: int
    coding: str | None
    coding_failed: bool
    complete: bool


@dataclass(frozen=True, slots=True)
class RawExchange:
    """A request and its response, as far as it was seen. `protocol` as in `calls`."""

    protocol: str
    request: RawMessage
    response: RawMessage | None


@dataclass(frozen=True, slots=True)
class WantedCall:
    """Which call: its id, its process, when it ended (Unix time; None: it runs, or is not known
    to have ended)."""

    call_id: str
    pid: int
    ended_ns: int | None


def find_exchange(
    path: Path,
    wanted: WantedCall,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> RawExchange | None:
    """The call's exchange; None when the raw data does not hold it. Raises UnderglassError when
    it cannot be read. `progress`: bytes of the file; `cancelled` is asked as often."""
    reader = RecordingReader(path)
    try:
        search = _Search(reader.info, wanted)
        until_ns = None
        if wanted.ended_ns is not None:
            until_ns = wanted.ended_ns - reader.info.clock_offset_ns + _LATER_NS
        pid = wanted.pid.to_bytes(4, "little")
        for number, frame in enumerate(reader.frames()):
            if number % _TOLD_EVERY_FRAMES == 0:
                if progress is not None:
                    progress(reader.read_bytes)
                if cancelled():
                    return None
            if frame[4] == frames.PLAIN_DATA and frame[_TGID] != pid:
                continue
            event = frames.decode(frame)
            search.feed(event)
            late = until_ns is not None and event.ktime_ns > until_ns
            if search.ended or (late and search.found is not None):
                break
        if progress is not None:
            progress(reader.read_bytes)
        return search.exchange()
    finally:
        reader.close()


@dataclass(slots=True)
class _Body:
    """A body as it comes."""

    content: ContentDecoder
    coding: str | None
    size_bytes: int = 0
    kept: bytearray = field(default_factory=bytearray)

    @classmethod
    def of(cls, headers: Headers) -> _Body:
        coding = header(headers, "content-encoding")
        return cls(ContentDecoder(coding, _DECODED_BYTES), coding)

    def add(self, data: bytes) -> None:
        self.content.feed_to(self._keep, data)

    def end(self) -> None:
        self._keep(self.content.finish())

    def _keep(self, plain: bytes) -> None:
        self.size_bytes += len(plain)
        self.kept += plain[: max(0, BODY_BYTES - len(self.kept))]


class _Search:
    """Follows one process's connections until the wanted exchange ended: an `ExchangeObserver`."""

    def __init__(self, info: CaptureInfo, wanted: WantedCall) -> None:
        self._info = info
        self._call_id = wanted.call_id
        http = HttpCounters()
        streams = StreamAssembler()
        processes = ProcessTable(info)
        coverage = Coverage(info, processes)
        # What is masked already stays as it is; a mask of new secrets has no fingerprint.
        masks = Redactor(b"")
        self._connections = Connections(
            streams, http, processes, coverage, ignore=None, header_value=masks.header_value
        )
        self._connections.observer = self
        self._sockets = SocketCalls(_Turns(self), lambda reason, length: None)
        self._handlers: dict[type, Callable[..., None]] = {
            PlainData: self._connections.data,
            ConnectionOpened: self._connections.opened,
            ConnectionClosed: self._connections.closed,
            HalfJoined: self._connections.joined,
            LibrarySeen: coverage.library,
            ProcessSeen: processes.seen,
            ProcessForked: processes.forked,
            ProcessExecuted: processes.executed,
            ProcessExited: processes.exited,
        }
        self.found: Exchange | None = None
        self.ended = False
        self._request: _Body | None = None
        self._response: _Body | None = None

    def feed(self, event: object) -> None:
        handler = self._handlers.get(type(event))
        connection = getattr(event, "connection", None)
        if handler is not None and not (connection is not None and is_channel(connection)):
            handler(event)

    def exchange(self) -> RawExchange | None:
        found = self.found
        if found is None or self._request is None:
            return None
        request, end = found.request, found.request_end
        line = f"{request.method} {request.target} HTTP/{request.version}"
        first = _message(line, request.headers, self._request, end is not None and end.complete)
        response = None
        if found.response is not None and self._response is not None:
            head, end = found.response, found.response_end
            line = f"HTTP/{head.version} {head.status} {head.reason}".rstrip()
            complete = end is not None and end.complete
            response = _message(line, head.headers, self._response, complete)
        return RawExchange(found.protocol, first, response)

    # ExchangeObserver

    def request_started(self, exchange: Exchange) -> None:
        if self.found is None and exchange.protocol != WEBSOCKET and self._is_wanted(exchange):
            self.found, self._request = exchange, _Body.of(exchange.request.headers)

    def request_body(self, exchange: Exchange, data: bytes) -> None:
        if exchange is self.found and self._request is not None:
            self._request.add(data)

    def request_ended(self, exchange: Exchange) -> None:
        if exchange is self.found and self._request is not None:
            self._request.end()

    def response_started(self, exchange: Exchange) -> None:
        if exchange is self.found and exchange.response is not None:
            self._response = _Body.of(exchange.response.headers)

    def response_body(self, exchange: Exchange, data: bytes, ktime_ns: int) -> None:
        if exchange is self.found and self._response is not None:
            self._response.add(data)

    def exchange_ended(self, exchange: Exchange, ktime_ns: int) -> None:
        if exchange is self.found:
            self.ended = True
            if self._response is not None:
                self._response.end()

    def socket_message(self, exchange: Exchange, message: SocketMessage) -> None:
        self._sockets.message(exchange, message)

    def socket_closed(self, exchange: Exchange, ktime_ns: int) -> None:
        self._sockets.closed(exchange, ktime_ns)

    def socket_request(self, exchange: Exchange, api: Api, body: bytes) -> None:
        if self.found is None and self._is_wanted(exchange):
            self.found, self._request = exchange, _Body.of(())
            self._request.add(body)
            self._request.end()

    def _is_wanted(self, exchange: Exchange) -> bool:
        return call_id_of(self._info, exchange) == self._call_id


class _Turns:
    """The calls on WebSockets: a `CallSink`."""

    def __init__(self, search: _Search) -> None:
        self._search = search
        self.socket_request = search.socket_request
        self.response_started = search.response_started
        self.response_body = search.response_body

    def exchange_ended(self, exchange: Exchange, ktime_ns: int) -> bool:
        self._search.exchange_ended(exchange, ktime_ns)
        return False


def _message(line: str, headers: Headers, body: _Body, complete: bool) -> RawMessage:
    pseudo = any(name.startswith(":") for name, _ in headers)
    return RawMessage(
        start_line="" if pseudo else line,
        headers=headers,
        body=bytes(body.kept),
        body_bytes=body.size_bytes,
        coding=body.coding,
        coding_failed=body.content.failed is not None,
        complete=complete,
    )
