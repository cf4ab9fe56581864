from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector.http.receive_buffer import ReceiveBuffer


def test_bytes_taken_whole_are_the_bytes_fed() -> None:
    buffer, data = ReceiveBuffer(), b"some bytes"
    buffer.append(data)
    assert buffer.take(len(data)) is data
    assert len(buffer) == 0


def test_searches_see_what_straddles_two_feeds() -> None:
    buffer = ReceiveBuffer()
    buffer.append(b"GET / HTTP/1.1\r\nhost: a\r\n\r")
    assert buffer.line_end(100) == 16
    assert buffer.head_end(100) == -1
    buffer.append(b"\nrest")
    assert buffer.head_end(100) == 27
    assert buffer.take(27).endswith(b"a\r\n\r\n")
    assert buffer.line_end(100) == -1
    assert buffer.clear() == 4


def test_searches_end_at_the_limit() -> None:
    buffer = ReceiveBuffer()
    buffer.append(b"0123456789\r\n\r\n")
    assert buffer.line_end(11) == -1
    assert buffer.line_end(12) == 12
    assert buffer.head_end(13) == -1
    assert buffer.head_end(14) == 14


@given(
    feeds=st.lists(st.binary(max_size=8), max_size=12),
    takes=st.lists(st.integers(0, 9), max_size=12),
)
def test_is_a_byte_queue(feeds: list[bytes], takes: list[int]) -> None:
    buffer, model = ReceiveBuffer(), b""
    for at, data in enumerate(feeds):
        buffer.append(data)
        model += data
        count = min(takes[at] if at < len(takes) else 0, len(model))
        assert buffer.take(count) == model[:count]
        model = model[count:]
        assert len(buffer) == len(model)
        assert bytes(buffer.data[buffer.start :]) == model


@given(feeds=st.lists(st.text("\r\na", max_size=4), min_size=1, max_size=10))
def test_searches_in_steps_find_what_one_search_finds(feeds: list[str]) -> None:
    stepwise, joined = ReceiveBuffer(), ReceiveBuffer()
    for data in feeds[:-1]:
        stepwise.append(data.encode())
        stepwise.head_end(1000)
        stepwise.line_end(1000)
    stepwise.append(feeds[-1].encode())
    joined.append("".join(feeds).encode())
    assert stepwise.head_end(1000) == joined.head_end(1000)
    assert stepwise.line_end(1000) == joined.line_end(1000)
