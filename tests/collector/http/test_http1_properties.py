"""What holds for any bytes, splits and gaps; h11 and wire templates make the messages."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.http.events import BodyData, HttpEvent, MessageEnd, RequestHead, ResponseHead
from collector.http.http1 import RequestReader, ResponseReader
from collector.http.message_reader import MAX_HEAD_BYTES

from .transcripts import Reader, accounted_bytes, feed_all, merged, pieces

cuts = st.lists(st.integers(0, 2000), max_size=20)
directions = st.sampled_from(["request", "response", "response to who knows what"])

ODD_MESSAGES = [
    b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"\r\n\r\nGET /lf HTTP/1.0\nhost: a\n folded\n\n",
    b"POST / HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\ncontent-length: 5, 6\r\n\r\nhello\r\n",
    b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n0\r\nt: 1\r\n\r\n",
    b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nbad\r\n",
    b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nHTTP\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nuntil close\r\n",
    b"some junk\r\n",
    b"\r\r\n\x00\xff\r\n",
    b"GET\r\n",
    b"HTTP/1.1 2\r\n",
]


def new_reader(direction: str) -> Reader:
    if direction == "request":
        return RequestReader()
    method = "GET" if direction == "response" else None
    return ResponseReader(lambda: method)


@given(direction=directions, wire=st.lists(st.sampled_from(ODD_MESSAGES), max_size=6), cuts=cuts)
def test_any_split_gives_the_same_events(
    direction: str, wire: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(wire)
    begins = set(accumulate(map(len, wire)))  # there a call tells a reader where to go on
    cuts = [cut for cut in cuts if cut not in begins]
    whole, split = new_reader(direction), new_reader(direction)
    expected = merged([*whole.feed(stream, 0), *whole.close(0)])
    assert merged([*feed_all(split, pieces(stream, cuts)), *split.close(0)]) == expected
    assert accounted_bytes(expected) == len(stream)


def test_byte_by_byte_gives_the_same_events() -> None:
    stream = b"".join(ODD_MESSAGES[:-5])
    for direction in ("request", "response", "response to who knows what"):
        whole, split = new_reader(direction), new_reader(direction)
        expected = merged(whole.feed(stream, 0))
        assert merged(feed_all(split, pieces(stream, range(len(stream))))) == expected
        assert split.pending_bytes == whole.pending_bytes


@st.composite
def mutated_streams(draw: st.DrawFn) -> bytes:
    stream = bytearray(b"".join(draw(st.lists(st.sampled_from(ODD_MESSAGES), max_size=5))))
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(stream)))
        stream[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=4))
    return bytes(stream)


steps = st.one_of(st.binary(max_size=60), mutated_streams(), st.integers(0, 40), st.just("upgrade"))


@settings(max_examples=60)
@given(direction=directions, script=st.lists(steps, max_size=12))
def test_every_byte_is_accounted_for_once(direction: str, script: list[bytes | int | str]) -> None:
    reader = new_reader(direction)
    events: list[HttpEvent] = []
    fed = 0
    for step in script:
        if isinstance(step, bytes):
            events += reader.feed(step, 0)
            fed += len(step)
        elif isinstance(step, int):
            events += reader.gap(step, 0)
        else:
            events += reader.upgrade("x", 0)
        assert accounted_bytes(events) + reader.pending_bytes == fed
    events += reader.close(0)
    assert accounted_bytes(events) == fed
    assert reader.pending_bytes == 0
    assert_messages_are_closed(events)


def assert_messages_are_closed(events: list[HttpEvent]) -> None:
    """Body data and ends stand behind a head only, and each final head has one end."""
    inside = False
    for event in events:
        if isinstance(event, RequestHead | ResponseHead):
            assert not inside
            interim = isinstance(event, ResponseHead) and event.status < 200
            inside = not interim or (isinstance(event, ResponseHead) and event.status == 101)
        elif isinstance(event, BodyData):
            assert inside
            assert event.data
        elif isinstance(event, MessageEnd):
            assert inside
            inside = False
    assert not inside


@given(
    direction=directions,
    begin=st.sampled_from(
        [b"", b"GET /", b"HTTP/1.1 200 ", b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200\r\n"]
        + [message[:-4] for message in ODD_MESSAGES]
    ),
    filling=st.sampled_from([b"\r\n", b"\r", b"\n", b"x", b"x: 1\r\n", b"0\r\n", b"\r\nGET /"]),
)
@settings(max_examples=60)
def test_memory_is_bounded(direction: str, begin: bytes, filling: bytes) -> None:
    reader = new_reader(direction)
    reader.feed(begin, 0)
    block = filling * (20_000 // len(filling))
    for _ in range(30):
        reader.feed(block, 0)
        assert len(reader._buffer.data) <= MAX_HEAD_BYTES + len(block)


@dataclass(frozen=True)
class Sent:
    """One message of a marked stream: its number is in its head and in each byte of its body."""

    wire: bytes
    number: int
    body: bytes


@st.composite
def marked_streams(draw: st.DrawFn) -> tuple[str, list[Sent]]:
    direction = draw(st.sampled_from(["request", "response"]))
    sent = []
    for number in range(draw(st.integers(1, 6))):
        mark = b"%c" % (ord("A") + number)
        body = mark * draw(st.integers(0, 60))
        start = b"POST / HTTP/1.1" if direction == "request" else b"HTTP/1.1 200 OK"
        head = start + b"\r\nnumber: %d\r\n" % number
        if draw(st.booleans()):
            wire = head + b"content-length: %d\r\n\r\n%b" % (len(body), body)
        else:
            at = draw(st.integers(0, len(body)))
            parts = [part for part in (body[:at], body[at:]) if part]
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
            wire = head + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        sent.append(Sent(wire, number, body))
    return direction, sent


@settings(max_examples=120)
@given(
    stream=marked_streams(),
    hole=st.tuples(st.integers(0, 600), st.integers(1, 300)),
    cuts=cuts,
)
def test_a_gap_never_joins_two_messages(
    stream: tuple[str, list[Sent]], hole: tuple[int, int], cuts: list[int]
) -> None:
    direction, sent = stream
    wire = b"".join(message.wire for message in sent)
    begin = min(hole[0], len(wire) - 1)
    end = min(begin + hole[1], len(wire))
    reader = new_reader(direction)
    events = feed_all(reader, pieces(wire[:begin], cuts))
    events += reader.gap(end - begin, 0)
    events += feed_all(reader, pieces(wire[end:], cuts))
    events += reader.close(0)
    assert accounted_bytes(events) == len(wire) - (end - begin)

    number, body, whole = -1, b"", []
    for event in events:
        if isinstance(event, RequestHead | ResponseHead):
            number, body = int(event.headers[0][1]), b""
        elif isinstance(event, BodyData):
            body += event.data
        elif isinstance(event, MessageEnd):
            message = sent[number]
            assert set(body) <= set(message.body)
            assert event.wire_bytes + event.lost_bytes <= len(message.wire)
            if event.complete:
                assert body == message.body
                assert event.wire_bytes == len(message.wire)
                whole.append(number)
    before, touched, at = set(), set(), 0
    for message in sent:
        at += len(message.wire)
        if at <= begin:
            before.add(message.number)
        elif at - len(message.wire) < end:
            touched.add(message.number)
    assert before <= set(whole)
    assert not touched & set(whole)


token = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ-", min_size=1, max_size=12)
value = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
fields = st.lists(st.tuples(token.map("x-{}".format), value), max_size=4)
bodies = st.lists(st.binary(min_size=1, max_size=50), max_size=4)


@given(
    messages=st.lists(st.tuples(fields, bodies, st.booleans()), min_size=1, max_size=4), cuts=cuts
)
def test_reads_what_h11_writes(
    messages: list[tuple[list[tuple[str, str]], list[bytes], bool]], cuts: list[int]
) -> None:
    """Both directions of one connection; each request and response has the same fields."""
    client, server = h11.Connection(h11.CLIENT), h11.Connection(h11.SERVER)
    requests = responses = b""
    expected = []
    for extra, parts, chunked in messages:
        length = sum(map(len, parts))
        framing = ("transfer-encoding", "chunked") if chunked else ("content-length", str(length))
        headers = [("host", "a"), *extra, framing]
        sends: list[h11.Event] = [h11.Data(data=part) for part in parts]
        sends.append(h11.EndOfMessage())
        request = h11.Request(method="POST", target="/v1", headers=headers)
        up = b"".join(client.send(event) or b"" for event in [request, *sends])
        server.receive_data(up)
        while server.next_event() not in (h11.NEED_DATA, h11.PAUSED):
            pass
        response = h11.Response(status_code=200, reason=b"Fine", headers=headers)
        down = b"".join(server.send(event) or b"" for event in [response, *sends])
        client.receive_data(down)
        while client.next_event() not in (h11.NEED_DATA, h11.PAUSED):
            pass
        client.start_next_cycle()
        server.start_next_cycle()
        requests += up
        responses += down
        lower = tuple((name.lower(), value) for name, value in headers)
        expected.append((lower, b"".join(parts), len(up), len(down)))

    seen = feed_all(RequestReader(), pieces(requests, cuts))
    answered = feed_all(ResponseReader(lambda: "POST"), pieces(responses, cuts))
    want_requests: list[HttpEvent] = []
    want_responses: list[HttpEvent] = []
    for headers_sent, body, up_bytes, down_bytes in expected:
        data: list[HttpEvent] = [BodyData(0, body)] if body else []
        want_requests.append(RequestHead(0, "POST", "/v1", "1.1", headers_sent))
        want_requests += [*data, MessageEnd(0, True, up_bytes)]
        want_responses.append(ResponseHead(0, 200, "Fine", "1.1", headers_sent))
        want_responses += [*data, MessageEnd(0, True, down_bytes)]
    assert merged(seen) == want_requests
    assert merged(answered) == want_responses
