"""Transcripts: bytes in, events out. Times are those of the feed that completed the event."""

from __future__ import annotations

import pytest

from collector.http.events import (
    BodyData,
    HttpEvent,
    MessageEnd,
    Passed,
    RequestHead,
    ResponseHead,
    Skipped,
    Upgraded,
)
from collector.http.http1 import RequestReader, ResponseReader
from collector.http.message_reader import MAX_HEAD_BYTES

from .transcripts import feed_all, merged


def answering(*methods: str | None) -> ResponseReader:
    """A reader of responses to these methods; asking for more of them is an error."""
    return ResponseReader(iter(methods).__next__)


GET = b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"
GET_HEAD = RequestHead(1, "GET", "/v1/models", "1.1", (("host", "a"),))
GET_EVENTS: list[HttpEvent] = [GET_HEAD, MessageEnd(1, True, len(GET))]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OK_EVENTS: list[HttpEvent] = [
    ResponseHead(1, 200, "OK", "1.1", (("content-length", "2"),)),
    BodyData(1, b"ok"),
    MessageEnd(1, True, len(OK)),
]


class TestMessages:
    def test_any_method_where_a_request_must_begin(self) -> None:
        wire = GET.replace(b"GET", b"x-Own!")
        assert RequestReader().feed(GET + wire, 1)[2:] == [
            RequestHead(1, "x-Own!", "/v1/models", "1.1", (("host", "a"),)),
            MessageEnd(1, True, len(wire)),
        ]

    def test_pipelined_requests(self) -> None:
        assert RequestReader().feed(GET + GET, 1) == GET_EVENTS + GET_EVENTS

    def test_an_event_has_the_time_of_the_feed_that_completed_it(self) -> None:
        reader = RequestReader()
        head = b"POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\n"
        assert reader.feed(head[:-1], 1) == []
        assert reader.feed(head[-1:] + b"ab", 2) == [
            RequestHead(2, "POST", "/", "1.1", (("content-length", "4"),)),
            BodyData(2, b"ab"),
        ]
        assert reader.pending_bytes == len(head) + 2
        assert reader.feed(b"cd", 3) == [BodyData(3, b"cd"), MessageEnd(3, True, len(head) + 4)]
        assert reader.pending_bytes == 0

    def test_body_bytes_are_those_fed(self) -> None:
        reader, data = RequestReader(), b"x" * 16384
        reader.feed(b"POST / HTTP/1.1\r\ncontent-length: 500000\r\n\r\n", 1)
        [event] = reader.feed(data, 2)
        assert isinstance(event, BodyData)
        assert event.data is data

    def test_chunked_with_extension_and_trailer(self) -> None:
        wire = (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 7\r\n\r\n"
            b"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 1\r\n\r\n"
        )
        fields = (("transfer-encoding", "chunked"), ("content-length", "7"))
        assert answering("GET", "GET").feed(wire + OK, 1) == [
            ResponseHead(1, 200, "OK", "1.1", fields),
            BodyData(1, b"abcde"),
            MessageEnd(1, True, len(wire)),
            *OK_EVENTS,
        ]

    def test_a_body_until_close(self) -> None:
        reader, wire = answering("GET"), b"HTTP/1.0 200\r\n\r\nall "
        assert reader.feed(wire, 1) == [
            ResponseHead(1, 200, "", "1.0", ()),
            BodyData(1, b"all "),
        ]
        assert reader.feed(OK, 2) == [BodyData(2, OK)]
        assert reader.close(3) == [MessageEnd(3, True, len(wire) + len(OK))]

    def test_lf_line_ends_and_blank_lines_between_messages(self) -> None:
        wire = b"\r\n\nGET / HTTP/1.1\nhost: a\n\n"
        assert RequestReader().feed(wire + b"\r\n" + GET, 1) == [
            RequestHead(1, "GET", "/", "1.1", (("host", "a"),)),
            MessageEnd(1, True, len(wire)),
            GET_HEAD,
            MessageEnd(1, True, 2 + len(GET)),
        ]

    @pytest.mark.parametrize(
        ("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("HEAD", 404)]
    )
    def test_responses_without_a_body(self, method: str, status: int) -> None:
        head = b"HTTP/1.1 %d\r\ncontent-length: 5\r\n\r\n" % status
        assert answering(method, "GET").feed(head + OK, 1) == [
            ResponseHead(1, status, "", "1.1", (("content-length", "5"),)),
            MessageEnd(1, True, len(head)),
            *OK_EVENTS,
        ]

    def test_interim_heads_take_no_method_and_count_into_what_follows(self) -> None:
        interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n"
        assert answering("POST").feed(interim + OK, 1) == [
            ResponseHead(1, 100, "Continue", "1.1", ()),
            ResponseHead(1, 103, "Early Hints", "1.1", (("link", "a"),)),
            *OK_EVENTS[:2],
            MessageEnd(1, True, len(interim) + len(OK)),
        ]

    def test_a_connection_closed_inside_a_message(self) -> None:
        reader = answering("GET")
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        reader.feed(head + b"3\r\nabc\r\n5", 1)
        assert reader.close(2) == [MessageEnd(2, False, len(head) + 9)]
        assert reader.close(3) == []
        assert reader.feed(b"late", 4) == [Skipped(4, 4, "closed")]

    def test_a_connection_closed_inside_a_head(self) -> None:
        reader = RequestReader()
        assert reader.feed(b"\r\nGET / HTTP/1.1\r\nhost", 1) == []
        assert reader.close(2) == [Skipped(2, 22, "closed")]


class TestUnknownMethod:
    """The request was not seen, so it may have been a HEAD."""

    HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"

    @pytest.mark.parametrize("step", [1, 7, 1000])
    def test_a_status_line_in_place_of_the_body_is_the_next_head(self, step: int) -> None:
        wire = self.HEAD + OK
        feeds = [wire[at : at + step] for at in range(0, len(wire), step)]
        assert merged(feed_all(answering(None, "GET"), feeds, 1)) == [
            ResponseHead(1, 200, "OK", "1.1", (("content-length", "9"),)),
            MessageEnd(1, True, len(self.HEAD)),
            *OK_EVENTS,
        ]

    @pytest.mark.parametrize("step", [1, 7, 1000])
    def test_anything_else_is_the_body(self, step: int) -> None:
        wire = self.HEAD + b"HTTP/1.2!" + OK
        feeds = [wire[at : at + step] for at in range(0, len(wire), step)]
        assert merged(feed_all(answering(None, "GET"), feeds, 1)) == [
            ResponseHead(1, 200, "OK", "1.1", (("content-length", "9"),)),
            BodyData(1, b"HTTP/1.2!"),
            MessageEnd(1, True, len(self.HEAD) + 9),
            *OK_EVENTS,
        ]

    def test_what_is_held_at_close_is_body(self) -> None:
        reader, head = answering(None), b"HTTP/1.1 200 OK\r\n\r\n"
        reader.feed(head + b"HTTP", 1)
        assert reader.close(2) == [BodyData(2, b"HTTP"), MessageEnd(2, True, len(head) + 4)]

    def test_a_gap_before_the_body_is_not_taken_for_body(self) -> None:
        reader = answering(None, "GET")
        reader.feed(self.HEAD, 1)
        assert reader.gap(5, 1) == [MessageEnd(1, False, len(self.HEAD))]
        assert reader.feed(OK, 1) == OK_EVENTS


class TestUpgrade:
    @pytest.mark.parametrize(
        ("method", "head", "protocol"),
        [
            ("GET", b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n", "websocket"),
            ("GET", b"HTTP/1.1 101 Switching\r\n\r\n", "unknown"),
            ("CONNECT", b"HTTP/1.1 200 Established\r\ncontent-length: 3\r\n\r\n", "tunnel"),
        ],
    )
    def test_later_bytes_are_another_protocols(
        self, method: str, head: bytes, protocol: str
    ) -> None:
        reader = answering(method)
        _, end, upgraded, passed = reader.feed(head + b"\x81\x05", 1)
        assert end == MessageEnd(1, True, len(head))
        assert upgraded == Upgraded(1, protocol)
        assert passed == Passed(1, b"\x81\x05")
        assert reader.feed(OK, 2) == [Passed(2, OK)]
        assert reader.gap(5, 2) == []
        assert reader.close(3) == []

    def test_a_refused_tunnel_is_no_upgrade(self) -> None:
        wire = OK.replace(b"200 OK", b"403 No")
        _, body, end = answering("CONNECT").feed(wire, 1)
        assert [body, end] == OK_EVENTS[1:]

    def test_the_request_direction_is_told(self) -> None:
        reader = RequestReader()
        assert reader.feed(GET + b"\x81", 1) == [*GET_EVENTS, Skipped(1, 1, "resync")]
        assert reader.upgrade("websocket", 2) == [Upgraded(2, "websocket")]
        assert reader.feed(GET, 3) == [Passed(3, GET)]


class TestResync:
    def test_a_late_join_begins_with_the_next_start_line(self) -> None:
        reader, tail = RequestReader(), b'of a body"}\r\n'
        assert merged(reader.feed(tail + GET, 1)) == [
            Skipped(1, len(tail), "not_http"),
            *GET_EVENTS,
        ]

    def test_the_beginning_of_a_feed_may_be_a_start_line(self) -> None:
        reader = answering("GET")
        assert reader.feed(b"0d\nrest of a chunk", 1) == [Skipped(1, 18, "not_http")]
        assert reader.feed(OK, 1) == OK_EVENTS

    def test_a_start_line_inside_a_line_is_none(self) -> None:
        wire = b'"GET / HTTP/1.1\r\n'
        assert RequestReader().feed(wire, 1) == [Skipped(1, len(wire), "not_http")]

    def test_a_line_held_as_a_start_line_gives_way_to_the_feed_behind_it(self) -> None:
        reader = RequestReader()
        assert reader.feed(b"GET /cut", 1) == []
        assert reader.feed(GET, 1) == [Skipped(1, 8, "not_http"), *GET_EVENTS]

    @pytest.mark.parametrize("step", [1, 5, 1000])
    def test_malformed_chunks_end_the_message(self, step: int) -> None:
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        wire = head + b"3\r\nabcdef\r\n" + OK
        feeds = [wire[at : at + step] for at in range(0, len(wire), step)]
        assert merged(feed_all(answering("GET", "GET"), feeds, 1)) == [
            ResponseHead(1, 200, "OK", "1.1", (("transfer-encoding", "chunked"),)),
            BodyData(1, b"abc"),
            MessageEnd(1, False, len(head) + 6),
            Skipped(1, 5, "bad_chunk"),
            *OK_EVENTS,
        ]

    def test_a_chunk_line_without_end(self) -> None:
        reader = answering("GET")
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        events = reader.feed(head + b"3;" + b"x" * 9000, 1)
        assert events[1:] == [
            MessageEnd(1, False, len(head)),
            Skipped(1, 9002, "chunk_line_too_long"),
        ]

    @pytest.mark.parametrize(
        "fields", [b"content-length: 1, 2\r\n", b"transfer-encoding: gzip\r\n"]
    )
    def test_a_request_whose_end_cannot_be_told(self, fields: bytes) -> None:
        head = b"POST / HTTP/1.1\r\n" + fields + b"\r\n"
        events = RequestReader().feed(head + b"who knows\r\n" + GET, 1)
        assert events[1:] == [
            MessageEnd(1, False, len(head)),
            Skipped(1, 11, "bad_framing"),
            *GET_EVENTS,
        ]

    @pytest.mark.parametrize("begin", [b"GET /", b"GET / HTTP/1.1\r\nx: "])
    @pytest.mark.parametrize("step", [50_000, 10**9])
    def test_heads_are_bounded(self, begin: bytes, step: int) -> None:
        wire = begin.ljust(MAX_HEAD_BYTES + 1000, b"x") + b"\r\n"
        reader = RequestReader()
        feeds = [wire[at : at + step] for at in range(0, len(wire), step)]
        assert merged(feed_all(reader, feeds, 1)) == [Skipped(1, len(wire), "head_too_long")]
        assert reader.feed(GET, 1) == GET_EVENTS

    def test_a_head_of_the_greatest_size(self) -> None:
        begin = b"GET / HTTP/1.1\r\nx: "
        wire = begin.ljust(MAX_HEAD_BYTES - 4, b"x") + b"\r\n\r\n"
        assert RequestReader().feed(wire, 1)[1] == MessageEnd(1, True, MAX_HEAD_BYTES)


class TestGap:
    HEAD = b"POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\n"

    def test_inside_a_body_of_known_length(self) -> None:
        reader = RequestReader()
        reader.feed(self.HEAD + b"012", 1)
        assert reader.gap(4, 2) == []
        assert reader.feed(b"789" + GET, 1) == [
            BodyData(1, b"789"),
            MessageEnd(1, False, len(self.HEAD) + 6, lost_bytes=4),
            *GET_EVENTS,
        ]

    def test_up_to_the_end_of_a_body(self) -> None:
        reader = RequestReader()
        reader.feed(self.HEAD + b"012", 1)
        assert reader.gap(7, 2) == [MessageEnd(2, False, len(self.HEAD) + 3, lost_bytes=7)]
        assert reader.feed(GET, 1) == GET_EVENTS

    def test_beyond_a_body(self) -> None:
        reader = RequestReader()
        reader.feed(self.HEAD + b"012", 1)
        assert reader.gap(8, 2) == [MessageEnd(2, False, len(self.HEAD) + 3, lost_bytes=7)]
        assert reader.feed(b"r: b\r\n\r\n", 3) == [Skipped(3, 8, "gap")]
        assert reader.feed(GET, 1) == GET_EVENTS

    def test_inside_and_beyond_a_chunk(self) -> None:
        reader = answering("GET", "GET")
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        reader.feed(head + b"a\r\n012", 1)
        assert reader.gap(7, 2) == []
        assert reader.feed(b"\r\n5\r\nabc", 3) == [BodyData(3, b"abc")]
        assert reader.gap(3, 4) == [MessageEnd(4, False, len(head) + 14, lost_bytes=9)]
        assert reader.feed(OK, 1) == OK_EVENTS

    def test_in_a_chunk_line(self) -> None:
        reader = answering("GET")
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        reader.feed(head + b"1", 1)
        assert reader.gap(1, 2) == [MessageEnd(2, False, len(head) + 1)]

    def test_in_a_head(self) -> None:
        reader = RequestReader()
        reader.feed(b"GET / HTTP/1.1\r\nhost: a\r\n", 1)
        assert reader.gap(1, 2) == [Skipped(2, 25, "gap")]
        assert reader.feed(b"\r\n" + GET, 1) == [Skipped(1, 2, "gap"), *GET_EVENTS]

    def test_in_a_method(self) -> None:
        reader = RequestReader()
        assert reader.gap(1, 1) == []
        assert merged(reader.feed(GET[1:] + GET, 1)) == [
            Skipped(1, len(GET) - 1, "gap"),
            *GET_EVENTS,
        ]

    def test_behind_an_interim_head(self) -> None:
        reader, interim = answering("GET"), b"HTTP/1.1 100 Continue\r\n\r\n"
        reader.feed(interim, 1)
        assert reader.gap(1, 2) == [Skipped(2, len(interim), "gap")]
        assert reader.feed(OK, 1) == OK_EVENTS

    def test_in_a_body_until_close(self) -> None:
        reader, wire = answering("GET"), b"HTTP/1.1 200 OK\r\n\r\nab"
        reader.feed(wire, 1)
        assert reader.gap(5, 2) == []
        assert reader.close(3) == [MessageEnd(3, False, len(wire), lost_bytes=5)]

    def test_of_nothing(self) -> None:
        reader = RequestReader()
        reader.feed(GET[:10], 1)
        assert reader.gap(0, 1) == []
        assert reader.feed(GET[10:], 1) == GET_EVENTS


class TestLooksLikeHttp:
    @pytest.mark.parametrize("first", [b"", b"\r\n", b"G", b"GET ", b"POST /v1/mess"])
    def test_not_known_yet(self, first: bytes) -> None:
        reader = RequestReader()
        reader.feed(first, 1)
        assert reader.looks_like_http is None

    @pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n", b"GET /".ljust(64, b"x")])
    def test_http(self, first: bytes) -> None:
        reader = RequestReader()
        reader.feed(first, 1)
        assert reader.looks_like_http is True

    @pytest.mark.parametrize(
        "first",
        [
            b"\x16\x03\x01\x02",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"x" * 33,
        ],
    )
    def test_something_else(self, first: bytes) -> None:
        reader = RequestReader()
        reader.feed(first, 1)
        assert reader.looks_like_http is False

    def test_http_found_later(self) -> None:
        reader = answering("GET")
        reader.feed(b'data: {"a":1}\n\n\r\n', 1)
        assert reader.looks_like_http is False
        reader.feed(OK, 1)
        assert reader.looks_like_http is True

    def test_bytes_behind_a_gap_decide_nothing(self) -> None:
        reader = answering("GET")
        reader.gap(100, 1)
        reader.feed(b"\0\1\2\3", 1)
        assert reader.looks_like_http is None
        reader.feed(OK, 1)
        assert reader.looks_like_http is True
