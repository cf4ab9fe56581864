from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.http.chunked import MAX_LINE_BYTES, ChunkedBody, Phase
from collector.http.receive_buffer import ReceiveBuffer

from .transcripts import pieces


def read(*feeds: bytes) -> tuple[bytes, Phase, bytes]:
    """The body, the phase at the end, and what was left in the buffer."""
    body, buffer, data = ChunkedBody(), ReceiveBuffer(), b""
    for feed in feeds:
        buffer.append(feed)
        data += body.read(buffer)
    return data, body.phase, buffer.take(len(buffer))


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (b"0000000000000000005\r\nhello\r\n0\r\n\r\n", (b"hello", Phase.DONE, b"")),
        (b"3\r\nabc\r\n0\r\n\r\nnext", (b"abc", Phase.DONE, b"next")),
        (b"0003;name=v;x\r\nabc\r\nA \r\n0123456789\r\n", (b"abc0123456789", Phase.SIZE, b"")),
        (b"3\nabc\n0\n\n", (b"abc", Phase.DONE, b"")),
        (b"0\r\nx-sum: 1\r\n folded\r\n\r\n", (b"", Phase.DONE, b"")),
        (b"0\r\nHTTP/1.1 200 OK\r\n", (b"", Phase.MALFORMED, b"HTTP/1.1 200 OK\r\n")),
        (b"3\r\nabcd", (b"abc", Phase.MALFORMED, b"d")),
        (b"3\r\nabc\rx", (b"abc", Phase.MALFORMED, b"\rx")),
        (b"\r\n", (b"", Phase.MALFORMED, b"\r\n")),
        (b"-3\r\n", (b"", Phase.MALFORMED, b"-3\r\n")),
        (b"+3\r\n", (b"", Phase.MALFORMED, b"+3\r\n")),
        (b"0x3\r\n", (b"", Phase.MALFORMED, b"0x3\r\n")),
        (b"1_0\r\n", (b"", Phase.MALFORMED, b"1_0\r\n")),
        (b"1" * 21, (b"", Phase.MALFORMED, b"1" * 21)),
    ],
)
def test_wire(wire: bytes, expected: tuple[bytes, Phase, bytes]) -> None:
    assert read(wire) == expected
    assert read(*(wire[at : at + 1] for at in range(len(wire)))) == expected


@pytest.mark.parametrize("begin", [b"3;", b"0\r\nx-trailer: "])
def test_lines_are_bounded(begin: bytes) -> None:
    held = len(begin.rpartition(b"\n")[2])
    fits = begin + b"x" * (MAX_LINE_BYTES - held - 1)
    assert read(fits)[1] in (Phase.SIZE, Phase.TRAILER)
    for feeds in ([fits, b"x"], [fits + b"x\n"], [fits, b"x\n"]):
        assert read(*feeds)[1] is Phase.LINE_TOO_LONG
    assert read(fits, b"\n")[1] in (Phase.DATA, Phase.TRAILER)


def test_lost_bytes_inside_a_chunk_are_passed_over() -> None:
    body, buffer = ChunkedBody(), ReceiveBuffer()
    buffer.append(b"a\r\n012")
    assert body.read(buffer) == b"012"
    assert body.remaining == 7
    assert not body.lose(8)
    assert body.lose(5)
    assert body.lose(2)
    buffer.append(b"\r\n0\r\n\r\n")
    assert body.read(buffer) == b""
    assert body.phase is Phase.DONE


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    cuts=st.lists(st.integers(0, 300), max_size=12),
)
def test_any_split_gives_the_same_body(chunks: list[bytes], cuts: list[int]) -> None:
    wire = b"".join(b"%X\r\n%b\r\n" % (len(data), data) for data in chunks) + b"0\r\n\r\n"
    expected = (b"".join(chunks), Phase.DONE, b"")
    assert read(*pieces(wire, cuts)) == expected
