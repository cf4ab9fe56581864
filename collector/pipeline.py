"""The pipeline, wired on one page.

    frame -> event -> byte stream -> HTTP exchange -> LLM call -> batch of rows
                   -> process table ---------------------------^

In: redacted frames, live or recorded. Out: `Batch`es for the store, and connections that the
kernel may ignore. No clock, no thread, no file: the same frames give the same rows.
"""

from __future__ import annotations

from collections.abc import Callable

from collector.calls import CallTracker
from collector.capture_info import CaptureInfo
from collector.exchange import HttpConnection, HttpCounters
from collector.health import health_rows
from collector.pricing import Override
from collector.processes import ProcessTable
from collector.redaction import TextRedactor
from collector.rows import Batch, CaptureRow, CoverageRow, HealthRow
from collector.streams import StreamAssembler, StreamChunk, StreamEnd, StreamGap
from probes import frames
from probes.events import (
    ConnectionClosed,
    ConnectionKey,
    ConnectionOpened,
    Counters,
    LibrarySeen,
    ProbeState,
    ProcessExecuted,
    ProcessExited,
    ProcessForked,
    ProcessPath,
    ProcessSeen,
    TlsData,
    UnknownFrame,
)

# A connection that carried so many exchanges and no call among them is not an LLM's.
EXCHANGES_BEFORE_IGNORING = 4
_HOPELESS = frozenset({"not_http", "server_side"})


class Pipeline:
    """All stages of one capture."""

    def __init__(
        self,
        info: CaptureInfo,
        redact: TextRedactor,
        *,
        content: bool = True,
        overrides: tuple[Override, ...] = (),
        ignore: Callable[[ConnectionKey], None] | None = None,
    ) -> None:
        self._info = info
        self._ignore = ignore
        self._streams = StreamAssembler()
        self._http = HttpCounters()
        self._connections: dict[ConnectionKey, HttpConnection] = {}
        self._without_call: dict[ConnectionKey, int] = {}
        self._processes = ProcessTable(info)
        self._calls = CallTracker(
            info,
            self._processes,
            self,
            redact,
            content=content,
            overrides=overrides,
            undecoded=self._http.undecoded,
        )
        self._kernel: dict[str, int] = {}
        self._own: dict[tuple[str, str, str], int] = {}
        self._coverage: dict[tuple[str, str | None], CoverageRow] = {}
        self._new_coverage: dict[tuple[str, str | None], CoverageRow] = {}
        self._told: set[HealthRow | CaptureRow] = set()
        self._last_ktime_ns = 0
        self._ended = False
        self._handlers: dict[type, Callable[..., None]] = {
            TlsData: self._tls_data,
            ConnectionOpened: self._streams.opened,
            ConnectionClosed: self._closed,
            ProcessSeen: self._processes.seen,
            ProcessForked: self._processes.forked,
            ProcessExecuted: self._processes.executed,
            ProcessPath: self._processes.path,
            ProcessExited: self._processes.exited,
            LibrarySeen: self._library,
            Counters: self._counters,
            ProbeState: self._probe_state,
            UnknownFrame: self._unknown,
        }

    def feed(self, frame: bytes) -> None:
        """Take one redacted frame through every stage."""
        event = frames.decode(frame)
        self._last_ktime_ns = max(self._last_ktime_ns, event.ktime_ns)
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def take(self) -> Batch:
        """The rows that are new or changed since the last call."""
        batch = self._calls.take()
        batch.processes = self._processes.take()
        batch.coverage, self._new_coverage = list(self._new_coverage.values()), {}
        health = health_rows(
            self._info.capture_id, self._kernel, self._streams, self._http, self._own
        )
        batch.health = [row for row in health if row not in self._told]
        batch.captures = [row for row in (self._capture(),) if row not in self._told]
        self._told = {*health, self._capture()}
        return batch

    def finish(self) -> Batch:
        """End of the capture: what is still open is incomplete."""
        for connection in self._connections.values():
            connection.close(self._last_ktime_ns)
        self._connections = {}
        self._ended = True
        return self.take()

    def _capture(self) -> CaptureRow:
        info = self._info
        ended_ns = info.wall_ns(self._last_ktime_ns) if self._ended else None
        return CaptureRow(
            info.capture_id,
            info.started_ns,
            ended_ns,
            info.command,
            info.version,
            info.boot_id,
            info.kernel,
        )

    def _count(self, source: str, counter: str, cause: str = "", amount: int = 1) -> None:
        key = (source, counter, cause)
        self._own[key] = self._own.get(key, 0) + amount

    # Byte streams

    def _tls_data(self, event: TlsData) -> None:
        key = event.connection
        connection = self._connections.get(key)
        for item in self._streams.data(event):
            if connection is None:
                connection = HttpConnection(key, self._calls, self._http)
                self._connections[key] = connection
            self._take_item(connection, item)  # which may stop following it
            if connection.verdict in _HOPELESS:
                self._stop_following(key, connection.verdict or "")

    @staticmethod
    def _take_item(connection: HttpConnection, item: StreamChunk | StreamGap) -> None:
        if isinstance(item, StreamChunk):
            connection.chunk(item.direction, item.data, item.ktime_ns)
        else:
            connection.gap(item.direction, item.length, item.ktime_ns)

    def _closed(self, event: ConnectionClosed) -> None:
        connection = self._connections.pop(event.connection, None)
        self._without_call.pop(event.connection, None)
        for item in self._streams.closed(event):
            if connection is None:
                continue
            if isinstance(item, StreamEnd):
                connection.close(item.ktime_ns)
            else:
                self._take_item(connection, item)

    # Interest

    def exchange_seen(self, connection: ConnectionKey, *, is_call: bool) -> None:
        """Connections without a call for a while are left to the kernel to ignore."""
        if is_call:
            self._without_call[connection] = -1
            return
        seen = self._without_call.get(connection, 0)
        if seen < 0:
            return
        self._without_call[connection] = seen + 1
        if seen + 1 >= EXCHANGES_BEFORE_IGNORING:
            self._stop_following(connection, "no_llm_call")

    def _stop_following(self, connection: ConnectionKey, why: str) -> None:
        if self._connections.pop(connection, None) is None:
            return
        self._without_call.pop(connection, None)
        self._streams.unwant(connection)
        self._count("http", "connections_ignored", why)
        if self._ignore is not None:
            self._ignore(connection)

    # What the probe says of itself

    def _library(self, event: LibrarySeen) -> None:
        key = (event.path, event.build_id)
        known = self._coverage.get(key)
        pids = (known.pids if known else ()) + event.pids
        self._coverage[key] = self._new_coverage[key] = CoverageRow(
            capture_id=self._info.capture_id,
            path=event.path,
            build_id=event.build_id,
            stack=event.stack,
            status="hooked" if event.hooked else "not_hooked",
            detail=event.detail,
            pids=tuple(dict.fromkeys(pids))[-64:],
        )
        hooked = sum(row.status == "hooked" for row in self._coverage.values())
        self._own["probe", "tls_libraries", "hooked"] = hooked
        self._own["probe", "tls_libraries", "not_hooked"] = len(self._coverage) - hooked

    def _counters(self, event: Counters) -> None:
        self._kernel = event.values

    def _probe_state(self, event: ProbeState) -> None:
        if event.attached:
            self._own["probe", "attached_probes", ""] = event.attached

    def _unknown(self, event: UnknownFrame) -> None:
        self._count("probe", "unknown_frames", str(event.kind))
