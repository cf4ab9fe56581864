from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import frames
from probes.events import (
    ChannelEnd,
    ConnectionClosed,
    ConnectionKey,
    ConnectionOpened,
    Counters,
    Direction,
    HalfJoined,
    LibraryMapped,
    LibrarySeen,
    PathKind,
    PlainData,
    ProbeEvent,
    ProbeState,
    ProcessExecuted,
    ProcessExited,
    ProcessForked,
    ProcessPath,
    ProcessSeen,
    ProcessTraffic,
    SocketAddresses,
    Source,
    TlsHello,
    UnknownFrame,
)
from probes.frames import FrameSplitter
from tests.collector.http.transcripts import pieces
from tests.frames import (
    CONNECTION,
    STARTED_NS,
    channel_end,
    closed,
    executed,
    exited,
    forked,
    frame,
    hello,
    joined,
    opened,
    path,
    plain_data,
)

IPV4 = SocketAddresses("127.0.0.1", 40000, "192.0.2.1", 443)
IPV6 = SocketAddresses("::1", 40000, "2001:db8::1", 8443)
CHANNEL = ConnectionKey(0, 0, 4711, 9)
_MAPPED = frames._MAPPED.pack(STARTED_NS, 7, 0, 0x7F0000000000, 0xFE01, 77)
MAPPED = frame(frames.LIBRARY_MAPPED, _MAPPED, 5)


@pytest.mark.parametrize(
    ("captured", "event"),
    [
        (
            plain_data(b"GET /", Direction.WRITE, position=1 << 40, at=5),
            PlainData(5, CONNECTION, Direction.WRITE, 1 << 40, b"GET /"),
        ),
        (plain_data(b"", Direction.READ), PlainData(0, CONNECTION, Direction.READ, 0, b"")),
        (opened(at=5), ConnectionOpened(5, CONNECTION, CONNECTION.tgid, 7, 99, "agent")),
        (opened(fd=-1), ConnectionOpened(0, CONNECTION, CONNECTION.tgid, None, 99, "agent")),
        (
            plain_data(b"x", source=Source.GO),
            PlainData(0, CONNECTION, Direction.WRITE, 0, b"x", Source.GO),
        ),
        (
            opened(source=Source.SOCKET, instruction=0x401000, ends=IPV4),
            ConnectionOpened(
                *(0, CONNECTION, CONNECTION.tgid, 7, 99, "agent"), Source.SOCKET, 0x401000, IPV4
            ),
        ),
        (
            joined(CONNECTION, Direction.READ, 77, fd=9, ends=IPV6, at=5),
            HalfJoined(5, CONNECTION, Direction.READ, 77, 9, IPV6),
        ),
        (
            channel_end(CHANNEL, Direction.READ, 7, at=5),
            ChannelEnd(5, CHANNEL, Direction.READ, 7, STARTED_NS, 1, "agent", "pipe"),
        ),
        (
            hello(b"\x16\x03\x01", ends=IPV4, at=5),
            TlsHello(5, CONNECTION, IPV4, b"\x16\x03\x01"),
        ),
        (closed(10, 20, at=5), ConnectionClosed(5, CONNECTION, 10, 20)),
        (forked(7, 3, at=5), ProcessForked(5, 7, STARTED_NS, 3, 1000, 99, "agent")),
        (
            executed(7, 3, [b"/bin/ls", b"", b"-l \xff"], at=5),
            ProcessExecuted(
                5,
                7,
                STARTED_NS,
                3,
                1000,
                99,
                "ls",
                ("/bin/ls", "", "-l \N{REPLACEMENT CHARACTER}"),
                False,
            ),
        ),
        (
            executed(7, 3, [b"sh", b"-c"], cut_bytes=9),
            ProcessExecuted(0, 7, STARTED_NS, 3, 1000, 99, "sh", ("sh", "-c"), True),
        ),
        (executed(7, 3, []), ProcessExecuted(0, 7, STARTED_NS, 3, 1000, 99, "", (), False)),
        (
            path(7, [b"usr", b"bin", b"ls"]),
            ProcessPath(0, 7, STARTED_NS, PathKind.EXECUTABLE, "/usr/bin/ls", False),
        ),
        (
            path(7, [], directory=True),
            ProcessPath(0, 7, STARTED_NS, PathKind.WORKING_DIRECTORY, "/", False),
        ),
        (
            path(7, [b"deep", b"er"], directory=True, truncated=True),
            ProcessPath(0, 7, STARTED_NS, PathKind.WORKING_DIRECTORY, "deep/er", True),
        ),
        (exited(7, 3 << 8, at=5), ProcessExited(5, 7, STARTED_NS, 3, None)),
        (exited(7, 9), ProcessExited(0, 7, STARTED_NS, None, 9)),
        (exited(7, 0x80 | 11), ProcessExited(0, 7, STARTED_NS, None, 11)),
        (MAPPED, LibraryMapped(5, 7, STARTED_NS, 0x7F0000000000, 0xFE01, 77)),
    ],
)
def test_what_the_kernel_writes(captured: bytes, event: ProbeEvent) -> None:
    assert frames.decode(captured) == event


@pytest.mark.parametrize(
    "event",
    [
        ProcessSeen(5, 7, 3, 1, "agént", None, ("a", "b c"), "/src", None),
        LibrarySeen(5, "/lib/libssl.so.3", None, "openssl", "hooked", "symbols", "why", (1, 2)),
        ProcessTraffic(5, 7, STARTED_NS, 1 << 40, 3),
        Counters(5, {"tls_events": 1 << 60}),
        ProbeState(5, "failed", "no BTF", "boot another kernel", 0),
    ],
)
def test_what_the_probe_process_adds(
    event: frames.OwnEvent,
) -> None:
    assert frames.decode(frames.encode(event)) == event


def test_control_messages() -> None:
    message = frames.control("follow", pid=42)
    assert message[4] == frames.CONTROL
    assert frames.control_payload(message) == {"operation": "follow", "pid": 42}
    with pytest.raises(ValueError, match="not an object"):
        frames.control_payload(frame(frames.CONTROL, b"[1]"))


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=120))
def test_any_frame_is_decoded_or_unknown(kind: int, version: int, rest: bytes) -> None:
    event = frames.decode(frame(kind, rest, at=5, version=version))
    assert event.ktime_ns == 5
    if version != frames.VERSION:
        assert event == UnknownFrame(5, kind, version, frames.HEADER.size + len(rest))


@pytest.mark.parametrize("text", [b"[]", b"{}", b"{", b'{"values": [1]}', b'{"values": {"a": {}}}'])
@pytest.mark.parametrize(
    "kind", [frames.PROCESS_SEEN, frames.LIBRARY_SEEN, frames.COUNTERS_FRAME, frames.PROBE_STATE]
)
def test_payloads_of_another_shape_are_unknown(kind: int, text: bytes) -> None:
    assert isinstance(frames.decode(frame(kind, text)), UnknownFrame)


ALL = [
    plain_data(b"x" * 500),
    opened(),
    executed(1, 0, [b"a"]),
    frames.encode(Counters(1, {})),
    MAPPED,
]


@given(st.sets(st.integers(0, sum(map(len, ALL)))))
def test_a_stream_is_cut_into_frames_wherever_it_was_cut(cuts: set[int]) -> None:
    splitter = FrameSplitter()
    found = [one for piece in pieces(b"".join(ALL), cuts) for one in splitter.feed(piece)]
    assert found == ALL
    assert splitter.pending_bytes == 0


def test_a_frame_that_is_not_whole_waits() -> None:
    splitter = FrameSplitter()
    assert splitter.feed(ALL[0][:-1]) == []
    assert splitter.pending_bytes == len(ALL[0]) - 1
    assert splitter.feed(ALL[0][-1:]) == ALL[:1]


@pytest.mark.parametrize("size", [0, 15, frames.MAX_FRAME_BYTES + 1, 0xFFFFFFFF])
def test_impossible_sizes_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="cannot have"):
        FrameSplitter().feed(size.to_bytes(4, "little") + b"\0" * 60)


@pytest.mark.parametrize(
    ("start", "end", "position", "data"),
    [
        (0, 4, 104, b"efgh"),
        (0, 8, 108, b""),
        (3, 5, 100, b"abc"),
        (3, 8, 100, b"abc"),
    ],
)
def test_a_blank_is_passed_over(start: int, end: int, position: int, data: bytes) -> None:
    whole = plain_data(b"abcdefgh", position=100)
    blank = frames.with_blank(whole, start, end)
    assert len(blank) == len(whole)
    event = frames.decode(blank)
    assert isinstance(event, PlainData)
    assert (event.position, event.data) == (position, data)


def test_a_blank_in_a_frame_of_unusual_size() -> None:
    whole = plain_data(b"x" * 100_000)
    event = frames.decode(frames.with_blank(whole, 70_000, 80_000))
    assert isinstance(event, PlainData)
    assert len(event.data) <= 70_000
    event = frames.decode(frames.with_blank(whole, 0, 80_000))
    assert isinstance(event, PlainData)
    assert event.data == b""
