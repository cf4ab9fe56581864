"""Harnesses of `collector.http`: messages, chunks, codings, HPACK."""

from __future__ import annotations

import gzip
import re
import zlib

import brotli  # type: ignore[import-untyped]
import h11
import hpack
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer as H11Buffer

from collector.http.chunked import ChunkedBody, Phase
from collector.http.codings import ContentDecoder
from collector.http.events import HttpEvent, Skipped
from collector.http.hpack_fields import (
    MAX_TABLE_BYTES,
    BlockItem,
    CutField,
    Field,
    HpackDecoder,
    MalformedField,
    TableSize,
)
from collector.http.http1 import RequestReader, ResponseReader
from collector.http.message_reader import MAX_HEAD_BYTES
from collector.http.receive_buffer import ReceiveBuffer
from tests.collector.http.test_http1_properties import assert_messages_are_closed
from tests.collector.http.transcripts import Reader, accounted_bytes, merged
from tests.fuzz.steps import parsed, pieces, with_gaps

_METHODS = ("GET", None, "HEAD", "CONNECT")
_UPGRADE = 250  # the first choice, from there on: the other direction leaves HTTP/1


def requests(raw: bytes) -> None:
    """One direction, as a client sends it."""
    _messages(raw, None)


def responses(raw: bytes) -> None:
    """One direction, as a server sends it; the first choice says what was asked."""
    _messages(raw, parsed(raw).choice(0))


def _messages(raw: bytes, asked: int | None) -> None:
    choices, data = parsed(raw)
    _gaps_are_not_joined(data, choices, asked)
    whole = _reader(asked)
    expected = merged([*whole.feed(data, 0), *whole.close(0)])
    if any(isinstance(event, Skipped) and event.reason != "closed" for event in expected):
        return  # where sync is lost, what one call sends is looked at for itself
    split = _reader(asked)
    events = [event for piece in pieces(data, choices) for event in split.feed(piece, 0)]
    assert merged([*events, *split.close(0)]) == expected


def _reader(asked: int | None) -> Reader:
    if asked is None:
        return RequestReader()
    method = _METHODS[asked % len(_METHODS)]
    return ResponseReader(lambda: method)


def _gaps_are_not_joined(data: bytes, choices: bytes, asked: int | None) -> None:
    """Bytes are accounted for at each step; behind a hole that ends a message, all is read as
    though nothing had come before."""
    reader, fresh = _reader(asked), _reader(asked)
    events: list[HttpEvent] = []
    fed = lost_at = 0
    since: list[HttpEvent] | None = None  # what a reader that begins at the last hole tells
    for step in with_gaps(data, choices):
        if step.data is None:
            events += reader.gap(step.lost, 0)
            if not reader.in_step:
                fresh = _reader(asked)
                lost_at, since = len(events), fresh.gap(step.lost, 0)
            elif since is not None:
                since += fresh.gap(step.lost, 0)
        else:
            events += reader.feed(step.data, 0)
            fed += len(step.data)
            assert len(reader._buffer) <= MAX_HEAD_BYTES + len(step.data)
            if since is not None:
                since += fresh.feed(step.data, 0)
        assert accounted_bytes(events) + reader.pending_bytes == fed
    if since is not None:
        assert events[lost_at:] == since
    if choices and choices[0] >= _UPGRADE:
        events += reader.upgrade("x", 0)
    events += reader.close(0)
    assert accounted_bytes(events) == fed
    assert_messages_are_closed(events)


def chunked(raw: bytes) -> None:
    """A chunked body, whole and split, beside h11."""
    choices, data = parsed(raw)
    whole, phase, left = _unchunked([data])
    assert _unchunked(pieces(data, choices)) == (whole, phase, left)
    expected = _h11_unchunked(data)
    if expected is not None:
        assert (whole, phase, left) == (*expected[:1], Phase.DONE, expected[1])


def _unchunked(parts: list[bytes]) -> tuple[bytes, Phase, int]:
    buffer, body = ReceiveBuffer(), ChunkedBody()
    result = b""
    for part in parts:
        buffer.append(part)
        held = len(buffer)
        if body.phase not in (Phase.DONE, Phase.MALFORMED, Phase.LINE_TOO_LONG):
            result += body.read(buffer)
        assert len(buffer) <= held
    return result, body.phase, len(buffer)


def _h11_unchunked(data: bytes) -> tuple[bytes, int] | None:
    """The body and how much stands behind it; None when h11 does not find all of one."""
    buffer, reader, body = H11Buffer(), ChunkedReader(), b""
    buffer += data
    try:
        while (event := reader(buffer)) is not None:
            if isinstance(event, h11.EndOfMessage):
                return body, len(buffer)
            body += event.data
    except h11.ProtocolError:
        pass
    return None


_CODINGS = (
    *("gzip", "deflate", "br", "zstd", "gzip, br", "zstd, gzip", "br, br", "identity"),
    *("", "deflate, x-gzip, zstd, br", "br, unknown", "GZIP,,"),
)
_LIMITS = (1 << 20, 0, 1, 100, 70_000)
_RESERVED_FLAGS = re.compile(rb"\x1f\x8b\x08[\x20-\xff]")
_REFERENCES = {
    "gzip": (gzip.decompress, (OSError, EOFError, zlib.error)),
    "br": (brotli.decompress, (brotli.error,)),
}


def codings(raw: bytes) -> None:
    """A content-coded body: the first choice is the coding, the second the limit."""
    source = parsed(raw)
    data, coding = source.data, _CODINGS[source.choice(0) % len(_CODINGS)]
    limit = _LIMITS[source.choice(1) % len(_LIMITS)]
    whole = ContentDecoder(coding, limit)
    output = whole.feed(data) + whole.finish()
    split = ContentDecoder(coding, limit)
    parts = [split.feed(piece) for piece in pieces(data, source.choices[2:])]
    joined = b"".join([*parts, split.finish()])
    for decoder, text in ((whole, output), (split, joined)):
        assert len(text) <= limit
        assert 0 <= decoder.undecoded_bytes <= len(data) * max(1, limit)
    assert joined.startswith(output) or output.startswith(joined)
    if whole.failed in (None, "truncated") and not whole.capped:
        assert (split.failed, split.capped, joined) == (whole.failed, False, output)
        assert split.undecoded_bytes == whole.undecoded_bytes
    if limit == _LIMITS[0]:
        _as_the_library(coding, data, whole, output)


def _as_the_library(coding: str, data: bytes, decoder: ContentDecoder, output: bytes) -> None:
    if coding not in _REFERENCES or not data or _RESERVED_FLAGS.search(data):
        return  # Python's gzip takes flags that RFC 1952 section 2.3.1.2 says to refuse
    decompress, errors = _REFERENCES[coding]
    try:
        expected = decompress(data)
    except errors:
        return
    if len(expected) <= _LIMITS[0]:
        assert (output, decoder.failed, decoder.capped) == (expected, None, False)


def hpack_fields(raw: bytes) -> None:
    """Header blocks of one direction, beside `hpack`; the first choice cuts each block in two."""
    source = parsed(raw)
    ours, parted, late = HpackDecoder(), HpackDecoder(), HpackDecoder(complete=False)
    reference = hpack.Decoder(max_header_list_size=1 << 30)
    reference.max_allowed_table_size = MAX_TABLE_BYTES
    for block in pieces(source.data, source.choices[1:]):
        items = ours.read(block)
        _stand_in_order(items, block)
        assert _told(_in_two(parted, block, source.choice(0))) == _told(items)
        late.read(block)
        assert max(ours.table_bytes, late.table_bytes) <= MAX_TABLE_BYTES
        expected = _read_by_hpack(reference, block)
        malformed = items[-1].reason if isinstance(items[-1], MalformedField) else None
        if expected is None or malformed == _TOO_LONG:
            return  # each has limits of its own
        assert malformed is None
        assert [(item.name, item.value) for item in items if isinstance(item, Field)] == expected
        assert ours.table_bytes == reference.header_table._current_size


_TOO_LONG = "an integer of too many bytes"


def _read_by_hpack(reference: hpack.Decoder, block: bytes) -> list[tuple[bytes, bytes]] | None:
    try:
        return [(bytes(name), bytes(value)) for name, value in reference.decode(block, raw=True)]
    except hpack.HPACKError:
        return None


def _in_two(decoder: HpackDecoder, block: bytes, cut: int) -> list[BlockItem]:
    first = decoder.read(block[:cut], cut=True)
    begin = min(cut, len(block))
    if first and isinstance(first[-1], MalformedField):
        return first
    if first and isinstance(first[-1], CutField):
        begin = first.pop().start
    return [*first, *decoder.read(block[begin:])]


def _told(items: list[BlockItem]) -> list[object]:
    """What the items say, apart from where they stand."""
    return [
        (item.representation, item.name, item.value)
        if isinstance(item, Field)
        else item.size_bytes
        if isinstance(item, TableSize)
        else "malformed"
        for item in items
    ]


def _stand_in_order(items: list[BlockItem], block: bytes) -> None:
    """One behind the other, up to the end or to what is malformed."""
    at = 0
    for item in items:
        assert item.start == at
        if isinstance(item, Field | TableSize):
            assert at < item.end <= len(block)
            at = item.end
    assert at == len(block) or isinstance(items[-1], MalformedField)
