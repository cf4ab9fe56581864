from __future__ import annotations

import re

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.http.framing import StreamEvent
from collector.http.sse import SseDecoder

from .transcripts import pieces


def decode(*feeds: bytes, limit: int = 1000) -> list[StreamEvent]:
    decoder = SseDecoder(limit)
    return [event for data in feeds for event in decoder.feed(data)] + decoder.finish()


def message(data: bytes, event: str = "message", id: str | None = None) -> StreamEvent:
    return StreamEvent(event, data, id)


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [message(b"a")]),
        (b"data:a\n\n", [message(b"a")]),
        (b"data:  a \n\n", [message(b" a ")]),
        (b"data\n\n", [message(b"")]),
        (b"data: \n\n", [message(b"")]),
        (b"data\ndata\n\n", [message(b"\n")]),
        (b"data: a\ndata: b\n\n", [message(b"a\nb")]),
        (b"event: x\ndata: a\n\ndata: b\n\n", [message(b"a", "x"), message(b"b")]),
        (b"data: a\nevent: x\n\n", [message(b"a", "x")]),
        (b"event: x\nevent: y\ndata: a\n\n", [message(b"a", "y")]),
        (b"event: \ndata: a\n\n", [message(b"a")]),
        (b"event: x\n\ndata: a\n\n", [message(b"a")]),
        (b": OPENROUTER PROCESSING\n\n:\n\ndata: a\n\n", [message(b"a")]),
        (b"\n\n\ndata: a\n\n\n\ndata: b\n\n", [message(b"a"), message(b"b")]),
        (
            b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
            [
                message(b"a", id="1"),
                message(b"b", id="1"),
                message(b"c", id=""),
            ],
        ),
        (b"id: 1\0\ndata: a\n\nid: 2\n\ndata: b\n\n", [message(b"a"), message(b"b", id="2")]),
        (b"unknown: 1\nDATA: x\n data: y\ndata: a\n\n", [message(b"a")]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\r\n", [message(b"a"), message(b"b"), message(b"c")]),
        (b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", [message(b"a")]),
        (b'data: {"t": "\xe2\x80\xa8\xc2\x85"}\n\n', [message(b'{"t": "\xe2\x80\xa8\xc2\x85"}')]),
        (b"data: [DONE]\n", []),
        (b"data: a\n\ndata: b\n", [message(b"a")]),
    ],
)
def test_stream(stream: bytes, events: list[StreamEvent]) -> None:
    assert decode(stream) == events
    assert decode(*(stream[at : at + 1] for at in range(len(stream)))) == events
    assert decode(b"", stream, b"") == events


def test_an_event_comes_out_with_the_byte_that_ends_it() -> None:
    decoder = SseDecoder(1000)
    assert decoder.feed(b"data: a\r\n\r") == [message(b"a")]
    assert decoder.feed(b"\ndata: b\n") == []
    assert decoder.pending_bytes == 8
    assert decoder.feed(b"\n") == [message(b"b")]
    assert decoder.pending_bytes == 0


def test_an_unfinished_event_is_pending() -> None:
    decoder = SseDecoder(1000)
    assert decoder.feed(b"data: a\n\ndata: b") == [message(b"a")]
    assert decoder.finish() == []
    assert decoder.pending_bytes == 7


def test_data_is_what_orjson_takes() -> None:
    [event] = decode(b'event: delta\ndata: {"text":\ndata: "caf\xc3\xa9"}\n\n')
    assert orjson.loads(event.data) == {"text": "café"}


@pytest.mark.parametrize(
    ("value", "retry_ms"),
    [(b"1500", 1500), (b"-1", None), (b"1.5", None), (b"", None), (b"9" * 5000, None)],
)
def test_retry(value: bytes, retry_ms: int | None) -> None:
    decoder = SseDecoder(10_000)
    assert decoder.feed(b"retry: " + value + b"\n\n") == []
    assert decoder.retry_ms == retry_ms


@pytest.mark.parametrize("step", [1, 3, 10, 1000])
def test_an_event_over_the_limit_is_skipped_and_counted(step: int) -> None:
    stream = b"data: 5678\n\ndata: 56789\n\n\n\ndata: b\nid: 7890\n\ndata: a\n\ndata: 123456"
    decoder = SseDecoder(10)
    feeds = [stream[at : at + step] for at in range(0, len(stream), step)]
    events = [event for data in feeds for event in decoder.feed(data)]
    assert events == [message(b"5678"), message(b"a")]
    decoder.feed(b"\n\n")
    assert decoder.skipped_bytes == 11 + 16 + 12
    assert decoder.pending_bytes == 0


def test_memory_is_bounded() -> None:
    decoder = SseDecoder(1000)
    for filling in (b"x", b"data: x\n", b"\r"):
        for _ in range(100):
            decoder.feed(filling * 300)
            assert decoder.pending_bytes <= 1001
    decoder.feed(b"\n\n")
    assert decoder.feed(b"data: a\n\n") == [message(b"a")]


def reference(stream: bytes) -> list[StreamEvent]:
    """The standard's algorithm, line by line over the whole stream."""
    lines = re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf"))
    events, event, data, last_id = [], "", b"", None
    for line in lines[:-1]:
        if not line:
            if data:
                events.append(StreamEvent(event or "message", data[:-1], last_id))
            event, data = "", b""
            continue
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"event":
            event = value.decode("utf-8", "replace")
        elif name == b"data":
            data += value + b"\n"
        elif name == b"id" and b"\0" not in value:
            last_id = value.decode("utf-8", "replace")
    return events


words = [b"data: ", b"data", b"event: ", b"id: ", b"retry: ", b":", b" ", b"x", b"\xff", b"\0"]
line_ends = [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n"]
streams = st.lists(st.sampled_from([*words, *line_ends, *line_ends, b"\xef\xbb\xbf"]), max_size=40)


@settings(max_examples=120)
@given(
    stream=st.one_of(streams.map(b"".join), st.binary(max_size=60)),
    cuts=st.lists(st.integers(0, 120), max_size=20),
)
def test_any_split_of_any_stream_gives_what_the_standard_says(
    stream: bytes, cuts: list[int]
) -> None:
    expected = reference(stream)
    assert decode(stream) == expected
    assert decode(*pieces(stream, cuts)) == expected


@given(stream=streams.map(b"".join), cuts=st.lists(st.integers(0, 120)), limit=st.integers(0, 20))
def test_any_split_skips_the_same(stream: bytes, cuts: list[int], limit: int) -> None:
    stream += b"\n\n\n"
    whole, split = SseDecoder(limit), SseDecoder(limit)
    expected = whole.feed(stream)
    assert [event for data in pieces(stream, cuts) for event in split.feed(data)] == expected
    assert split.skipped_bytes == whole.skipped_bytes
    assert split.pending_bytes == whole.pending_bytes == 0
    assert all(len(event.data) <= limit for event in expected)


def test_an_event_is_not_joined_across_a_gap() -> None:
    decoder = SseDecoder(1000)
    assert [event.data for event in decoder.feed(b"data: a\n\ndata: b")] == [b"a"]
    decoder.gap()
    assert decoder.pending_bytes == 0
    events = decoder.feed(b"c\r\ndata: d\n\ndata: e\n\n")
    assert [event.data for event in events] == [b"e"]
    assert decoder.skipped_bytes == len(b"data: b") + len(b"c\ndata: d")
