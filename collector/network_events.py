"""Whom processes connected to: one row for equal events in a row of one process at one address.

In: `Connected`; for the names of addresses `DnsAnswered`, `TlsHello` and HTTP requests. Out:
`NetworkEventRow`s, written again when a name is learned later.

A name is what the process was told by the Domain Name System before it connected; else, or where
only another process was told, what it then asked for on that connection, or on another one to the
same address and port: the server name of TLS, or HTTP's `Host`. What TLS or HTTP says of the very
socket goes before all else, as one address may have many names; therefore TCP connections whose
name the process was not told have a row each, unless they failed. Hosts named to a proxy are not
the proxy's name, and an address is none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from collector.capture_info import CaptureInfo
from collector.client_hello import server_name
from collector.dns_answers import dns_answer
from collector.errno_names import error_name
from collector.exchange import Exchange
from collector.file_events import event_id
from collector.folding import Folding, OpenRow
from collector.host_names import HostNames, as_host_name, plain_address
from collector.llm.endpoint import host_of
from collector.processes import ProcessTable
from collector.redaction import TextRedactor
from collector.rows import NetworkEventRow
from probes.events import Connected, ConnectionKey, DnsAnswered, SocketAddresses, Source, TlsHello

OPEN_PLACES = 1 << 12
KNOWN_SOCKETS = 1 << 12
UNNAMED_ROWS = 1 << 10  # that an answer which came out of order may name
_UNDER_WAY = -115  # EINPROGRESS
_K = TypeVar("_K")
_V = TypeVar("_V")

_Process = str  # as `ProcessTable.key` has it, whatever program it runs
_End = tuple[_Process, str, int]  # a process, an address, a port


@dataclass(slots=True)
class _Event:
    """One event, and the row that counts it."""

    opened: OpenRow[NetworkEventRow]
    scopes: tuple[str, ...]
    ktime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A name that TLS or HTTP said."""

    name: str
    source: str
    inode: int | None


class NetworkEvents:
    """Rows of connections that are new or changed; events so far, by what they are."""

    def __init__(self, info: CaptureInfo, processes: ProcessTable, redact: TextRedactor) -> None:
        self._info = info
        self._processes = processes
        self._redact = redact
        self._folding: Folding[NetworkEventRow] = Folding(OPEN_PLACES)
        self._names = HostNames()
        self._newest: dict[_End, _Event] = {}
        self._of_socket: dict[tuple[_Process, int], _Event] = {}
        self._unnamed: dict[OpenRow[NetworkEventRow], _Event] = {}
        self._spoken: dict[_End, _Spoken] = {}
        self._last_connect_ns = 0
        self.received = 0
        self.answers = 0
        self.undecoded_answers = 0

    def take(self) -> list[NetworkEventRow]:
        """Rows that are new or changed."""
        return list(self._folding.take())

    def connected(self, event: Connected) -> None:
        """A process called connect(2)."""
        self.received += 1
        key = self._processes.key_at(event.pid, event.start_ns, event.ktime_ns)
        local = event.transport == "unix"
        scopes = () if local else self._scopes(event.pid, event.start_ns)
        told = None if local else self._names.name(scopes, event.address, event.ktime_ns)
        own_name = told.name if told is not None and told.own else None
        result = 0 if event.result == _UNDER_WAY else min(event.result, 0)
        may_be_named = event.transport == "tcp" and result == 0 and own_name is None
        opened = self._folding.add(
            ((key, event.transport, event.address, event.port),),
            (event.tid, event.ktime_ns) if may_be_named else (result, own_name),
            self._info.wall_ns(event.ktime_ns),
            lambda: self._begin(event, key, result),
        )
        if local:
            return
        seen = _Event(opened, scopes, event.ktime_ns, event.inode)
        end = (scopes[0], plain_address(event.address), event.port)
        _remember(self._newest, end, seen, OPEN_PLACES)
        if event.inode:
            _remember(self._of_socket, (scopes[0], event.inode), seen, KNOWN_SOCKETS)
        self._last_connect_ns = max(self._last_connect_ns, event.ktime_ns)
        if told is not None:
            self._name(seen, told.name, "dns", settled=told.own)
        elif opened.row.name is None:
            _remember(self._unnamed, opened, seen, UNNAMED_ROWS)
        spoken = self._spoken.get(end)
        if spoken is not None:
            self._said(seen, spoken)

    def answered(self, event: DnsAnswered) -> None:
        """A process received a datagram of the Domain Name System."""
        self.answers += 1
        answer = dns_answer(event.data)
        if answer is None:
            self.undecoded_answers += 1
            return
        name = as_host_name(answer.name)
        if name is None or not answer.addresses:
            return
        scopes = self._scopes(event.pid, event.start_ns)
        self._names.answered(scopes, name, answer.addresses, event.ktime_ns)
        if event.ktime_ns > self._last_connect_ns:
            return
        for seen in list(self._unnamed.values()):  # one of these came before its answer did
            told = self._names.name(seen.scopes, seen.opened.row.address, seen.ktime_ns)
            if told is not None:
                self._name(seen, told.name, "dns", settled=told.own)

    def hello(self, event: TlsHello) -> None:
        """A process began to speak TLS on a socket."""
        name = as_host_name(server_name(event.data))
        if name is not None:
            self._speaks(event.connection, event.addresses, name, "tls", event.connection.handle)

    def request(self, exchange: Exchange) -> None:
        """A process sent an HTTP request."""
        target = exchange.request.target
        if exchange.request.method == "CONNECT" or target.startswith(("http://", "https://")):
            return  # to a proxy
        name = as_host_name(host_of(exchange.request))
        if name is not None:
            key, origin = exchange.connection, exchange.origin
            inode = key.handle if origin.source is Source.SOCKET else None
            self._speaks(key, origin.addresses, name, "http", inode)

    # Steps

    def _scopes(self, pid: int, start_ns: int) -> tuple[str, ...]:
        """The process, its tree, everybody."""
        root = self._processes.root(pid, start_ns)
        return (self._processes.key(pid, start_ns), f"tree {root}", "")

    def _begin(self, event: Connected, process_key: str, result: int) -> NetworkEventRow:
        at_ns = self._info.wall_ns(event.ktime_ns)
        local = event.transport == "unix"
        return NetworkEventRow(
            network_event_id=event_id(
                self._info, process_key, event.tid, event.ktime_ns, "CONNECT"
            ),
            capture_id=self._info.capture_id,
            process_key=process_key,
            pid=event.pid,
            first_ns=at_ns,
            last_ns=at_ns,
            count=1,
            transport=event.transport,
            address=self._redact(event.address) if local else event.address,
            port=None if local else event.port,
            name=None,
            name_source=None,
            error=error_name(result),
        )

    def _speaks(
        self,
        connection: ConnectionKey,
        addresses: SocketAddresses | None,
        name: str,
        source: str,
        inode: int | None,
    ) -> None:
        """A process named the host on a connection, which may be told of before its connect."""
        process = self._processes.key(connection.tgid, connection.start_ns)
        spoken = _Spoken(name, source, inode)
        seen = self._of_socket.get((process, inode)) if inode else None
        if addresses is not None:
            end = (process, plain_address(addresses.remote_address), addresses.remote_port)
            _remember(self._spoken, end, spoken, KNOWN_SOCKETS)
            seen = seen or self._newest.get(end)
        if seen is not None:
            self._said(seen, spoken)

    def _said(self, seen: _Event, spoken: _Spoken) -> None:
        itself = seen.opened.count == 1 and seen.inode > 0 and spoken.inode == seen.inode
        if itself or not seen.opened.settled:
            self._name(seen, spoken.name, spoken.source, settled=True)

    def _name(self, seen: _Event, name: str, source: str, *, settled: bool) -> None:
        opened = seen.opened
        self._unnamed.pop(opened, None)
        opened.settled = opened.settled or settled
        if opened.row.name != name:
            self._folding.change(opened, replace(opened.row, name=name, name_source=source))


def _remember(known: dict[_K, _V], key: _K, value: _V, limit: int) -> None:
    """Add the newest; the oldest goes when there are too many."""
    known.pop(key, None)
    known[key] = value
    if len(known) > limit:
        del known[next(iter(known))]
