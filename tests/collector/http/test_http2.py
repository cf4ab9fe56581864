"""One direction of HTTP/2 as transcripts: frames in, events out."""

from __future__ import annotations

import hpack
import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from collector.http.events import MessageEnd, RequestHead, ResponseHead, Skipped
from collector.http.http2 import Http2Reader
from collector.http.http2_blocks import MAX_BLOCK_BYTES, MAX_LIST_BYTES
from collector.http.http2_events import (
    DataLost,
    DataRead,
    HeadMissed,
    HeadRead,
    Http2Event,
    MessageRead,
    Promised,
    StreamReset,
    TrailersRead,
    WentAway,
)
from collector.http.http2_messages import MAX_STREAMS
from tests.collector.http.http2_traffic import PREFACE, accounted_bytes, reader
from tests.collector.http.transcripts import pieces

Fields = list[tuple[bytes, bytes]]
POST: Fields = [
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":authority", b"llm.example:8443"),
    (b":path", b"/v1/messages"),
]
OK: Fields = [(b":status", b"200"), (b"Content-Type", b"text/event-stream")]
SETTINGS = SettingsFrame(0).serialize()
BEGUN = PREFACE + SETTINGS


class Side:
    """A direction under test. Its encoder is another implementation."""

    def __init__(self, *, requests: bool, begun: bool = True) -> None:
        self.encoder = hpack.Encoder()
        self.reader: Http2Reader = reader(requests=requests)
        self.fed_bytes = 0
        self.events: list[Http2Event] = []
        self.at = 0
        if begun:
            self.feeds(BEGUN if requests else SETTINGS)

    def head(self, fields: Fields, stream: int = 1, *flags: str) -> bytes:
        frame = HeadersFrame(stream, self.encoder.encode(fields))
        frame.flags |= {"END_HEADERS", *flags}
        return frame.serialize()

    def feeds(self, *calls: bytes) -> list[Http2Event]:
        found = []
        for data in calls:
            self.fed_bytes += len(data)
            self.at += 1
            found += self.reader.feed(data, self.at)
        self.events += found
        return found

    def loses(self, length: int) -> list[Http2Event]:
        self.at += 1
        found = self.reader.gap(length, self.at)
        self.events += found
        return found

    def closes(self) -> list[Http2Event]:
        self.at += 1
        found = self.reader.close(self.at)
        self.events += found
        counted = accounted_bytes(self.events) + self.reader.take_framing()
        assert counted == self.fed_bytes
        assert self.reader.pending_bytes == 0
        return found


def data(payload: bytes, stream: int = 1, *flags: str, pad: int | None = None) -> bytes:
    frame = DataFrame(stream, payload, pad_length=pad or 0)
    frame.flags |= set(flags)
    if pad is not None:
        frame.flags.add("PADDED")
    return frame.serialize()


def requesting() -> Side:
    return Side(requests=True)


def answering() -> Side:
    return Side(requests=False)


# Messages


def test_a_request() -> None:
    side = requesting()
    head, body = side.head(POST), data(b"{}", 1, "END_STREAM")
    asked, content, end = side.feeds(head, body)
    assert asked == HeadRead(
        1,
        2,
        RequestHead(
            2,
            "POST",
            "/v1/messages",
            "2",
            (
                (":method", "POST"),
                (":scheme", "https"),
                (":authority", "llm.example:8443"),
                (":path", "/v1/messages"),
                ("host", "llm.example:8443"),
            ),
        ),
        len(head),
    )
    assert content == DataRead(1, 3, b"{}")
    assert end == MessageRead(1, MessageEnd(3, True, len(head + body)))
    assert side.closes() == []


def test_a_request_without_a_body_and_one_for_a_tunnel() -> None:
    side = requesting()
    get = side.feeds(side.head(POST, 1, "END_STREAM"))
    assert [type(event) for event in get] == [HeadRead, MessageRead]
    tunnel = side.feeds(side.head([(b":method", b"CONNECT"), (b":authority", b"h:443")], 3))
    assert isinstance(tunnel[0], HeadRead)
    assert isinstance(tunnel[0].head, RequestHead)
    assert (tunnel[0].head.method, tunnel[0].head.target) == ("CONNECT", "h:443")


def test_an_answer_whose_head_comes_in_parts() -> None:
    side = answering()
    head = side.head(OK)
    assert side.feeds(head[:4], head[4:12]) == []
    (answered,) = side.feeds(head[12:])
    assert isinstance(answered, HeadRead)
    assert isinstance(answered.head, ResponseHead)
    assert (answered.first_ns, answered.head.ktime_ns) == (2, 4)
    assert answered.head.status == 200
    assert answered.head.headers == ((":status", "200"), ("content-type", "text/event-stream"))


def test_interim_heads_come_before_the_final_one() -> None:
    side = answering()
    interim, head = side.head([(b":status", b"100")]), side.head(OK)
    first, second, end = side.feeds(interim, head, data(b"", 1, "END_STREAM"))
    assert isinstance(first, HeadRead)
    assert isinstance(second, HeadRead)
    assert isinstance(first.head, ResponseHead)
    assert (first.head.status, second.first_ns) == (100, 3)
    assert end == MessageRead(1, MessageEnd(4, True, len(interim + head) + 9))


def test_trailers() -> None:
    side = answering()
    trailers = side.head([(b"grpc-status", b"0")], 1, "END_STREAM")
    *_, trailed, end = side.feeds(side.head(OK), data(b"x"), trailers)
    assert trailed == TrailersRead(1, 4, (("grpc-status", "0"),))
    assert isinstance(end, MessageRead)
    assert end.end.complete


def test_content_is_told_before_its_frame_is_whole() -> None:
    side = answering()
    side.feeds(side.head(OK))
    frame = data(b"data: a\n\ndata: b\n\n")
    assert side.feeds(frame[:18]) == [DataRead(1, 3, b"data: a\n\n")]
    assert side.feeds(frame[18:]) == [DataRead(1, 4, b"data: b\n\n")]


def test_frames_of_one_read_are_told_by_stream() -> None:
    side = answering()
    side.feeds(side.head(OK, 1), side.head(OK, 3))
    read = data(b"a") + data(b"b") + data(b"c", 3) + data(b"d") + data(b"e", 3, "END_STREAM")
    events = side.feeds(read)
    assert events[:4] == [
        DataRead(1, 4, b"ab"),
        DataRead(3, 4, b"c"),
        DataRead(1, 4, b"d"),
        DataRead(3, 4, b"e"),
    ]
    assert isinstance(events[4], MessageRead)


def test_padding_and_priority_belong_to_the_message() -> None:
    side = requesting()
    frame = HeadersFrame(1, side.encoder.encode(POST), pad_length=9, depends_on=3, stream_weight=5)
    frame.flags |= {"PADDED", "PRIORITY", "END_HEADERS"}
    head, body = frame.serialize(), data(b"text", pad=200) + data(b"", 1, "END_STREAM", pad=0)
    for calls in ([head + body], pieces(head + body, range(len(head + body)))):
        one = requesting()
        events = one.feeds(*calls)
        assert b"".join(event.data for event in events if isinstance(event, DataRead)) == b"text"
        end = events[-1]
        assert isinstance(end, MessageRead)
        assert (end.end.complete, end.end.wire_bytes) == (True, len(head + body))
        one.closes()


def test_a_head_in_many_frames() -> None:
    side = requesting()
    block = side.encoder.encode([*POST, (b"x-large", b"v" * 500)])
    first = HeadersFrame(1, block[:10])
    first.flags.add("END_STREAM")
    rest = [ContinuationFrame(1, block[at : at + 7]) for at in range(10, len(block), 7)]
    rest[-1].flags.add("END_HEADERS")
    whole = b"".join(frame.serialize() for frame in (first, *rest))
    asked, end = side.feeds(whole)
    assert isinstance(asked, HeadRead)
    assert asked.head.headers[-2] == ("x-large", "v" * 500)
    assert end == MessageRead(1, MessageEnd(2, True, len(whole)))


def test_frames_of_the_connection_are_framing() -> None:
    side = requesting()
    others: list[Frame] = [
        PingFrame(0, b"12345678"),
        WindowUpdateFrame(1, 99),
        PriorityFrame(3, depends_on=1),
        SettingsFrame(0, {SettingsFrame.MAX_FRAME_SIZE: 1 << 20}),
    ]
    frames = b"".join(frame.serialize() for frame in others)
    assert side.feeds(frames[:30], frames[30:]) == []
    assert side.reader.take_framing() == len(BEGUN + frames)
    extension = b"\0\0\3\x10\0\0\0\0\0abc"
    assert sum(event.length for event in side.feeds(extension) if type(event) is Skipped) == 12


def test_a_reset_and_a_farewell() -> None:
    side = requesting()
    head = side.head(POST)
    reset = RstStreamFrame(1, 8).serialize()
    away = GoAwayFrame(0, last_stream_id=5, error_code=2, additional_data=b"why").serialize()
    events = side.feeds(head, data(b"par"), reset[:11], reset[11:] + away)
    assert events[2:] == [
        MessageRead(1, MessageEnd(5, False, len(head) + 12)),
        StreamReset(1, 5, 8),
        WentAway(5, 5, 2),
    ]
    assert [type(event) for event in side.feeds(data(b"late"))] == [Skipped]


def test_a_promise() -> None:
    side = answering()
    push = PushPromiseFrame(1, 2, side.encoder.encode(POST), pad_length=3)
    push.flags |= {"PADDED", "END_HEADERS"}
    (promised,) = side.feeds(push.serialize())
    assert isinstance(promised, Promised)
    assert (promised.stream, promised.promised) == (1, 2)
    assert (":path", "/v1/messages") in promised.headers
    (answered,) = side.feeds(side.head(OK, 2))
    assert isinstance(answered, HeadRead)


def test_an_open_message_is_cut_by_the_close() -> None:
    side = requesting()
    head = side.head(POST)
    side.feeds(head, data(b"text")[:11])
    assert side.reader.pending_bytes == len(head) + 11
    assert side.closes() == [MessageRead(1, MessageEnd(4, False, len(head) + 11))]


def test_what_a_dropped_stream_still_says_is_skipped() -> None:
    side = answering()
    side.feeds(side.head(OK), data(b"text")[:11])
    end = side.reader.drop(1, 9)
    assert end is not None
    assert not end.complete
    side.fed_bytes -= end.wire_bytes
    rest = side.feeds(data(b"text")[11:], data(b"more"), data(b"", 1, "END_STREAM"))
    assert {event.reason for event in rest if isinstance(event, Skipped)} == {"stream_ended"}
    assert len([event for event in rest if not isinstance(event, Skipped)]) == 0
    side.closes()


# Holes


def test_a_hole_in_content_costs_that_stream_alone() -> None:
    side = answering()
    side.feeds(side.head(OK, 1), side.head(OK, 3))
    frame = data(b"0123456789")
    assert side.feeds(frame[:12]) == [DataRead(1, 4, b"012")]
    assert side.loses(4) == [DataLost(1, 5, 4)]
    content, other, *ends = side.feeds(
        frame[16:] + data(b"whole", 3, "END_STREAM") + data(b"", 1, "END_STREAM")
    )
    assert (content, other) == (DataRead(1, 6, b"789"), DataRead(3, 6, b"whole"))
    found = {event.stream: event.end for event in ends if isinstance(event, MessageRead)}
    assert (found[3].complete, found[3].lost_bytes) == (True, 0)
    assert (found[1].complete, found[1].lost_bytes) == (False, 4)
    side.closes()


def test_a_hole_to_the_end_of_the_last_frame() -> None:
    side = answering()
    side.feeds(side.head(OK))
    frame = data(b"0123456789", 1, "END_STREAM")
    side.feeds(frame[:12])
    lost, end = side.loses(7)
    assert lost == DataLost(1, 4, 7)
    assert isinstance(end, MessageRead)
    assert (end.end.complete, end.end.lost_bytes) == (False, 7)


def test_a_hole_over_the_padding_length_leaves_no_content_by_guess() -> None:
    side = answering()
    frame = data(b"0123456789", pad=5)
    side.feeds(side.head(OK), frame[:9])
    side.loses(3)
    assert side.feeds(frame[12:]) == []
    side.closes()


def test_a_hole_in_a_head_is_not_a_hole_in_other_streams() -> None:
    side = answering()
    side.feeds(side.head(OK))
    head = side.head([*OK, (b"x-a", b"value")], 3)
    side.feeds(head[:12])
    assert side.loses(5) == []
    events = side.feeds(head[17:], data(b"lost", 3), data(b"text"), side.head(OK, 5))
    assert [event for event in events if not isinstance(event, Skipped)] == [
        HeadMissed(3, 5, "gap"),
        DataRead(1, 7, b"text"),
        events[-1],
    ]
    assert isinstance(events[-1], HeadRead)
    assert (":status", "200") in events[-1].head.headers
    side.closes()


def test_after_a_hole_between_frames_open_streams_are_over_and_new_ones_whole() -> None:
    side = requesting()
    side.feeds(side.head(POST, 1), data(b"par", 1))
    side.head(POST, 3)  # never delivered
    (ended,) = side.loses(50)
    assert isinstance(ended, MessageRead)
    assert not ended.end.complete
    skipped, missed, *skips = side.feeds(data(b"of 1", 1), data(b"of 3", 3, "END_STREAM"))
    assert (skipped, missed) == (Skipped(5, 13, "gap"), HeadMissed(3, 6, "gap"))
    assert {type(event) for event in skips} == {Skipped}
    asked, _, end = side.feeds(side.head(POST, 5) + data(b"{}", 5, "END_STREAM"))
    assert isinstance(asked, HeadRead)
    assert isinstance(asked.head, RequestHead)
    assert isinstance(end, MessageRead)
    assert (asked.head.method, end.end.complete) == ("POST", True)
    assert (":authority", "llm.example:8443") not in asked.head.headers
    assert asked.head.target == ""  # it stands in the lost part of the table
    side.closes()


def test_trailers_of_a_lost_head_are_no_head() -> None:
    side = answering()
    side.feeds(side.head(OK))
    side.loses(100)
    events = side.feeds(side.head([(b"grpc-status", b"0")], 3, "END_STREAM"))
    assert [type(event) for event in events] == [HeadMissed, Skipped]
    side.closes()


def test_a_status_that_is_not_known_reads_as_zero() -> None:
    side = answering()
    rate_limited = [(b":status", b"429"), (b"x-a", b"a")]
    side.feeds(side.head(rate_limited))
    side.loses(1 << 20)
    (answered,) = side.feeds(side.head(rate_limited, 3))
    assert isinstance(answered, HeadRead)
    assert isinstance(answered.head, ResponseHead)
    assert (answered.head.status, answered.head.headers) == (0, ())


def test_what_is_no_frame_is_passed_over() -> None:
    side = answering()
    side.feeds(side.head(OK))
    text = b"POST /v1/messages HTTP/1.1 and so on"
    ended, skipped = side.feeds(text)
    assert isinstance(ended, MessageRead)
    assert skipped == Skipped(3, len(text), "resync")
    (answered,) = side.feeds(side.head(OK, 3))
    assert isinstance(answered, HeadRead)
    side.closes()


# Late


def test_a_reader_that_comes_late_says_so() -> None:
    side = Side(requests=True, begun=False)
    events = side.feeds(b"the rest of a frame", data(b"text", 7), side.head(POST, 9))
    assert side.reader.late
    assert [type(event) for event in events] == [Skipped, HeadMissed, Skipped, HeadRead]
    assert {event.reason for event in events if isinstance(event, Skipped)} == {"joined_late"}
    side.closes()


def test_the_wrong_direction_is_told() -> None:
    side = Side(requests=True, begun=False)
    events = side.feeds(PingFrame(0, b"12345678").serialize() + side.head(OK), data(b"text"))
    assert side.reader.server_side
    assert {event.reason for event in events if isinstance(event, Skipped)} == {"server_side"}
    side.closes()


# Bounds


def test_a_flood_of_continuations_is_bounded() -> None:
    side = requesting()
    side.feeds(HeadersFrame(1, b"\0\1a\1b").serialize())
    flood = ContinuationFrame(1, (b"\0\1a\1b") * 3000).serialize()
    for _ in range(2 * MAX_BLOCK_BYTES // len(flood)):
        assert side.feeds(flood) == []
        assert len(side.reader._blocks._block.data) <= MAX_BLOCK_BYTES  # type: ignore[union-attr]
    last = ContinuationFrame(1, b"")
    last.flags.add("END_HEADERS")
    missed, skipped = side.feeds(last.serialize())
    assert missed == HeadMissed(1, side.at, "head_too_long")
    assert isinstance(skipped, Skipped)
    (asked,) = side.feeds(side.head(POST, 3))
    assert isinstance(asked, HeadRead)
    side.closes()


def test_a_list_that_few_bytes_blow_up_is_not_taken() -> None:
    side = requesting()
    side.encoder.encode([(b"x-bomb", b"v" * 4000)])
    block = hpack.Encoder().encode([(b"x-bomb", b"v" * 4000)]) + b"\xbe" * (MAX_LIST_BYTES // 4000)
    frame = HeadersFrame(1, block)
    frame.flags.add("END_HEADERS")
    missed, _ = side.feeds(frame.serialize())
    assert missed == HeadMissed(1, 2, "head_too_long")
    (asked,) = side.feeds(side.head([*POST, (b"x-bomb", b"v" * 4000)], 3))
    assert isinstance(asked, HeadRead)
    assert ("x-bomb", "v" * 4000) in asked.head.headers  # the table is right nevertheless
    side.closes()


def test_streams_that_never_end_are_bounded() -> None:
    side = requesting()
    head = side.head(POST, 1)  # the table holds the fields from here on
    heads = [side.head(POST, 2 * number + 1) for number in range(1, MAX_STREAMS + 11)]
    events = side.feeds(head, *heads)
    ended = [event.stream for event in events if isinstance(event, MessageRead)]
    assert ended == [2 * number + 1 for number in range(11)]
    assert len(side.reader._messages.open) == MAX_STREAMS
    side.closes()


@pytest.mark.parametrize(
    "frames",
    [
        HeadersFrame(1, b"\xff\xff\xff\xff\xff\xff").serialize(),
        ContinuationFrame(1, b"\x82").serialize(),
        HeadersFrame(1, b"\x82").serialize() + data(b"inside", 3),
        b"\0\0\1\1\x08\0\0\0\1\xff",  # more padding than payload
        b"\0\0\0\1\x2c\0\0\0\1",
        b"\0\0\1\5\x0c\0\0\0\1\0",
        b"\0\0\1\0\x08\0\0\0\1\xff",
        b"\0\0\0\0\x08\0\0\0\1",
    ],
)
def test_frames_that_make_no_sense(frames: bytes) -> None:
    for requests in (True, False):
        side = Side(requests=requests)
        side.feeds(frames)
        (asked,) = [
            event
            for event in side.feeds(side.head(POST if requests else OK, 5))
            if isinstance(event, HeadRead)
        ]
        assert asked.stream == 5
        side.closes()
