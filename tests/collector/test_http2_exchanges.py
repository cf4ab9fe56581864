"""HTTP/2 as exchanges: transcripts of both directions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import hpack
import pytest
from hyperframe.frame import (
    GoAwayFrame,
    HeadersFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from collector import http2_exchanges
from collector.exchange import Exchange
from collector.origin import Origin
from probes.events import Direction, Source
from tests.collector.http.http2_traffic import PREFACE, Traffic, frame_bounds, traffic
from tests.collector.http.test_http2 import OK, POST, Fields, Side, data
from tests.collector.http.transcripts import pieces
from tests.collector.test_exchange import Capture, post, reply

READ, WRITE = Direction.READ, Direction.WRITE


@dataclass
class Connection(Capture):
    """Both sides, and what is captured of them."""

    origin: Origin = field(default_factory=Origin)
    begun: bool = True

    def __post_init__(self) -> None:
        super().__init__(self.origin)
        self.client = Side(requests=True, begun=False)
        self.server = Side(requests=False, begun=False)
        if self.begun:
            self.sends(PREFACE + SettingsFrame(0).serialize())
            self.receives(SettingsFrame(0).serialize())

    def asks(self, word: str, stream: int = 1, *, fields: Fields = POST) -> Connection:
        """A whole request, its body the word."""
        head = self.client.head([*fields, (b"x-word", word.encode())], stream)
        self.sends(head + data(word.encode(), stream, "END_STREAM"))
        return self

    def answers(self, word: str, stream: int = 1, *, fields: Fields = OK) -> Connection:
        self.receives(self.server.head([*fields, (b"x-word", word.encode())], stream))
        self.receives(data(word.encode(), stream, "END_STREAM"))
        return self

    def lines(self, number: int) -> list[str]:
        prefix = f"{number} "
        return [line.removeprefix(prefix) for line in self.log.lines if line.startswith(prefix)]

    def exchange(self, number: int) -> Exchange:
        return next(one.exchange for one in self.log.seen if one.exchange.number == number)

    def accounts(self) -> None:
        self.closes()
        assert self.accounted_bytes == self.fed_bytes


WHOLE = ["> POST /v1/messages", "> end a", "< 200", "< complete A"]


def test_an_exchange() -> None:
    capture = Connection().asks("a").answers("A")
    assert capture.lines(1) == WHOLE
    exchange = capture.exchange(1)
    assert exchange.protocol == "http/2"
    assert exchange.request_end is not None
    assert (exchange.first_byte_ns, exchange.request_end.ktime_ns) == (4, 3)
    assert ("host", "llm.example:8443") in exchange.request.headers
    assert capture.counters.exchanges == 1
    assert capture.connection.verdict == "http2"
    capture.accounts()
    assert capture.counters.undecoded_bytes == {}


def test_exchanges_interleave() -> None:
    capture = Connection().asks("a", 1).asks("b", 3).answers("B", 3).answers("A", 1)
    assert capture.lines(1) == WHOLE
    assert capture.lines(3) == ["> POST /v1/messages", "> end b", "< 200", "< complete B"]
    assert capture.log.lines.index("3 < 200") < capture.log.lines.index("1 < 200")
    capture.accounts()


def test_an_interim_head_is_not_the_answer() -> None:
    capture = Connection()
    capture.sends(capture.client.head(POST))
    capture.receives(capture.server.head([(b":status", b"100")]))
    capture.sends(data(b"a", 1, "END_STREAM"))
    capture.answers("A")
    assert capture.lines(1) == WHOLE
    assert capture.exchange(1).first_byte_ns == 6
    capture.accounts()


def test_an_answer_before_the_request_is_whole() -> None:
    capture = Connection()
    capture.sends(capture.client.head(POST))
    capture.answers("A")
    assert capture.lines(1) == ["> POST /v1/messages", "< 200"]
    capture.receives(RstStreamFrame(1, 0).serialize())
    assert capture.lines(1)[2:] == ["> end", "< incomplete A"]
    exchange = capture.exchange(1)
    assert exchange.response_end is not None
    assert exchange.response_end.complete
    capture.accounts()


@pytest.mark.parametrize("direction", [READ, WRITE])
def test_a_reset_ends_the_exchange(direction: Direction) -> None:
    capture = Connection().asks("a", 1).asks("b", 3)
    capture.receives(capture.server.head(OK) + data(b"A, and"))
    reset = RstStreamFrame(1, 8).serialize()
    (capture.sends if direction == WRITE else capture.receives)(reset)
    assert capture.lines(1) == [*WHOLE[:3], "< incomplete A, and"]
    if direction == WRITE:  # what was on its way
        capture.receives(data(b" more") + data(b"", 1, "END_STREAM"))
        assert capture.counters.undecoded_bytes == {"stream_ended": 23}
    capture.answers("B", 3)
    assert capture.lines(3)[-1] == "< complete B"
    assert capture.counters.orphan_responses == 0
    capture.accounts()


def test_a_farewell_ends_what_the_server_did_not_look_at() -> None:
    capture = Connection().asks("a", 1).asks("b", 3)
    capture.receives(GoAwayFrame(0, last_stream_id=(1 << 31) - 1).serialize())
    assert not any("complete" in line for line in capture.log.lines)
    capture.receives(GoAwayFrame(0, last_stream_id=1).serialize())
    assert capture.lines(3)[-1] == "< incomplete"
    capture.answers("A", 1)
    assert capture.lines(1) == WHOLE
    capture.accounts()


def test_a_close_ends_what_is_open() -> None:
    capture = Connection().asks("a", 1)
    capture.sends(capture.client.head(POST, 3))
    capture.accounts()
    assert capture.lines(1)[-1] == "< incomplete"
    assert capture.lines(3)[-2:] == ["> end", "< incomplete"]


def test_a_response_without_a_request_is_counted() -> None:
    capture = Connection().asks("a", 1).answers("stray", 9).answers("A", 1)
    assert capture.lines(1) == WHOLE
    assert capture.counters.orphan_responses == 1
    assert set(capture.counters.undecoded_bytes) == {"response_without_request"}
    capture.accounts()


def test_what_a_server_pushes_is_no_orphan() -> None:
    capture = Connection().asks("a", 1)
    push = PushPromiseFrame(1, 2, capture.server.encoder.encode(POST))
    push.flags.add("END_HEADERS")
    capture.receives(push.serialize())
    capture.answers("pushed", 2).answers("A", 1)
    assert capture.lines(1) == WHOLE
    assert capture.counters.orphan_responses == 0
    assert set(capture.counters.undecoded_bytes) == {"pushed"}
    capture.accounts()


def test_streams_that_never_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2_exchanges, "MAX_STREAMS", 20)
    capture = Connection()
    for number in range(25):
        capture.asks("a", 2 * number + 1)
    assert capture.counters.given_up_exchanges == 5
    assert [line for line in capture.log.lines if "incomplete" in line] == [
        f"{2 * number + 1} < incomplete" for number in range(5)
    ]
    capture.answers("late", 1).answers("A", 49)
    assert capture.lines(49) == WHOLE
    assert capture.counters.orphan_responses == 0
    capture.accounts()


# Loss


def test_lost_content_costs_its_stream() -> None:
    capture = Connection().asks("a", 1).asks("b", 3)
    capture.receives(capture.server.head(OK) + data(b"0123456789")[:12]).loses(READ, 4)
    capture.receives(data(b"0123456789")[16:] + data(b"", 1, "END_STREAM"))
    capture.answers("B", 3)
    assert capture.lines(1)[-1] == "< incomplete 012789"
    assert capture.exchange(1).lost_bytes == 4
    assert capture.lines(3)[-1] == "< complete B"
    capture.accounts()


def test_lost_answers_end_those_that_had_begun() -> None:
    capture = Connection().asks("a", 1).asks("b", 3).asks("c", 5)
    capture.receives(capture.server.head(OK) + data(b"A, and")).loses(READ, 500)
    assert capture.lines(1)[-1] == "< incomplete A, and"
    capture.receives(data(b" more", 1) + data(b"", 1, "END_STREAM"))
    capture.receives(data(b"of an answer whose head is lost", 3))
    assert capture.lines(3) == ["> POST /v1/messages", "> end b", "< incomplete"]
    capture.answers("C", 5)
    assert capture.lines(5) == ["> POST /v1/messages", "> end c", "< 200", "< complete C"]
    capture.accounts()


def test_lost_requests_do_not_hinder_answers() -> None:
    capture = Connection()
    capture.sends(capture.client.head(POST) + data(b"a")).loses(WRITE, 300)
    capture.answers("A")
    assert capture.lines(1) == [*WHOLE[:3], "< incomplete A"]
    capture.asks("b", 5).answers("B", 5).answers("C", 3)
    assert capture.lines(5)[-1] == "< complete B"
    assert capture.counters.orphan_responses == 1
    capture.accounts()


def said_by_word(found: Traffic) -> dict[int, tuple[bytes, bytes]]:
    streams = {stream for _, stream in found.said}
    return {
        stream: (found.said[WRITE, stream].body, found.said[READ, stream].body)
        for stream in streams
    }


@given(st.integers(0, 39))
@settings(max_examples=40, deadline=None)
def test_what_h2_says_is_paired(seed: int) -> None:
    found, capture = traffic(seed), Capture()
    for direction, call in found.calls:
        (capture.sends if direction == WRITE else capture.receives)(call)
    assert all(one.ended for one in capture.log.seen)
    assert {
        one.exchange.number: (one.request_body, one.response_body) for one in capture.log.seen
    } == said_by_word(found)
    assert all(one.exchange.complete for one in capture.log.seen)
    for one in capture.log.seen:
        head = one.exchange.response
        assert head is not None
        status = dict(found.said[READ, one.exchange.number].heads[-1])[b":status"]
        assert head.status == int(status)
    capture.closes()
    assert capture.accounted_bytes == capture.fed_bytes
    assert capture.counters.undecoded_bytes == {}


@given(st.integers(0, 39), st.data())
@settings(max_examples=80, deadline=None)
def test_random_loss_never_joins(seed: int, draw: st.DataObject) -> None:
    found, capture = traffic(seed), Capture()
    missing = {READ: 0, WRITE: 0}
    for direction, call in found.calls:
        cuts = draw.draw(st.sets(st.integers(1, max(1, len(call) - 1)), max_size=2))
        for piece in pieces(call, cuts):
            if draw.draw(st.integers(0, 9)) == 0:
                missing[direction] += len(piece)
                continue
            if missing[direction]:
                capture.loses(direction, missing[direction])
                missing[direction] = 0
            (capture.sends if direction == WRITE else capture.receives)(piece)
    capture.closes()
    said = said_by_word(found)
    for one in capture.log.seen:
        asked, answered = said[one.exchange.number]
        if one.exchange.complete:
            assert (one.request_body, one.response_body) == (asked, answered)
        assert len(one.request_body) <= len(asked)
        assert len(one.response_body) <= len(answered)
    assert capture.accounted_bytes == capture.fed_bytes


UNINDEXED = (b"429", b"529")  # not in the static table


UPGRADES: Fields = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":path", b"/")]
_payloads = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([POST, OK, UPGRADES, [(b":status", b"100")], [(b"x", b"y")]]).map(
        lambda fields: hpack.Encoder().encode(fields)
    ),
    st.integers(0, 9).map(lambda last: last.to_bytes(4, "big") + bytes(4)),
    st.sampled_from((bytes(4), bytes(8), b"\x81\x02hi", b"\x88\0")),
)
_frames = st.builds(
    lambda kind, flags, stream, payload: (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    ),
    st.one_of(st.sampled_from((0, 1)), st.integers(0, 11)),
    st.sampled_from((0, 1, 4, 5, 5, 8, 13, 0x20, 0x2D)),
    st.sampled_from((1, 1, 3, 5, 2, 0)),
    _payloads,
)


@given(
    st.lists(st.tuples(st.sampled_from(Direction), st.lists(_frames, max_size=3)), max_size=12),
    st.sets(st.integers(0, 11), max_size=2),
    st.lists(st.integers(1, 60), max_size=2),
)
@settings(max_examples=120, deadline=None)
def test_any_frames_in_any_order(
    calls: list[tuple[Direction, list[bytes]]], holes: set[int], cuts: list[int]
) -> None:
    capture = Connection()
    for number, (direction, frames) in enumerate(calls):
        for piece in pieces(b"".join(frames), cuts):
            (capture.sends if direction == WRITE else capture.receives)(piece)
        if number in holes:
            capture.loses(direction, 7)
    capture.closes()
    messages = sum(one.exchange.request.method == "CONNECT" for one in capture.log.seen)
    assert messages or capture.accounted_bytes == capture.fed_bytes


@pytest.mark.parametrize("seed", range(8))
def test_capture_may_come_at_any_frame(seed: int) -> None:
    """Exchanges whose both heads come after it are whole; nothing else is complete."""
    found = traffic(seed)
    said = said_by_word(found)
    for first in range(1, len(found.calls) - 1):
        capture = Capture(Origin(ran_before=True))
        for direction, call in found.calls[first:]:
            (capture.sends if direction == WRITE else capture.receives)(call)
        capture.closes()
        assert capture.accounted_bytes == capture.fed_bytes
        begun = {
            int.from_bytes(call[at + 5 : at + 9], "big")
            for _, call in found.calls[:first]
            for at in frame_bounds(call)[:-1]
            if call[at + 3] == 1
        }
        seen = {one.exchange.number: one for one in capture.log.seen}
        assert not begun & {number for number, one in seen.items() if one.exchange.complete}
        for number, one in seen.items():
            if one.exchange.complete:
                assert (one.request_body, one.response_body) == said[number]
        settings_first = found.calls[first][1][3] == 4
        if capture.connection.verdict == "http2" and not settings_first:
            assert capture.counters.joined_late_connections == 1
            late = [number for number in said if number not in begun]
            for number in late:
                one, status = seen[number], found.said[READ, number].heads[-1][0][1]
                assert one.exchange.complete or (not said[number][1] and status in UNINDEXED)


# Handles that are used again; WebSockets


def test_a_new_connection_under_the_handle_of_one_that_was_left() -> None:
    origin = Origin(Source.BORINGSSL, reusable=True)
    capture = Connection(origin).asks("a", 1)
    body = b"x" * 40 + b"POST /v1/messages HTTP/1.1\r\nhost: quoted\r\n\r\n"
    frame = data(body, 3)
    head = capture.client.head(POST, 3)
    capture.sends(head + frame[:49]).sends(frame[49:])
    assert capture.connection.verdict == "http2", "a body that quotes a request"
    capture.sends(data(b"cut off", 3)[:12])
    capture.client = Side(requests=True, begun=False)
    capture.sends(PREFACE + SettingsFrame(0).serialize())
    capture.asks("b", 1)
    assert capture.log.lines[-2:] == ["5 > POST /v1/messages", "5 > end b"]
    capture.sends(post("c")).receives(reply("C"))
    assert capture.log.lines[-4:] == ["6 > POST /c", "6 > end c", "6 < 200", "6 < complete C"]
    capture.accounts()


SOCKET: Fields = [
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    *POST[1:3],
    (b":path", b"/v1/responses"),
]


class Opened(Connection):
    """A WebSocket over stream 1 (RFC 8441)."""

    def __post_init__(self, **_: Any) -> None:
        super().__post_init__()
        self.sends(self.client.head(SOCKET))
        self.receives(self.server.head(OK) + data(b"\x81\x05hel"))


def test_a_websocket_over_a_stream() -> None:
    capture = Opened()
    assert capture.lines(1) == ["> CONNECT /v1/responses", "> end", "< 200", "< complete"]
    capture.receives(data(b"lo"))
    assert capture.lines(1)[4:] == ["< message hello"]
    capture.asks("b", 3).answers("B", 3)
    assert capture.lines(3)[-1] == "< complete B"
    capture.receives(data(b"\x88\x00", 1, "END_STREAM")).sends(data(b"", 1, "END_STREAM"))
    assert capture.lines(1)[-1] == "closed"
    capture.closes()
    messages = 7
    assert capture.accounted_bytes + messages == capture.fed_bytes


def test_a_websocket_whose_stream_is_reset() -> None:
    capture = Opened()
    capture.sends(RstStreamFrame(1, 8).serialize())
    assert capture.lines(1)[-1] == "closed"


def test_a_websocket_with_a_hole() -> None:
    capture = Opened()
    frame = data(b"lo" + b"\x81\x02ab" + b"\x81\x01c")
    capture.receives(frame[:11]).loses(READ, 4)
    capture.receives(frame[15:])
    assert "< message hello" in capture.lines(1)
    assert "< message ab" not in capture.lines(1)


def test_a_websocket_that_is_refused_is_an_exchange() -> None:
    capture = Connection()
    capture.sends(capture.client.head(SOCKET))
    refusal = HeadersFrame(1, capture.server.encoder.encode([(b":status", b"403")]))
    refusal.flags |= {"END_HEADERS", "END_STREAM"}
    capture.receives(refusal.serialize()).sends(data(b"", 1, "END_STREAM"))
    assert capture.lines(1) == ["> CONNECT /v1/responses", "< 403", "> end", "< complete"]
    capture.accounts()
