from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from collector.http.event_stream import EventStreamDecoder, HeaderValue, parse_headers
from collector.http.framing import StreamEvent
from underglass.demo.event_stream import event, exception, message

LIMIT = 1 << 20
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STREAM = (
    event("messageStart", b'{"role":"assistant"}')
    + event("contentBlockDelta", b'{"delta":{"text":"Hi"}}')
    + exception("throttlingException", b'{"message":"slow down"}')
)
EVENTS = [
    StreamEvent("messageStart", b'{"role":"assistant"}'),
    StreamEvent("contentBlockDelta", b'{"delta":{"text":"Hi"}}'),
    StreamEvent("exception:throttlingException", b'{"message":"slow down"}'),
]


def decode(data: bytes, cuts: list[int] | None = None, limit: int = LIMIT) -> Any:
    """Events, skipped bytes and pending bytes of `data` fed in pieces."""
    decoder = EventStreamDecoder(limit)
    ends = [*sorted({cut % (len(data) + 1) for cut in cuts or ()}), len(data)]
    found: list[StreamEvent] = []
    start = 0
    for end in ends:
        found += decoder.feed(data[start:end])
        assert decoder.pending_bytes <= limit
        start = end
    found += decoder.finish()
    return found, decoder.skipped_bytes, decoder.pending_bytes


def test_events() -> None:
    assert decode(STREAM) == (EVENTS, 0, 0)


def test_every_split_in_two() -> None:
    for cut in range(len(STREAM)):
        assert decode(STREAM, [cut]) == (EVENTS, 0, 0)


def test_an_error_without_a_payload_says_what_its_headers_say() -> None:
    headers: dict[str, HeaderValue] = {
        ":message-type": "error",
        ":error-code": "InternalFailure",
        ":error-message": "try again",
    }
    found = [StreamEvent("error:InternalFailure", b'{"message":"try again"}')]
    assert decode(message(headers)) == (found, 0, 0)


def test_a_message_cut_short_is_pending() -> None:
    cut = STREAM[:-1]
    size = len(exception("throttlingException", b'{"message":"slow down"}'))
    assert decode(cut) == (EVENTS[:2], 0, size - 1)


def test_a_message_with_a_wrong_checksum_is_skipped_by_its_length() -> None:
    broken = bytearray(event("contentBlockDelta", b'{"delta":{"text":"Hi"}}'))
    broken[-10] ^= 1
    assert decode(STREAM + broken + STREAM) == (EVENTS * 2, len(broken), 0)


@pytest.mark.parametrize("noise", [b"x", b"\0" * 40, STREAM[1:], b"\0\0\0\x20\0\0\0\0wrong!"])
def test_the_next_prelude_is_found(noise: bytes) -> None:
    found, skipped, pending = decode(noise + STREAM)
    assert found[-3:] == EVENTS
    assert skipped + pending + sum(len(part) for part in _messages(found)) == len(noise + STREAM)


def _messages(found: list[StreamEvent]) -> list[bytes]:
    return [
        exception(one.event.removeprefix("exception:"), one.data)
        if one.event.startswith("exception:")
        else event(one.event, one.data)
        for one in found
    ]


def test_a_message_over_the_limit_is_skipped() -> None:
    big = event("contentBlockDelta", b" " * 500)
    for cuts in ([], [len(big) // 2], list(range(0, len(big), 7))):
        assert decode(big + STREAM, cuts, limit=400) == (EVENTS, len(big), 0)
    assert decode(event("x", b"") + big[:300], limit=400) == ([StreamEvent("x", b"")], 300, 0)


def test_headers_that_cannot_be_read_are_skipped() -> None:
    block = b"\x05:name\x07\x00\xffshort"
    prelude = struct.pack(">II", 16 + len(block), len(block))
    body = prelude + struct.pack(">I", crc32(prelude)) + block
    whole = body + struct.pack(">I", crc32(body))
    assert decode(whole + STREAM) == (EVENTS, len(whole), 0)
    for headers in ({":message-type": "other"}, {"about": "nothing"}):
        unnamed = message(headers)
        assert decode(unnamed) == ([], len(unnamed), 0)


def test_more_kinds_of_headers_than_are_remembered() -> None:
    names = [f"event{number}" for number in range(200)] * 2
    found, skipped, _ = decode(b"".join(event(name, b"{}") for name in names))
    assert [one.event for one in found] == names
    assert skipped == 0


values: st.SearchStrategy[HeaderValue] = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=300),
    st.text(max_size=50),
    st.uuids(),
    st.integers(0, 4_000_000_000_000).map(lambda ms: EPOCH + timedelta(milliseconds=ms)),
)
messages = st.builds(
    message,
    st.dictionaries(st.text(min_size=1, max_size=20), values, max_size=5).map(
        lambda some: {**some, ":event-type": "e", ":message-type": "event"}
    ),
    st.binary(max_size=200),
)


def _as_botocore(value: HeaderValue) -> Any:
    if isinstance(value, UUID):
        return value.bytes
    if isinstance(value, datetime):
        return (value - EPOCH) // timedelta(milliseconds=1)
    return value


@given(st.lists(messages, max_size=4), st.lists(st.integers(0, 2_000), max_size=6))
def test_decodes_as_botocore_does(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    oracle = EventStreamBuffer()
    oracle.add_data(data)
    theirs = list(oracle)
    found, skipped, pending = decode(data, cuts)
    assert [one.data for one in found] == [one.payload for one in theirs]
    assert (skipped, pending) == (0, 0)
    for part, one in zip(parts, theirs, strict=True):
        size = struct.unpack_from(">I", part, 4)[0]
        headers = parse_headers(part[12 : 12 + size])
        assert headers is not None
        assert {name: _as_botocore(value) for name, value in headers.items()} == one.headers


@given(
    st.lists(st.one_of(messages, st.binary(max_size=40)), max_size=5).map(b"".join),
    st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 255)), max_size=4),
    st.lists(st.integers(0, 2_000), max_size=8),
    st.sampled_from((100, 300, LIMIT)),
)
def test_never_raises_and_splits_alike(
    data: bytes, changes: list[tuple[int, int]], cuts: list[int], limit: int
) -> None:
    changed = bytearray(data)
    for place, value in changes:
        if changed:
            changed[place % len(changed)] = value
    whole = decode(bytes(changed), limit=limit)
    assert decode(bytes(changed), cuts, limit) == whole
    found, skipped, pending = whole
    carried = sum(len(one.data) for one in found)
    assert carried + skipped + pending <= len(changed)


@given(st.binary(max_size=200))
def test_headers_never_raise(block: bytes) -> None:
    parse_headers(block)
