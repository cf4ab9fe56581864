"""Connections that were under way when capture came, as transcripts of what came after."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.http.http2_frames import HEAD_BYTES, is_common_head
from collector.http_connection import HttpConnection
from collector.origin import Origin
from collector.protocol import SEARCH_BYTES, SEARCH_TURNS
from probes.events import Direction, Source
from tests.collector.test_exchange import ONE, TWO, Capture, post, reply
from tests.frames import CONNECTION, chunked_response

READ, WRITE = Direction.READ, Direction.WRITE
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
REQUEST = post("a")


def capture_of(origin: Origin) -> Capture:
    capture = Capture()
    capture.connection = HttpConnection(CONNECTION, capture.log, capture.counters, origin)
    return capture


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 1) -> bytes:
    """An HTTP/2 frame."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


HEADERS, DATA = frame(1, b"\x82\x86\x84", flags=4), frame(0, b"x" * 40)
PING, WINDOW_UPDATE = frame(6, bytes(8), stream=0), frame(8, bytes(4), stream=0)


# Joining in the middle


@pytest.mark.parametrize("ran_before", [True, False])
def test_in_the_middle_of_an_answer(ran_before: bool) -> None:
    capture = capture_of(Origin(ran_before=ran_before))
    capture.receives(b'data: {"text": "so it goes on and on"}\n\n').receives(b"0\r\n\r\n")
    assert capture.log.lines == []
    capture.sends(post("a")).receives(reply("A")).sends(post("b")).receives(reply("B")).closes()
    assert capture.log.lines == ONE + TWO
    counters = capture.counters
    assert (counters.joined_late_connections, counters.joined_late_calls) == (1, 1)
    assert set(counters.undecoded_bytes) == {"joined_late"}
    assert capture.accounted_bytes == capture.fed_bytes


def test_in_the_middle_of_a_request() -> None:
    capture = capture_of(Origin(ran_before=True))
    capture.sends(b'AND so on", "messages": []}\n').receives(reply("stray"))
    capture.sends(post("a")).receives(reply("A")).closes()
    assert capture.log.lines == ONE
    counters = capture.counters
    assert (counters.joined_late_connections, counters.joined_late_calls) == (1, 1)
    assert counters.orphan_responses == 1
    assert capture.accounted_bytes == capture.fed_bytes


def test_before_an_answer() -> None:
    capture = Capture().receives(reply("stray")).sends(post("a")).receives(reply("A")).closes()
    assert capture.log.lines == ONE
    counters = capture.counters
    assert (counters.joined_late_connections, counters.joined_late_calls) == (1, 1)


def test_between_two_exchanges_nothing_is_missed() -> None:
    capture = capture_of(Origin(ran_before=True)).sends(post("a")).receives(reply("A")).closes()
    assert capture.log.lines == ONE
    assert capture.counters.joined_late_connections == 0


def test_a_start_line_inside_a_call_is_not_taken() -> None:
    capture = Capture().receives(b"quoted:\r\n\r\nHTTP/1.1 200 OK\r\n\r\n and more, as before")
    assert capture.connection.verdict is None
    capture.sends(b'"how about\r\nPOST /v1/messages HTTP/1.1\r\n": 1}')
    assert capture.connection.verdict is None


def test_bytes_lost_while_searching_do_no_harm() -> None:
    capture = Capture().receives(b"the middle of something long").loses(READ, 400)
    capture.receives(b"the rest of it").sends(post("a")).receives(reply("A")).closes()
    assert capture.log.lines == ONE
    assert set(capture.counters.undecoded_bytes) == {"gap"}
    assert capture.accounted_bytes == capture.fed_bytes


def test_a_request_lost_while_searching_leaves_no_pair_by_guess() -> None:
    capture = Capture().receives(b"the middle of something long").loses(WRITE, 400)
    capture.sends(post("b")).receives(reply("A")).receives(reply("B")).closes()
    assert all("complete" not in line or "incomplete" in line for line in capture.log.lines)


def test_a_server_is_known_also_in_the_middle() -> None:
    capture = Capture().sends(b"the middle of some long answer").receives(post("a"))
    assert capture.connection.verdict == "server_side"
    capture = Capture().receives(b"the middle of some long request").sends(reply("A"))
    assert capture.connection.verdict == "server_side"
    assert capture.counters.joined_late_connections == 0


# The search ends


def test_too_many_bytes_are_no_http() -> None:
    capture = Capture()
    while capture.fed_bytes <= SEARCH_BYTES:
        assert capture.connection.verdict is None
        capture.receives(b"\x00\x01binary" * 2000)
    assert capture.connection.verdict == "not_http"
    assert capture.counters.undecoded_bytes == {"not_http": capture.fed_bytes}


def test_a_long_answer_that_was_under_way_is_waited_out() -> None:
    capture = Capture(Origin(ran_before=True))
    while capture.fed_bytes <= 4 * SEARCH_BYTES:
        capture.receives(b"the middle of a long answer" * 1000)
    capture.sends(post("a")).receives(reply("A"))
    assert capture.connection.verdict == "client"
    assert capture.counters.joined_late_connections == 1


def test_too_many_turns_are_no_http() -> None:
    capture = Capture()
    for turn in range(SEARCH_TURNS // 2):
        assert capture.connection.verdict is None, turn
        capture.sends(b"*1\r\n$4\r\nPING of another kind\r\n").receives(b"+PONG\r\n")
    capture.sends(b"*1\r\n")
    assert capture.connection.verdict == "not_http"
    capture.sends(post("a"))
    assert capture.log.lines == []
    assert capture.counters.undecoded_bytes == {"not_http": capture.fed_bytes}
    assert capture.counters.joined_late_connections == 0


def test_the_end_before_a_verdict() -> None:
    capture = Capture().receives(b"220 mail.example.org ESMTP ready\r\n").closes()
    assert capture.counters.undecoded_bytes == {"undecided": capture.fed_bytes}


@given(st.lists(st.tuples(st.sampled_from(Direction), st.binary(max_size=60)), max_size=30))
def test_every_byte_is_accounted_for(pieces: list[tuple[Direction, bytes]]) -> None:
    capture = Capture()
    for number, (direction, data) in enumerate(pieces):
        data = post("a") if number % 7 == 6 else data
        (capture.sends if direction == WRITE else capture.receives)(data)
    capture.closes()
    assert capture.accounted_bytes == capture.fed_bytes


# HTTP/2


@pytest.mark.parametrize(
    ("calls", "exchanges"),
    [
        ([(WRITE, HEADERS + DATA)], 1),
        ([(WRITE, HEADERS), (READ, WINDOW_UPDATE), (WRITE, DATA)], 1),
        ([(WRITE, HEADERS[:20]), (WRITE, HEADERS[20:] + DATA[:30]), (WRITE, DATA[30:])], 1),
        ([(READ, WINDOW_UPDATE), (WRITE, HEADERS + DATA), (READ, WINDOW_UPDATE)], 1),
        ([(READ, b"the rest of a frame, of any bytes"), (READ, PING), (READ, DATA + DATA[:20])], 0),
    ],
)
def test_http2_frames_without_a_preface(
    calls: list[tuple[Direction, bytes]], exchanges: int
) -> None:
    capture = Capture()
    for direction, data in calls:
        (capture.sends if direction == WRITE else capture.receives)(data)
    assert capture.connection.verdict == "http2"
    counters = capture.counters
    assert counters.joined_late_connections == 1
    assert counters.joined_late_calls == 1 - exchanges
    assert counters.exchanges == exchanges
    assert capture.closes().accounted_bytes == capture.fed_bytes
    assert set(counters.undecoded_bytes) <= {"joined_late"}


def test_one_frame_alone_is_not_believed() -> None:
    capture = Capture().sends(DATA).receives(b"+OK, whatever it may be, and more of it\r\n")
    assert capture.connection.verdict is None
    capture.sends(post("a")).receives(reply("A")).closes()
    assert capture.log.lines == ONE
    assert capture.accounted_bytes == capture.fed_bytes


def test_a_frame_of_a_whole_megabyte_is_not_held() -> None:
    capture = Capture(Origin(ran_before=True)).receives((1 << 20).to_bytes(3, "big") + DATA[3:])
    while capture.fed_bytes < 1 << 19:
        capture.receives(b"x" * 16384)
        assert sum(len(data) for _, data, _ in capture.connection._search.pending) <= SEARCH_BYTES
    capture.sends(post("a")).receives(reply("A")).closes()
    assert capture.log.lines == ONE
    assert capture.accounted_bytes == capture.fed_bytes


def test_a_preface_is_http2_from_the_start() -> None:
    capture = Capture().sends(PREFACE + frame(4, stream=0))
    assert capture.connection.verdict == "http2"
    assert capture.counters.joined_late_connections == 0
    assert Capture().receives(PREFACE).connection.verdict == "server_side"


@pytest.mark.parametrize("cut", [0, 1, 5, 9])
def test_a_server_may_speak_first(cut: int) -> None:
    settings = frame(4, bytes(6), stream=0)
    capture = Capture().receives(settings[:cut]) if cut else Capture()
    capture.receives(settings[cut:]).sends(PREFACE + frame(4, stream=0) + HEADERS)
    assert capture.connection.verdict == "http2"
    assert capture.counters.joined_late_connections == 0
    assert capture.counters.exchanges == 1
    capture.closes()
    assert capture.counters.undecoded_bytes == {}
    assert capture.accounted_bytes == capture.fed_bytes
    assert Capture().sends(settings).connection.verdict == "server_side"


def test_a_server_that_is_joined_late() -> None:
    capture = capture_of(Origin(ran_before=True)).receives(PING + HEADERS + DATA)
    assert capture.connection.verdict == "server_side"
    assert capture.log.lines == []
    assert capture.sends(PING).closes().accounted_bytes == capture.fed_bytes


@pytest.mark.parametrize("begin", [b"", PREFACE[:7], PREFACE, PREFACE + frame(4, stream=0)[:5]])
def test_http2_whose_beginning_is_lost(begin: bytes) -> None:
    capture = Capture()
    if begin:
        capture.sends(begin)
    capture.loses(WRITE, 100).receives(frame(4, bytes(6), stream=0)).sends(HEADERS + DATA).closes()
    assert capture.connection.verdict == "http2"
    assert capture.counters.exchanges == 1
    assert capture.log.seen[0].request_body == b"x" * 40
    assert capture.accounted_bytes == capture.fed_bytes


def test_a_cut_frame_before_a_hole_is_not_taken_for_http1() -> None:
    capture = Capture().receives(PING[:6]).loses(READ, 400).receives(PING + PING)
    capture.sends(HEADERS + DATA).closes()
    assert capture.connection.verdict == "http2"
    assert capture.counters.exchanges == 1
    assert set(capture.counters.undecoded_bytes) == {"gap"}
    assert capture.accounted_bytes == capture.fed_bytes


def test_shapes_of_http2_frames() -> None:
    for data in (HEADERS, DATA, PING, WINDOW_UPDATE):
        assert is_common_head(data)
    wrong = [
        frame(6, bytes(7), stream=0),  # a PING has 8 bytes
        frame(6, bytes(8), stream=1),
        frame(1, b"x", stream=0),  # HEADERS belong to a stream
        frame(4, bytes(5), stream=0),  # settings are of 6 bytes each
        frame(0, b"x", flags=0x40),
        frame(11, b"x"),
        b"*1\r\n$4\r\nPING\r\n",
        b"\x17\x03\x03\x00\x20" + bytes(32),
        b"Q\x00\x00\x00\x1fSELECT * FROM somewhere\x00",
    ]
    for data in wrong:
        assert not is_common_head(data), data
        assert len(data) >= HEAD_BYTES
        assert Capture().sends(HEADERS + data).connection.verdict is None, data


# Handles that are used again without a close

UNSEEN_FREE = Origin(Source.BORINGSSL, reusable=True)


def test_a_new_request_gives_up_an_answer_that_is_under_way() -> None:
    capture = capture_of(UNSEEN_FREE).sends(post("a")).receives(reply("A")[:-1])
    capture.sends(post("b")).receives(reply("B")).closes()
    assert capture.log.lines == [*ONE[:3], "0 < incomplete", *TWO]
    assert capture.accounted_bytes == capture.fed_bytes


def test_a_new_request_gives_up_an_endless_answer() -> None:
    capture = capture_of(UNSEEN_FREE).sends(post("a"))
    capture.receives(chunked_response([b"A"])[:-9])
    capture.sends(post("b")).receives(reply("B")).closes()
    assert capture.log.lines[-4:] == TWO
    assert "0 < incomplete" in "\n".join(capture.log.lines)


def test_a_new_request_gives_up_one_that_is_being_sent() -> None:
    capture = capture_of(UNSEEN_FREE).sends(post("aaaa")[:-2])
    capture.sends(post("b")).receives(reply("B")).closes()
    assert capture.log.lines[-4:] == TWO
    assert capture.accounted_bytes == capture.fed_bytes


def test_a_kept_connection_stays_one() -> None:
    capture = capture_of(UNSEEN_FREE)
    for _ in range(2):
        capture.sends(post("a")[:40]).sends(post("a")[40:]).receives(reply("A"))
    assert [line.split(" ", 1)[1] for line in capture.log.lines] == 2 * [
        line.split(" ", 1)[1] for line in ONE
    ]


def test_where_a_close_would_be_seen_a_second_request_is_pipelined() -> None:
    capture = Capture().sends(post("a")).sends(post("b")).receives(reply("A")).receives(reply("B"))
    assert capture.log.lines == [*ONE[:2], *TWO[:2], *ONE[2:], *TWO[2:]]


@pytest.mark.parametrize(
    "before",
    [b"\x00\x01binary" * 40000, PREFACE, REQUEST],
    ids=["binary", "http2", "server"],
)
def test_a_handle_may_come_to_carry_another_protocol(before: bytes) -> None:
    capture = capture_of(UNSEEN_FREE)
    (capture.receives if before is REQUEST else capture.sends)(before)
    assert capture.connection.verdict in ("not_http", "http2", "server_side")
    capture.sends(post("a")).receives(reply("A"))
    assert [line.split(" ", 1)[1] for line in capture.log.lines[-4:]] == [
        line.split(" ", 1)[1] for line in ONE
    ]
    capture.sends(PREFACE)
    assert capture.connection.verdict == "client", "nothing is under way: a strange request"
    capture.sends(post("c")).sends(PREFACE)
    assert capture.connection.verdict == "http2"
