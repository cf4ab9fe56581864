"""Harnesses of one direction of HTTP/2 and of a WebSocket."""

from __future__ import annotations

from collector.http.http2_events import DataRead, HeadRead, Http2Event, MessageRead, TrailersRead
from collector.http.websocket_frames import FrameEvent, FrameReader
from collector.http.websocket_messages import Message
from tests.collector.http import http2_traffic, websockets
from tests.fuzz.steps import parsed, pieces, with_gaps

_LIMITS = (1 << 20, 60, 1000)


def http2_requests(raw: bytes) -> None:
    """What a client sends, from its preface on."""
    source = parsed(raw)
    _http2(source.choices, http2_traffic.PREFACE + source.data, requests=True)


def http2_responses(raw: bytes) -> None:
    """What a server sends."""
    source = parsed(raw)
    _http2(source.choices, source.data, requests=False)


def _http2(choices: bytes, data: bytes, *, requests: bool) -> None:
    whole = http2_traffic.reader(requests=requests)
    expected = [*whole.feed(data, 0), *whole.close(0)]
    framing = whole.take_framing()
    assert http2_traffic.accounted_bytes(expected) + framing == len(data)
    _streams_are_in_order(expected)
    split = http2_traffic.reader(requests=requests)
    events: list[Http2Event] = []
    fed = split_framing = 0
    for piece in pieces(data, choices):
        events += split.feed(piece, 0)
        fed += len(piece)
        split_framing += split.take_framing()
        told = http2_traffic.accounted_bytes(events)
        assert told + split_framing + split.pending_bytes == fed
    events += split.close(0)
    _streams_are_in_order(events)
    if not whole.late and not _skips(expected):  # frames are found by what one call brought
        assert http2_traffic.merged(events) == http2_traffic.merged(expected)
        assert split_framing + split.take_framing() == framing
    _http2_with_holes(choices, data, requests=requests)


def _skips(events: list[Http2Event]) -> bool:
    return any(getattr(event, "reason", "closed") != "closed" for event in events)


def _http2_with_holes(choices: bytes, data: bytes, *, requests: bool) -> None:
    reader = http2_traffic.reader(requests=requests)
    events: list[Http2Event] = []
    fed = framing = 0
    for step in with_gaps(data, choices):
        if step.data is None:
            events += reader.gap(step.lost, 0)
        else:
            events += reader.feed(step.data, 0)
            fed += len(step.data)
        framing += reader.take_framing()
        assert http2_traffic.accounted_bytes(events) + framing + reader.pending_bytes == fed
    events += reader.close(0)
    framing += reader.take_framing()
    assert http2_traffic.accounted_bytes(events) + framing == fed
    _streams_are_in_order(events)


def _streams_are_in_order(events: list[Http2Event]) -> None:
    """Data, trailers and ends stand behind a head of their stream, and each head has one end."""
    open_streams: set[int] = set()
    for event in events:
        if isinstance(event, HeadRead):
            open_streams.add(event.stream)
        elif isinstance(event, DataRead | TrailersRead):
            assert event.stream in open_streams
            assert not isinstance(event, DataRead) or event.data
        elif isinstance(event, MessageRead):
            open_streams.remove(event.stream)
    assert not open_streams


def websocket_frames(raw: bytes) -> None:
    """One direction of a WebSocket; the first choice says what was agreed, the second the limit."""
    source = parsed(raw)
    agreed = source.choice(0)
    limit = _LIMITS[source.choice(1) % len(_LIMITS)]

    def reader() -> FrameReader:
        return websockets.reader(
            bool(agreed & 1), takeover=bool(agreed & 2), any_rsv=bool(agreed & 4), limit=limit
        )

    whole, split = reader(), reader()
    expected = [*whole.feed(source.data, 0), *whole.close(0)]
    events: list[FrameEvent] = []
    fed = 0
    for piece in pieces(source.data, source.choices[2:]):
        events += split.feed(piece, 0)
        fed += len(piece)
        assert websockets.accounted_bytes(events) + split.pending_bytes == fed
    events += split.close(0)
    assert websockets.told(events) == websockets.told(expected)
    assert websockets.accounted_bytes(events) == len(source.data)
    for event in events:
        if isinstance(event, Message):
            assert event.data is None or len(event.data) <= limit
            assert (event.data is None) == (event.reason is not None)
    _websocket_with_holes(reader(), source.data, source.choices[2:])


def _websocket_with_holes(reader: FrameReader, data: bytes, choices: bytes) -> None:
    events: list[FrameEvent] = []
    fed = lost = 0
    for step in with_gaps(data, choices):
        if step.data is None:
            events += reader.gap(step.lost, 0)
            lost += step.lost
        else:
            events += reader.feed(step.data, 0)
            fed += len(step.data)
        assert websockets.accounted_bytes(events) + reader.pending_bytes == fed
    events += reader.close(0)
    assert websockets.accounted_bytes(events) == fed
    messages = [event for event in events if isinstance(event, Message)]
    assert sum(message.lost_bytes for message in messages) <= lost
    assert all(not message.lost_bytes for message in messages if message.data is not None)
