"""Connections from their halves.

Hooks on TLS records know a key for each direction, so that each direction arrives as a connection
of its own, a half, until `HalfJoined` names the socket that carries it. In: `StreamItem`s of
halves, and `HalfJoined`. Out: the same items under the key of the joined connection, in the order
of their times over both directions.

What must wait is held: a half until its socket is known, and a socket as long as a half of the
same process, in a direction that the socket lacks, holds something (it may be the request to the
response at hand). What is held is bounded; bytes of a half beyond that, or of one that ends
without a socket, are counted as undecoded, and if the half is joined after all they are a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from collector.streams import StreamChunk, StreamEnd, StreamGap, StreamItem
from probes.events import ConnectionKey, HalfJoined, SocketAddresses

HALF_BYTES = 1 << 20
ALL_BYTES = 16 << 20
_ITEM_BYTES = 128  # what an item takes beside its data
UNDECODED = "half_not_joined"

_Piece = StreamChunk | StreamGap
_Process = tuple[int, int]


@dataclass(slots=True)
class _Held:
    """Items that wait, and what they take."""

    items: list[_Piece] = field(default_factory=list)
    size_bytes: int = 0


@dataclass(slots=True)
class _Half:
    direction: int | None = None
    joined: _Joined | None = None
    held: _Held = field(default_factory=_Held)
    dropped_bytes: int = 0  # passed over since its bound was reached


@dataclass(slots=True)
class _Joined:
    key: ConnectionKey
    addresses: SocketAddresses | None
    halves: dict[ConnectionKey, int] = field(default_factory=dict)  # open ones -> direction
    held: _Held = field(default_factory=_Held)


@dataclass(slots=True)
class _ProcessHalves:
    unjoined: dict[ConnectionKey, _Half] = field(default_factory=dict)
    sockets: dict[int, _Joined] = field(default_factory=dict)  # by inode


class HalfJoiner:
    """All halves of all processes. `undecoded` counts bytes that no connection can have."""

    def __init__(self, undecoded: Callable[[str, int], None]) -> None:
        self._undecoded = undecoded
        self._halves: dict[ConnectionKey, _Half] = {}
        self._processes: dict[_Process, _ProcessHalves] = {}
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        """What waits, with the room that it takes."""
        return self._held_bytes

    def __contains__(self, connection: ConnectionKey) -> bool:
        return connection in self._halves

    def halves_of(self, connection: ConnectionKey) -> tuple[ConnectionKey, ...]:
        """The open halves of a joined connection."""
        process = self._processes.get((connection.tgid, connection.start_ns))
        joined = process.sockets.get(connection.handle) if process else None
        return tuple(joined.halves) if joined and joined.key == connection else ()

    def addresses(self, connection: ConnectionKey) -> SocketAddresses | None:
        """Both ends of a joined connection, when they are known."""
        process = self._processes.get((connection.tgid, connection.start_ns))
        joined = process.sockets.get(connection.handle) if process else None
        return joined.addresses if joined and joined.key == connection else None

    def opened(self, connection: ConnectionKey) -> None:
        """A half was used for the first time."""
        if connection not in self._halves:
            half = self._halves[connection] = _Half()
            self._process(connection).unjoined[connection] = half

    def take(self, items: Iterable[StreamItem]) -> list[StreamItem]:
        """Items of halves, in order; what of them, and of what was held, may pass now."""
        passed: list[StreamItem] = []
        for item in items:
            self.opened(item.connection)
            half = self._halves[item.connection]
            if isinstance(item, StreamEnd):
                passed += self._end(item, half)
            elif half.joined is not None:
                passed += self._pass(half.joined, item)
            else:
                passed += self._hold(item, half)
        return passed

    def joined(self, event: HalfJoined) -> list[StreamItem]:
        """The socket of a half is known; what may pass now."""
        key, passed = event.connection, []
        self.opened(key)
        half, process = self._halves[key], self._process(key)
        if half.joined is not None:
            if half.joined.key.handle == event.socket:
                return []
            passed += self._leave(key, half.joined, event.ktime_ns)
        process.unjoined.pop(key, None)
        socket = process.sockets.get(event.socket)
        if socket is None:
            name = key._replace(handle=event.socket)
            socket = process.sockets[event.socket] = _Joined(name, event.addresses)
        socket.addresses = socket.addresses or event.addresses
        socket.halves[key] = event.direction
        half.direction, half.joined = event.direction, socket
        held, half.held = half.held, _Held()
        if half.dropped_bytes:
            gap = StreamGap(key, event.direction, event.ktime_ns, half.dropped_bytes)
            held.items.append(gap)
            held.size_bytes += _ITEM_BYTES
            self._held_bytes += _ITEM_BYTES
            half.dropped_bytes = 0
        socket.held.items += held.items
        socket.held.size_bytes += held.size_bytes
        return passed + self._release_all(process)

    def finish(self) -> list[StreamItem]:
        """End of the capture: what has a socket passes, what has none is counted."""
        for half in self._halves.values():
            self._drop(half)
        sockets = [one for each in self._processes.values() for one in each.sockets.values()]
        return [item for joined in sockets for item in self._release(joined)]

    # Steps

    def _process(self, connection: ConnectionKey) -> _ProcessHalves:
        key = (connection.tgid, connection.start_ns)
        return self._processes.setdefault(key, _ProcessHalves())

    def _hold(self, item: _Piece, half: _Half) -> list[StreamItem]:
        """Keep what has no socket yet, or count it when that is too much."""
        half.direction = item.direction
        length = len(item.data) if isinstance(item, StreamChunk) else 0
        size = length + _ITEM_BYTES
        if (
            not half.dropped_bytes
            and half.held.size_bytes + size <= HALF_BYTES
            and self._held_bytes + size <= ALL_BYTES
        ):
            half.held.items.append(item)
            half.held.size_bytes += size
            self._held_bytes += size
            return []
        half.dropped_bytes += length if isinstance(item, StreamChunk) else item.length
        self._undecoded(UNDECODED, length)
        return []

    def _drop(self, half: _Half) -> None:
        for item in half.held.items:
            if isinstance(item, StreamChunk):
                self._undecoded(UNDECODED, len(item.data))
        self._held_bytes -= half.held.size_bytes
        half.held = _Held()

    def _pass(self, joined: _Joined, item: _Piece) -> list[StreamItem]:
        """An item of a half whose socket is known."""
        process = self._process(joined.key)
        if not joined.held.items and not self._waits(process, joined):
            return [replace(item, connection=joined.key)]
        size = _ITEM_BYTES + (len(item.data) if isinstance(item, StreamChunk) else 0)
        joined.held.items.append(item)
        joined.held.size_bytes += size
        self._held_bytes += size
        full = joined.held.size_bytes > HALF_BYTES or self._held_bytes > ALL_BYTES
        return self._release(joined) if full or not self._waits(process, joined) else []

    @staticmethod
    def _waits(process: _ProcessHalves, joined: _Joined) -> bool:
        """May a half without a socket hold what this socket lacks?"""
        if not process.unjoined:
            return False
        present = set(joined.halves.values())
        return any(
            half.held.items and half.direction not in present for half in process.unjoined.values()
        )

    def _release(self, joined: _Joined) -> list[StreamItem]:
        held, joined.held = joined.held, _Held()
        self._held_bytes -= held.size_bytes
        held.items.sort(key=lambda item: item.ktime_ns)
        return [replace(item, connection=joined.key) for item in held.items]

    def _release_all(self, process: _ProcessHalves) -> list[StreamItem]:
        return [
            item
            for joined in process.sockets.values()
            if joined.held.items and not self._waits(process, joined)
            for item in self._release(joined)
        ]

    def _end(self, end: StreamEnd, half: _Half) -> list[StreamItem]:
        """Nothing follows in a half."""
        key = end.connection
        process = self._process(key)
        del self._halves[key]
        if half.joined is None:
            del process.unjoined[key]
            self._drop(half)
            passed = self._release_all(process)
        else:
            passed = self._leave(key, half.joined, end.ktime_ns)
        if not process.unjoined and not process.sockets:
            del self._processes[key.tgid, key.start_ns]
        return passed

    def _leave(self, key: ConnectionKey, joined: _Joined, ktime_ns: int) -> list[StreamItem]:
        """A socket without this half; without any, its connection ended."""
        del joined.halves[key]
        if joined.halves:
            return []
        del self._process(key).sockets[joined.key.handle]
        return [*self._release(joined), StreamEnd(joined.key, ktime_ns)]
