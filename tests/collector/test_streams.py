from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector.streams import StreamAssembler, StreamChunk, StreamEnd, StreamGap, StreamItem
from probes.events import ConnectionClosed, ConnectionOpened, Direction, PlainData
from tests.frames import CONNECTION

READ, WRITE = Direction.READ, Direction.WRITE


def data(position: int, content: bytes, direction: int = READ, at: int = 1) -> PlainData:
    return PlainData(at, CONNECTION, direction, position, content)


def close(read: int = 0, written: int = 0, at: int = 9) -> ConnectionClosed:
    return ConnectionClosed(at, CONNECTION, read, written)


def test_bytes_in_order_pass_through() -> None:
    streams = StreamAssembler()
    streams.opened(ConnectionOpened(0, CONNECTION, 1, 3, 0, "agent"))
    items: list[StreamItem] = [
        *streams.data(data(0, b"GET", WRITE, 1)),
        *streams.data(data(0, b"HTTP", READ, 2)),
        *streams.data(data(3, b" /", WRITE, 3)),
        *streams.closed(close(4, 5)),
    ]
    assert items == [
        StreamChunk(CONNECTION, WRITE, 1, b"GET"),
        StreamChunk(CONNECTION, READ, 2, b"HTTP"),
        StreamChunk(CONNECTION, WRITE, 3, b" /"),
        StreamEnd(CONNECTION, 9),
    ]
    assert (streams.delivered_bytes, streams.gap_bytes, streams.open_connections) == (9, 0, 0)


def test_holes_at_the_begin_in_the_middle_and_at_the_end() -> None:
    streams = StreamAssembler()
    items: list[StreamItem] = [
        *streams.data(data(5, b"ab")),
        *streams.data(data(10, b"c")),
        *streams.closed(close(read=20, written=7)),
    ]
    assert items == [
        StreamGap(CONNECTION, READ, 1, 5),
        StreamChunk(CONNECTION, READ, 1, b"ab"),
        StreamGap(CONNECTION, READ, 1, 3),
        StreamChunk(CONNECTION, READ, 1, b"c"),
        StreamGap(CONNECTION, READ, 9, 9),
        StreamGap(CONNECTION, WRITE, 9, 7),
        StreamEnd(CONNECTION, 9),
    ]
    assert (streams.delivered_bytes, streams.gap_bytes) == (3, 24)


def test_a_connection_of_which_nothing_arrived_is_all_gap() -> None:
    streams = StreamAssembler()
    assert list(streams.closed(close(read=3))) == [
        StreamGap(CONNECTION, READ, 9, 3),
        StreamEnd(CONNECTION, 9),
    ]


def test_an_overlap_is_delivered_once() -> None:
    streams = StreamAssembler()
    assert list(streams.data(data(0, b"abcd")))
    assert list(streams.data(data(2, b"cdef"))) == [StreamChunk(CONNECTION, READ, 1, b"ef")]
    assert list(streams.data(data(1, b"bc"))) == []
    assert (streams.delivered_bytes, streams.repeated_bytes) == (6, 4)


def test_unwanted_bytes_are_neither_delivered_nor_lost() -> None:
    streams = StreamAssembler()
    list(streams.data(data(0, b"abc")))
    streams.unwant(CONNECTION)
    assert list(streams.data(data(3, b"defg"))) == []
    assert list(streams.closed(close(read=5000))) == []
    assert (streams.delivered_bytes, streams.unwanted_bytes, streams.gap_bytes) == (3, 4, 0)
    # The next session at the same address is wanted again.
    assert list(streams.data(data(0, b"x"))) == [StreamChunk(CONNECTION, READ, 1, b"x")]


_segment = st.tuples(st.sampled_from(Direction), st.integers(1, 50), st.booleans())


@given(st.lists(_segment, max_size=60))
def test_delivered_and_gaps_are_all_there_was(segments: list[tuple[Direction, int, bool]]) -> None:
    streams = StreamAssembler()
    positions = {READ: 0, WRITE: 0}
    sent = {READ: bytearray(), WRITE: bytearray()}
    rebuilt = {READ: bytearray(), WRITE: bytearray()}
    lost = 0

    def take(items: list[StreamItem]) -> None:
        for item in items:
            if isinstance(item, StreamChunk):
                rebuilt[Direction(item.direction)] += item.data
            elif isinstance(item, StreamGap):
                rebuilt[Direction(item.direction)] += bytes(item.length)

    for number, (direction, size, arrives) in enumerate(segments):
        content = bytes([number % 255 + 1]) * size
        if arrives:
            take(list(streams.data(data(positions[direction], content, direction))))
            sent[direction] += content
        else:
            lost += size
            sent[direction] += bytes(size)
        positions[direction] += size
    take(list(streams.closed(close(positions[READ], positions[WRITE]))))
    assert rebuilt == sent
    assert streams.gap_bytes == lost
    assert streams.delivered_bytes + streams.gap_bytes == sum(positions.values())
    assert streams.open_connections == 0


@given(
    st.binary(min_size=1, max_size=60),
    st.lists(st.tuples(st.integers(0, 59), st.integers(1, 20)), max_size=30),
)
def test_each_byte_once_whatever_races(content: bytes, reads: list[tuple[int, int]]) -> None:
    streams = StreamAssembler()
    rebuilt = bytearray()
    for position, size in reads:
        part = content[position : position + size]
        if part:
            for item in streams.data(data(position, part)):
                if isinstance(item, StreamChunk):
                    assert item.data == content[len(rebuilt) : len(rebuilt) + len(item.data)]
                    rebuilt += item.data
                else:
                    rebuilt += content[len(rebuilt) : len(rebuilt) + item.length]
    assert content.startswith(rebuilt)
    assert streams.delivered_bytes + streams.gap_bytes == len(rebuilt)
