"""Connections: from captured bytes to HTTP, and which of them are worth following.

In: `PlainData` and what else the probes tell of connections, but for channels. Out: calls on the
`ExchangeObserver`, one `HttpConnection` a connection, and connections that the kernel may ignore.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from collector.coverage import Coverage
from collector.exchange import ExchangeObserver, HttpCounters
from collector.halves import HalfJoiner
from collector.http_connection import HttpConnection
from collector.origin import Origin
from collector.processes import ProcessTable
from collector.protocol import NOT_HTTP, SERVER_SIDE
from collector.redaction import HeaderRedactor, without_secrets
from collector.streams import StreamAssembler, StreamChunk, StreamEnd, StreamItem
from probes.events import (
    ConnectionClosed,
    ConnectionKey,
    ConnectionOpened,
    HalfJoined,
    PlainData,
    SocketAddresses,
    Source,
)

# A connection that carried so many exchanges and no call among them is not an LLM's.
EXCHANGES_BEFORE_IGNORING = 4
_HOPELESS = frozenset({NOT_HTTP, SERVER_SIDE})
_NO_CALL = "no_llm_call"


class Connections:
    """All connections that are followed. `observer` must be set before the first event.

    A connection whose handle may be reused unseen is never ignored: the kernel could not tell
    the next one under that handle from it.
    """

    observer: ExchangeObserver

    def __init__(
        self,
        streams: StreamAssembler,
        http: HttpCounters,
        processes: ProcessTable,
        coverage: Coverage,
        *,
        ignore: Callable[[ConnectionKey], None] | None,
        header_value: HeaderRedactor = without_secrets,
    ) -> None:
        self._streams = streams
        self._http = http
        self._processes = processes
        self._coverage = coverage
        self._ignore = ignore
        self._header_value = header_value
        self._halves = HalfJoiner(http.undecoded)
        self._addresses: dict[ConnectionKey, SocketAddresses] = {}
        self._followed: dict[ConnectionKey, HttpConnection] = {}
        self._without_call: dict[ConnectionKey, int] = {}
        self._joined_ignored: set[ConnectionKey] = set()
        self.ignored: dict[str, int] = {}  # why -> connections

    def __len__(self) -> int:
        return len(self._followed)

    def opened(self, event: ConnectionOpened) -> None:
        """A connection or half was used for the first time."""
        key = event.connection
        self._streams.opened(event)
        self._coverage.connection(key, event.source)
        if event.source is Source.RUSTLS:
            self._halves.opened(key)
        elif event.addresses is not None:
            self._addresses[key] = event.addresses

    def data(self, event: PlainData) -> None:
        """Bytes of a connection or half."""
        items = self._streams.data(event)
        if event.source is Source.RUSTLS:
            self._coverage.connection(event.connection, event.source)
            self._take_joined(self._halves.take(items))
            return
        connection = self._followed.get(event.connection)
        for item in items:
            if connection is None:
                connection = self._follow(event.connection, event.source)
            self._take(connection, item)

    def joined(self, event: HalfJoined) -> None:
        """The socket of a half is known."""
        self._take_joined(self._halves.joined(event))

    def closed(self, event: ConnectionClosed) -> None:
        """Nothing follows in a connection or half."""
        key = event.connection
        self._coverage.closed(event)
        self._addresses.pop(key, None)
        items = list(self._streams.closed(event))
        if key in self._halves:
            self._take_joined(self._halves.take(items or [StreamEnd(key, event.ktime_ns)]))
            return
        connection = self._followed.get(key)
        for item in items:
            if connection is not None:
                self._take(connection, item)

    def finish(self, ktime_ns: int) -> None:
        """End of the capture: what is still open is incomplete."""
        self._take_joined(self._halves.finish())
        for connection in self._followed.values():
            connection.close(ktime_ns)
        self._followed = {}

    def exchange_seen(
        self, connection: ConnectionKey, *, followed: bool, is_call: bool, host: str | None
    ) -> None:
        """Connections without a call for a while are left to the kernel to ignore."""
        if is_call:
            self._coverage.call(connection, host)
        if followed:
            self._without_call[connection] = -1
            return
        seen = self._without_call.get(connection, 0)
        if seen < 0:
            return
        self._without_call[connection] = seen + 1
        if seen + 1 >= EXCHANGES_BEFORE_IGNORING:
            self._leave(connection, _NO_CALL)

    # Steps

    def _follow(self, key: ConnectionKey, source: Source) -> HttpConnection:
        """A connection whose first bytes came."""
        if source is Source.RUSTLS:
            addresses = self._halves.addresses(key)
            reusable = False  # a new key of the same address begins a new half
        else:
            addresses = self._addresses.get(key)
            self._coverage.connection(key, source)
            reusable = self._coverage.reuses_handles(source, key.tgid)
        origin = Origin(source, addresses, reusable, self._processes.ran_before(key.tgid))
        connection = HttpConnection(key, self.observer, self._http, origin, self._header_value)
        self._followed[key] = connection
        return connection

    def _take(self, connection: HttpConnection, item: StreamItem) -> None:
        if isinstance(item, StreamChunk):
            connection.chunk(item.direction, item.data, item.ktime_ns)
        elif isinstance(item, StreamEnd):
            self._followed.pop(item.connection, None)
            self._without_call.pop(item.connection, None)
            connection.close(item.ktime_ns)
            return
        else:
            connection.gap(item.direction, item.length, item.ktime_ns)
        if connection.verdict in _HOPELESS:
            self._leave(connection.key, connection.verdict or "")

    def _take_joined(self, items: Iterable[StreamItem]) -> None:
        for item in items:
            key = item.connection
            connection = self._followed.get(key)
            if connection is not None:
                self._take(connection, item)
            elif isinstance(item, StreamEnd):
                self._joined_ignored.discard(key)
            elif key not in self._joined_ignored:
                self._take(self._follow(key, Source.RUSTLS), item)
            else:  # what was held, or a new half of it
                if isinstance(item, StreamChunk):
                    self._http.undecoded(_NO_CALL, len(item.data))
                self._unwant_halves(key)

    def _leave(self, key: ConnectionKey, why: str) -> None:
        """Follow a connection no longer."""
        connection = self._followed.get(key)
        if connection is None or connection.origin.reusable:
            return
        del self._followed[key]
        self._without_call.pop(key, None)
        self.ignored[why] = self.ignored.get(why, 0) + 1
        if connection.origin.source is Source.RUSTLS:
            self._joined_ignored.add(key)
            self._unwant_halves(key)
        else:
            self._unwant(key)

    def _unwant_halves(self, key: ConnectionKey) -> None:
        for half in self._halves.halves_of(key):
            self._unwant(half)

    def _unwant(self, key: ConnectionKey) -> None:
        self._streams.unwant(key)
        if self._ignore is not None:
            self._ignore(key)
