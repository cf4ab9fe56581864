"""Harnesses of streamed bodies and of bodies in parts: framings, multipart."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from zlib import crc32

import orjson

from collector.http.event_stream import EventStreamDecoder
from collector.http.framing import Framing, StreamEvent
from collector.http.json_array import JsonArrayDecoder
from collector.http.json_lines import JsonLinesDecoder
from collector.http.json_sequence import JsonSequenceDecoder
from collector.http.multipart import MAX_HEAD_BYTES, MultipartReader, Part, boundary_of
from collector.http.sse import SseDecoder
from tests.collector.http.test_sse import reference
from tests.fuzz.steps import packed, parsed, pieces

_LIMITS = (1 << 20, 8, 60, 300)
_BOM = b"\xef\xbb\xbf"


def _framed(
    kind: type[Framing], raw: bytes, *, held_beyond: int = 0, makes_text: bool = False
) -> tuple[bytes, list[StreamEvent], Framing]:
    """A body, whole and split; the first choice is the limit. Gives what was fed, the events and
    the decoder. `held_beyond` the limit: what else a decoder may hold. `makes_text`: events may
    say more than was sent."""
    source = parsed(raw)
    limit = _LIMITS[source.choice(0) % len(_LIMITS)]
    whole, split = kind(limit), kind(limit)
    expected = whole.feed(source.data)
    pending = whole.pending_bytes
    expected = [*expected, *whole.finish()]
    events = []
    for piece in pieces(source.data, source.choices[1:]):
        events += split.feed(piece)
        assert split.pending_bytes <= limit + held_beyond
    assert split.pending_bytes == pending
    events += split.finish()
    assert events == expected
    assert split.skipped_bytes == whole.skipped_bytes
    if not makes_text:
        assert all(len(event.data) <= limit for event in events)
        told = sum(len(event.data) for event in events)
        assert told + whole.skipped_bytes + whole.pending_bytes <= len(source.data)
    return source.data, events, whole


def sse(raw: bytes) -> None:
    """An event stream, beside the standard's algorithm."""
    data, events, decoder = _framed(SseDecoder, raw, held_beyond=len(_BOM))
    if parsed(raw).choice(0) % len(_LIMITS) == 0:
        assert events == reference(data)
        assert decoder.skipped_bytes == 0


def json_lines(raw: bytes) -> None:
    """Lines, beside those of `bytes.split`."""
    data, events, decoder = _framed(JsonLinesDecoder, raw)
    if parsed(raw).choice(0) % len(_LIMITS) == 0:
        lines = [line.removesuffix(b"\r") for line in data.split(b"\n") if line.strip()]
        assert [event.data for event in events] == lines
        assert decoder.skipped_bytes == 0


def json_sequence(raw: bytes) -> None:
    """A JSON text sequence."""
    data, events, _ = _framed(JsonSequenceDecoder, raw)
    texts = data.split(b"\x1e")[1:]
    assert all(any(event.data in text for text in texts) for event in events)


def json_array(raw: bytes) -> None:
    """One array, beside orjson."""
    data, events, decoder = _framed(JsonArrayDecoder, raw)
    if parsed(raw).choice(0) % len(_LIMITS):
        return
    try:
        expected = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    if isinstance(expected, list):
        assert [orjson.loads(event.data) for event in events] == expected
        assert decoder.skipped_bytes == decoder.pending_bytes == 0


_LARGEST_HEADERS = 128 << 10
_PRELUDE = struct.Struct(">II")
_CRC = struct.Struct(">I")


def event_stream(raw: bytes) -> None:
    """Amazon's event stream; an odd second choice puts data into messages that pass the checks."""
    source = parsed(raw)
    data = source.data
    if source.choice(1) & 1:
        data = b"".join(_checked_messages(data))
    again = packed(data, source.choices)
    _, events, decoder = _framed(
        EventStreamDecoder, again, held_beyond=_LARGEST_HEADERS, makes_text=True
    )
    if source.choice(1) & 1 and source.choice(0) % len(_LIMITS) == 0:
        assert decoder.pending_bytes == 0
        assert all(event.data in data for event in events if event.event[:5] != "error")


def _checked_messages(data: bytes) -> Iterator[bytes]:
    """Messages of headers and payload, whose sizes the first two bytes of each give."""
    at = 0
    while at + 2 <= len(data):
        headers, payload = data[at], data[at + 1]
        content = data[at + 2 : at + 2 + headers + payload]
        at += 2 + len(content)
        prelude = _PRELUDE.pack(len(content) + 16, min(headers, len(content)))
        message = prelude + _CRC.pack(crc32(prelude)) + content
        yield message + _CRC.pack(crc32(message))


def multipart(raw: bytes) -> None:
    """A form; the first two choices are limits, and where bytes are missing."""
    source = parsed(raw)
    limits = (_LIMITS[source.choice(0) % 4], _LIMITS[source.choice(0) // 4 % 4])
    whole, split = _form(limits), _form(limits)
    expected = [*whole.feed(source.data), *whole.finish()]
    found: list[Part] = []
    for piece in pieces(source.data, source.choices[2:]):
        found += split.feed(piece)
        assert split.pending_bytes <= MAX_HEAD_BYTES + len(piece) + 200
    found += split.finish()
    assert found == expected
    for reader, parts in ((whole, expected), (split, found)):
        assert _form_bytes(reader, parts) == len(source.data)
    _form_with_hole(source.data, source.choice(1), limits)
    boundary_of(source.data.decode("latin-1"))


def _form(limits: tuple[int, int]) -> MultipartReader:
    return MultipartReader(b"b-1", field_limit_bytes=limits[0], file_limit_bytes=limits[1])


def _form_bytes(reader: MultipartReader, parts: list[Part]) -> int:
    sizes = sum(part.size_bytes for part in parts)
    return sizes + reader.framing_bytes + reader.skipped_bytes + reader.pending_bytes


def _form_with_hole(data: bytes, choice: int, limits: tuple[int, int]) -> None:
    """Bytes are missing in one place: no part lies on both sides of it."""
    at = len(data) * choice // 256
    reader = _form(limits)
    before = [*reader.feed(data[:at]), *reader.lose()]
    after = [*reader.feed(data[at:]), *reader.finish()]
    assert _form_bytes(reader, before + after) == len(data)
    for side, parts in ((data[:at], before), (data[at:], after)):
        assert all(part.content is None or part.content in side for part in parts)
