"""Byte streams with explicit gaps.

In: `PlainData`, `ConnectionOpened` and `ConnectionClosed` events. Out: `StreamChunk`, `StreamGap`
and `StreamEnd`, per connection and direction, each byte once. The kernel numbers every byte of a
connection, also those that it could not deliver, so that a hole is known for certain and
captured + lost equals what the process sent and received.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from probes.events import ConnectionClosed, ConnectionKey, ConnectionOpened, Direction, PlainData


@dataclass(frozen=True, slots=True)
class StreamChunk:
    """Bytes in order."""

    connection: ConnectionKey
    direction: int
    ktime_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StreamGap:
    """`length` bytes that exist and were not delivered."""

    connection: ConnectionKey
    direction: int
    ktime_ns: int
    length: int


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """Nothing follows in either direction."""

    connection: ConnectionKey
    ktime_ns: int


StreamItem = StreamChunk | StreamGap | StreamEnd


class StreamAssembler:
    """Turns positions into order and gaps. State: two positions per open connection."""

    def __init__(self) -> None:
        self._positions: dict[ConnectionKey, list[int]] = {}
        self._unwanted: set[ConnectionKey] = set()
        self.delivered_bytes = 0
        self.gap_bytes = 0
        self.unwanted_bytes = 0
        self.repeated_bytes = 0

    @property
    def open_connections(self) -> int:
        """Connections that were not closed yet."""
        return len(self._positions)

    def positions(self, connection: ConnectionKey) -> tuple[int, int]:
        """Bytes read and written so far, as far as it is known; (0, 0) once it is closed."""
        read, written = self._positions.get(connection, (0, 0))
        return read, written

    def unwant(self, connection: ConnectionKey) -> None:
        """Deliver nothing more of a connection; its bytes count as unwanted, not as lost."""
        self._unwanted.add(connection)

    def data(self, event: PlainData) -> Iterator[StreamChunk | StreamGap]:
        """Chunks, and a gap before them where bytes are missing."""
        key, direction, data = event.connection, event.direction, event.data
        if key in self._unwanted:
            self.unwanted_bytes += len(data)
            return
        positions = self._positions.get(key)
        if positions is None:
            positions = self._positions[key] = [0, 0]
        expected, position = positions[direction], event.position
        if position > expected:
            self.gap_bytes += position - expected
            yield StreamGap(key, direction, event.ktime_ns, position - expected)
        elif position < expected:
            # Two threads raced on one session object; bytes that were passed on stay so.
            overlap = min(expected - position, len(data))
            self.repeated_bytes += overlap
            data = data[overlap:]
            position = expected
            if not data:
                return
        positions[direction] = position + len(data)
        self.delivered_bytes += len(data)
        yield StreamChunk(key, direction, event.ktime_ns, data)

    def opened(self, event: ConnectionOpened) -> None:
        """A connection begins; its positions start at zero."""
        self._positions.setdefault(event.connection, [0, 0])

    def closed(self, event: ConnectionClosed) -> Iterator[StreamGap | StreamEnd]:
        """The gap at the end of each direction, if any, and the end."""
        key = event.connection
        positions = self._positions.pop(key, None)
        if key in self._unwanted:
            self._unwanted.discard(key)
            return
        known = positions or [0, 0]
        final = (event.read_position, event.write_position)
        for direction in Direction:
            missing = final[direction] - known[direction]
            if missing > 0:
                self.gap_bytes += missing
                yield StreamGap(key, int(direction), event.ktime_ns, missing)
        yield StreamEnd(key, event.ktime_ns)
