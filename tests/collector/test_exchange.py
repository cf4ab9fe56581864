from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.exchange import Exchange, HttpCounters, SocketMessage
from collector.http_connection import HttpConnection
from collector.origin import Origin
from probes.events import Direction
from tests.collector.http.transcripts import pieces
from tests.frames import CONNECTION, chunked_response, http_request, http_response

READ, WRITE = Direction.READ, Direction.WRITE


@dataclass
class Seen:
    """What an observer was told of one exchange."""

    exchange: Exchange
    request_body: bytes = b""
    response_body: bytes = b""
    ended: bool = False


@dataclass
class Log:
    """An `ExchangeObserver` that writes everything down and checks the order of the calls."""

    lines: list[str] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)

    def _of(self, exchange: Exchange) -> Seen:
        found = next(one for one in self.seen if one.exchange is exchange)
        assert not found.ended
        return found

    def _write(self, exchange: Exchange, line: str) -> None:
        self.lines.append(f"{exchange.number} {line}")

    def request_started(self, exchange: Exchange) -> None:
        assert all(one.exchange.number < exchange.number for one in self.seen)
        self.seen.append(Seen(exchange))
        self._write(exchange, f"> {exchange.request.method} {exchange.request.target}")

    def request_body(self, exchange: Exchange, data: bytes) -> None:
        self._of(exchange).request_body += data

    def request_ended(self, exchange: Exchange) -> None:
        assert exchange.request_end is not None
        body = self._of(exchange).request_body.decode("latin-1")
        self._write(exchange, f"> end {body}".rstrip())

    def response_started(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        self._of(exchange)
        self._write(exchange, f"< {exchange.response.status}")

    def response_body(self, exchange: Exchange, data: bytes, ktime_ns: int) -> None:
        assert exchange.response is not None
        self._of(exchange).response_body += data

    def exchange_ended(self, exchange: Exchange, ktime_ns: int) -> None:
        seen = self._of(exchange)
        seen.ended = True
        state = "complete" if exchange.complete else "incomplete"
        self._write(exchange, f"< {state} {seen.response_body.decode('latin-1')}".rstrip())

    def socket_message(self, exchange: Exchange, message: SocketMessage) -> None:
        text = "lost" if message.data is None else message.data.decode("latin-1")
        self._write(exchange, f"{'<>'[message.direction]} message {text}")

    def socket_closed(self, exchange: Exchange, ktime_ns: int) -> None:
        self._write(exchange, "closed")


class Capture:
    """A connection under test; counts every byte that it is given."""

    def __init__(self, origin: Origin = Origin()) -> None:  # noqa: B008
        self.log = Log()
        self.counters = HttpCounters()
        self.connection = HttpConnection(CONNECTION, self.log, self.counters, origin)
        self.fed_bytes = 0
        self.at = 0

    def _tick(self) -> int:
        self.at += 1
        return self.at

    def sends(self, data: bytes) -> Self:
        self.fed_bytes += len(data)
        self.connection.chunk(WRITE, data, self._tick())
        return self

    def receives(self, data: bytes) -> Self:
        self.fed_bytes += len(data)
        self.connection.chunk(READ, data, self._tick())
        return self

    def loses(self, direction: Direction, length: int) -> Self:
        self.connection.gap(direction, length, self._tick())
        return self

    def closes(self) -> Self:
        self.connection.close(self._tick())
        assert all(one.ended for one in self.log.seen)
        return self

    @property
    def accounted_bytes(self) -> int:
        """Once closed: bytes in exchanges, bytes counted as undecoded, and those of connections."""
        ends = [
            end
            for one in self.log.seen
            for end in (one.exchange.request_end, one.exchange.response_end)
            if end is not None
        ]
        counters = self.counters
        apart = (*counters.undecoded_bytes.values(), *counters.framing_bytes.values())
        return sum(end.wire_bytes for end in ends) + sum(apart)


def post(word: str) -> bytes:
    return http_request(f"/{word}", word.encode())


def reply(word: str) -> bytes:
    return http_response(word.encode())


ONE = ["0 > POST /a", "0 > end a", "0 < 200", "0 < complete A"]
TWO = ["1 > POST /b", "1 > end b", "1 < 200", "1 < complete B"]


# Order


def test_exchanges_follow_each_other_on_a_kept_connection() -> None:
    capture = Capture().sends(post("a")).receives(reply("A")).sends(post("b")).receives(reply("B"))
    assert capture.log.lines == ONE + TWO
    capture.closes()
    assert capture.log.lines == ONE + TWO
    assert capture.accounted_bytes == capture.fed_bytes
    assert capture.counters.exchanges == 2
    assert capture.counters.undecoded_bytes == {}
    assert capture.connection.verdict == "client"


def test_pipelined_requests_are_answered_in_order() -> None:
    capture = Capture().sends(post("a") + post("b")).receives(reply("A")).receives(reply("B"))
    assert capture.log.lines == [*ONE[:2], *TWO[:2], *ONE[2:], *TWO[2:]]


def test_times_of_the_first_byte_and_of_the_ends() -> None:
    head, body = reply("A")[:-1], reply("A")[-1:]
    capture = Capture().sends(post("a")).receives(head[:9]).receives(head[9:]).receives(body)
    (seen,) = capture.log.seen
    exchange = seen.exchange
    assert exchange.request_end is not None
    assert exchange.response_end is not None
    times = (exchange.request_end.ktime_ns, exchange.first_byte_ns, exchange.response_end.ktime_ns)
    assert times == (1, 2, 4)


def test_an_answer_may_come_before_the_request_is_whole() -> None:
    request = http_request("/a", b"a" * 10)
    error = http_response(b"too big", status="413 Content Too Large")
    capture = Capture().sends(request[:-4]).receives(error)
    assert capture.log.lines == ["0 > POST /a", "0 < 413"]
    capture.sends(request[-4:])
    assert capture.log.lines[2:] == ["0 > end aaaaaaaaaa", "0 < complete too big"]


def test_an_answer_before_a_request_that_never_becomes_whole() -> None:
    request = http_request("/a", b"a" * 10)
    capture = Capture().sends(request[:-4]).receives(reply("A")).closes()
    assert capture.log.lines == ["0 > POST /a", "0 < 200", "0 > end aaaaaa", "0 < incomplete A"]
    assert capture.accounted_bytes == capture.fed_bytes


def test_interim_responses_are_not_the_answer() -> None:
    request = http_request("/a", b"a", headers=["Expect: 100-continue"])
    capture = Capture().sends(request[:-1]).receives(b"HTTP/1.1 100 Continue\r\n\r\n")
    capture.sends(b"a").receives(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + reply("A"))
    assert capture.log.lines == ONE
    assert capture.closes().accounted_bytes == capture.fed_bytes


def test_the_answer_to_head_has_no_body() -> None:
    head = http_request("/a", method="HEAD")
    capture = Capture().sends(head).receives(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
    capture.sends(post("b")).receives(reply("B"))
    assert capture.log.lines == ["0 > HEAD /a", "0 > end", "0 < 200", "0 < complete", *TWO]


def test_a_body_that_lasts_until_the_connection_closes() -> None:
    capture = Capture().sends(post("a")).receives(b"HTTP/1.0 200 OK\r\n\r\nA, and").receives(b" on")
    assert capture.log.lines == ONE[:3]
    assert capture.closes().log.lines[3:] == ["0 < complete A, and on"]


def test_what_follows_an_upgrade_is_another_protocol() -> None:
    get = http_request("/a", method="GET", headers=["Upgrade: other", "Connection: Upgrade"])
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n\r\n"
    capture = Capture().sends(get).receives(switch + b"\x81\x05hello").sends(b"\x81\x85mask.....")
    assert capture.log.lines == ["0 > GET /a", "0 > end", "0 < 101", "0 < complete"]
    assert capture.counters.undecoded_bytes == {"upgraded": 7 + 11}
    assert capture.closes().accounted_bytes == capture.fed_bytes


def test_a_close_ends_what_is_pending() -> None:
    capture = Capture().sends(post("a") + post("b")).receives(reply("A")[:-1]).closes()
    assert capture.log.lines == [*ONE[:2], *TWO[:2], "0 < 200", "0 < incomplete", "1 < incomplete"]
    assert capture.accounted_bytes == capture.fed_bytes
    assert [one.exchange.complete for one in capture.log.seen] == [False, False]


def test_a_response_without_a_request_is_counted() -> None:
    capture = Capture().receives(reply("stray")).sends(post("a")).receives(reply("A")).closes()
    assert capture.log.lines == ONE
    assert capture.counters.orphan_responses == 1
    assert capture.counters.undecoded_bytes == {"response_without_request": len(reply("stray"))}


# Verdicts


@pytest.mark.parametrize(
    ("direction", "begin", "verdict"),
    [
        (WRITE, b"POST /v1/messages HTTP/1.1\r\n", "client"),
        (READ, b"HTTP/1.1 200 OK\r\n", "client"),
        (READ, b"POST /v1/messages HTTP/1.1\r\n", "server_side"),
        (WRITE, b"HTTP/1.1 200 OK\r\n", "server_side"),
        (WRITE, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http2"),
        (READ, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "server_side"),
        (WRITE, b"*1\r\n$4\r\nPING\r\n", None),
        (WRITE, b"PRI * HT", None),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_verdicts(direction: Direction, begin: bytes, verdict: str | None, whole: bool) -> None:
    capture = Capture()
    for data in [begin] if whole else [begin[at : at + 1] for at in range(len(begin))]:
        (capture.sends if direction == WRITE else capture.receives)(data)
    assert capture.connection.verdict == verdict
    capture.closes()
    assert capture.accounted_bytes == capture.fed_bytes
    if verdict == "http2":
        assert capture.counters.framing_bytes == {"http/2": len(begin)}
    elif verdict != "client":
        reason = verdict or "too_short"
        assert capture.counters.undecoded_bytes == {reason: len(begin)}
        assert capture.log.lines == []


def test_bytes_of_both_directions_wait_for_the_verdict() -> None:
    capture = Capture().sends(b"PO").receives(b"HT").sends(post("a")[2:]).receives(reply("A")[2:])
    assert capture.log.lines == ONE


# Loss


@dataclass(frozen=True)
class Turn:
    """A request and its response; nothing in one turn occurs in another."""

    word: str
    filler: bytes
    chunked: bool = False
    size: int = 40

    @property
    def request(self) -> bytes:
        return http_request(f"/{self.word}", self.word.encode() * self.size)

    @property
    def response(self) -> bytes:
        headers = (f"X-Word: {self.word}",)
        if self.chunked:
            return chunked_response([self.filler * self.size] * 3, headers)
        return http_response(self.filler * self.size, headers=headers)

    @property
    def whole_body(self) -> bytes:
        return self.filler * self.size * (3 if self.chunked else 1)


TURNS = (
    Turn("alpha", b"\x01"),
    Turn("beta", b"\x02", chunked=True),
    Turn("gamma", b"\x03", size=1),
    Turn("delta", b"\x04", chunked=True, size=7),
)

Segment = tuple[Direction, bytes, bool]


def play(segments: Iterable[Segment]) -> Capture:
    """As `collector.streams` tells it: a hole shows when the next byte of its direction comes."""
    capture = Capture()
    missing = {READ: 0, WRITE: 0}
    for direction, data, arrives in segments:
        if not arrives:
            missing[direction] += len(data)
            continue
        if missing[direction]:
            capture.loses(direction, missing[direction])
            missing[direction] = 0
        (capture.sends if direction == WRITE else capture.receives)(data)
    for direction, length in missing.items():
        if length:
            capture.loses(direction, length)
    return capture.closes()


def check_nothing_is_mixed(capture: Capture, turns: Iterable[Turn] = TURNS) -> None:
    by_word = {turn.word: turn for turn in turns}
    for one in capture.log.seen:
        turn = by_word[one.exchange.request.target[1:]]
        assert set(one.request_body) <= set(turn.word.encode())
        assert set(one.response_body) <= set(turn.filler)
        if one.exchange.response is not None:
            headers = dict(one.exchange.response.headers)
            assert headers.get("x-word", turn.word) == turn.word
        if one.exchange.complete:
            assert one.request_body == turn.word.encode() * turn.size
            assert one.response_body == turn.whole_body
            assert one.exchange.lost_bytes == 0
    assert capture.accounted_bytes == capture.fed_bytes


def in_turn(turns: Iterable[Turn]) -> list[tuple[Direction, bytes]]:
    return [part for turn in turns for part in ((WRITE, turn.request), (READ, turn.response))]


def pipelined(turns: Iterable[Turn]) -> list[tuple[Direction, bytes]]:
    turns = list(turns)
    requests = [(WRITE, turn.request) for turn in turns]
    return requests + [(READ, turn.response) for turn in turns]


@pytest.mark.parametrize("order", [in_turn, pipelined])
@pytest.mark.parametrize("direction", [READ, WRITE])
@pytest.mark.parametrize("length", [1, 40, 200])
def test_a_hole_at_every_place_of_two_exchanges(
    order: type, direction: Direction, length: int
) -> None:
    turns = TURNS[:2]
    messages = order(turns)
    total = sum(len(data) for way, data in messages if way == direction)
    for begin in range(total):
        segments: list[Segment] = []
        position = 0
        for way, data in messages:
            if way != direction:
                segments.append((way, data, True))
                continue
            first = max(0, min(len(data), begin - position))
            last = max(0, min(len(data), begin + length - position))
            parts = ((data[:first], True), (data[first:last], False), (data[last:], True))
            segments += [(way, part, arrives) for part, arrives in parts if part]
            position += len(data)
        capture = play(segments)
        check_nothing_is_mixed(capture, turns)
        assert not all(one.exchange.complete for one in capture.log.seen) or (
            len(capture.log.seen) < 2
        )


@st.composite
def losses(draw: st.DrawFn) -> list[Segment]:
    turns = draw(st.permutations(TURNS))[: draw(st.integers(2, 4))]
    order = draw(st.sampled_from((in_turn, in_turn, pipelined)))
    segments: list[Segment] = []
    for direction, data in order(turns):
        cuts = draw(st.sets(st.integers(1, len(data) - 1), max_size=4))
        for part in pieces(data, cuts):
            segments.append((direction, part, draw(st.integers(0, 3)) > 0))
    return segments


@given(losses())
@settings(max_examples=120, deadline=None)
def test_random_loss_never_pairs_a_response_with_another_request(segments: list[Segment]) -> None:
    check_nothing_is_mixed(play(segments))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_loss_costs_at_most_the_exchange_after_it(data: st.DataObject) -> None:
    segments: list[Segment] = []
    for direction, content in in_turn(TURNS[:2]):
        cuts = data.draw(st.sets(st.integers(1, len(content) - 1), max_size=3))
        segments += [(direction, part, data.draw(st.booleans())) for part in pieces(content, cuts)]
    segments += [(direction, content, True) for direction, content in in_turn(TURNS[2:])]
    capture = play(segments)
    check_nothing_is_mixed(capture)
    assert capture.log.seen[-1].exchange.request.target == "/delta"
    assert capture.log.seen[-1].exchange.complete


def test_pipelined_answers_in_one_read_go_by_their_own_methods() -> None:
    head = http_request("/a", method="HEAD")
    answers = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + reply("B")
    capture = Capture().sends(head + post("b")).receives(answers)
    assert capture.log.lines[-4:] == ["0 < 200", "0 < complete", "1 < 200", "1 < complete B"]


@given(losses())
@settings(max_examples=60, deadline=None)
def test_without_loss_every_exchange_is_complete(segments: list[Segment]) -> None:
    capture = play([(direction, data, True) for direction, data, _ in segments])
    check_nothing_is_mixed(capture)
    assert all(one.exchange.complete for one in capture.log.seen)
    assert sum(len(data) for _, data, _ in segments) == capture.accounted_bytes
    assert capture.counters.undecoded_bytes == {}


def test_a_hole_inside_a_known_body_costs_that_exchange_only() -> None:
    first, second = TURNS[:2]
    head = first.response[:-30]
    segments: list[Segment] = [
        (WRITE, first.request, True),
        (READ, head, True),
        (READ, first.response[-30:-10], False),
        (READ, first.response[-10:], True),
        (WRITE, second.request, True),
        (READ, second.response, True),
    ]
    capture = play(segments)
    assert [one.exchange.complete for one in capture.log.seen] == [False, True]
    assert capture.log.seen[0].exchange.lost_bytes == 20
    assert len(capture.log.seen[0].response_body) == 20


@given(st.lists(st.tuples(st.sampled_from(Direction), st.binary(max_size=60), st.booleans())))
@example([(WRITE, b"GET / HTTP/1.1\r\n\r\n", True), (READ, b"HTTP/1.1 200 OK\r\n\r\n", False)])
def test_any_bytes_are_accounted_for(segments: list[Segment]) -> None:
    capture = play(segments)
    assert capture.accounted_bytes == capture.fed_bytes


_words = st.sampled_from(
    [
        post("a"),
        reply("A"),
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"CONNECT h:443 HTTP/1.1\r\n\r\n",
        chunked_response([b"x"]),
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"zz\r\n",
        b"GET ",
    ]
)


@given(st.lists(st.tuples(st.sampled_from(Direction), _words, st.booleans()), max_size=12))
@settings(max_examples=80)
def test_any_order_of_messages_is_accounted_for(segments: list[Segment]) -> None:
    capture = play(segments)
    assert capture.accounted_bytes == capture.fed_bytes


def test_holes_in_a_response_are_counted_while_it_lasts() -> None:
    response = http_response(b"x" * 100)
    capture = Capture().sends(post("a")).receives(response[:-60]).loses(READ, 20)
    exchange = capture.log.seen[0].exchange
    assert exchange.response_gaps == 1
    capture.receives(response[-40:]).closes()
    assert (exchange.response_gaps, exchange.lost_bytes) == (1, 20)
