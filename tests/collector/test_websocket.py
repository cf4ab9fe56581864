"""WebSockets on HTTP/1.1 connections: messages in order, every byte accounted for."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate

from collector.exchange import Exchange, SocketMessage
from collector.origin import Origin
from probes.events import Direction
from tests.collector.http.transcripts import pieces
from tests.collector.http.websockets import MASK, Deflater, frame, peer
from tests.collector.test_exchange import Capture, Log, post
from tests.frames import http_request

READ, WRITE = Direction.READ, Direction.WRITE
GET = http_request("/chat", method="GET", headers=["Upgrade: websocket", "Connection: Upgrade"])
HEAD = ["0 > GET /chat", "0 > end", "0 < 101", "0 < complete"]


def switching(*headers: str) -> bytes:
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: WebSocket", *headers, "", ""]
    return "\r\n".join(lines).encode()


class Messages(Log):
    """Keeps the messages as they were told, too."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[SocketMessage] = []

    def socket_message(self, exchange: Exchange, message: SocketMessage) -> None:
        super().socket_message(exchange, message)
        self.messages.append(message)


class Opened(Capture):
    """A connection that has been upgraded."""

    def __init__(self, *headers: str, origin: Origin = Origin()) -> None:  # noqa: B008
        super().__init__(origin)
        self.log = self.connection._observer = self.messages = Messages()
        self.connection._http1._observer = self.messages
        self.sends(GET).receives(switching(*headers))
        assert self.log.lines == HEAD

    @property
    def lines(self) -> list[str]:
        return self.log.lines[len(HEAD) :]

    def assert_accounted(self) -> None:
        counters = self.counters
        exchange = self.log.seen[0].exchange
        assert exchange.request_end is not None
        assert exchange.response_end is not None
        sizes = [one.wire_bytes for one in self.messages.messages if one.data is not None]
        sizes += [*counters.framing_bytes.values(), *counters.undecoded_bytes.values()]
        sizes += [exchange.request_end.wire_bytes, exchange.response_end.wire_bytes]
        assert sum(sizes) == self.fed_bytes
        assert counters.socket_messages == len(self.messages.messages)


def test_messages_of_both_directions_in_order() -> None:
    opened = Opened().sends(frame(b"ask", mask=MASK)).receives(frame(b"an", fin=False))
    opened.receives(frame(b"", 9)).sends(frame(b"", 10, mask=MASK)).receives(frame(b"swer", 0))
    opened.sends(frame(b"\x00\x01", 2, mask=MASK)).closes()
    assert opened.log.lines[4:] == [
        "0 > message ask",
        "0 < message answer",
        "0 > message \x00\x01",
        "0 closed",
    ]
    assert [one.text for one in opened.messages.messages] == [True, True, False]
    assert opened.counters.framing_bytes == {"websocket": 2 + 6}
    opened.assert_accounted()


def test_the_first_message_in_the_same_bytes_as_the_upgrade() -> None:
    capture = Capture().sends(GET).receives(switching() + frame(b"hello")).closes()
    assert capture.log.lines == [*HEAD, "0 < message hello", "0 closed"]


def test_each_direction_compresses_as_agreed() -> None:
    agreed = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover"
    client, server = Deflater(), Deflater(takeover=False)
    opened = Opened(agreed)
    for number in range(3):
        opened.sends(client.frame(b"ask %d" % number, MASK))
        opened.receives(server.frame(b"answer %d" % number))
    opened.loses(WRITE, 10).loses(READ, 10)
    for number in range(5):
        opened.sends(client.frame(b"lost %d" % number, MASK))
        opened.receives(server.frame(b"found %d" % number))
    opened.closes()
    asked = [f"0 {way} {n}" for n in range(3) for way in ("> message ask", "< message answer")]
    assert opened.lines[:6] == asked
    rest = opened.lines[6:]
    assert [line for line in rest if "<" in line] == [
        "0 < message lost",
        *(f"0 < message found {n}" for n in range(5)),
    ]
    assert [line for line in rest if ">" in line] == ["0 > message lost"] * 6
    assert opened.counters.undecoded_bytes.keys() == {"websocket_after_loss"}
    opened.assert_accounted()


def test_the_closing_handshake_ends_it() -> None:
    opened = Opened().receives(frame(b"\x03\xe8", 8)).sends(frame(b"\x03\xe8", 8, mask=MASK))
    assert opened.lines == ["0 closed"]
    opened.receives(b"??").closes()
    assert opened.lines == ["0 closed"]
    assert opened.counters.undecoded_bytes == {"websocket_after_close": 2}
    opened.assert_accounted()


def test_a_message_that_is_cut_is_told_as_lost() -> None:
    opened = Opened().receives(frame(b"whole") + frame(b"cut off")[:5]).closes()
    assert opened.lines == ["0 < message whole", "0 < message lost", "0 closed"]
    assert opened.counters.undecoded_bytes == {"websocket_cut": 5}
    opened.assert_accounted()


def test_a_handle_that_another_connection_takes() -> None:
    opened = Opened(origin=Origin(reusable=True)).sends(frame(b"ask", mask=MASK)).sends(post("a"))
    assert opened.lines == ["0 > message ask", "0 closed", "1 > POST /a", "1 > end a"]


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.booleans(), st.sampled_from(("text", "bytes", "ping")), st.binary(max_size=90)
        ),
        max_size=20,
    ),
    st.sampled_from((None, "", "; client_no_context_takeover", "; server_max_window_bits=9")),
    st.lists(st.integers(1, 3_000), max_size=20),
)
def test_wsproto_talks_to_itself(
    said: list[tuple[bool, str, bytes]], parameters: str | None, cuts: Iterable[int]
) -> None:
    agreed: list[str] = []
    extensions: list[PerMessageDeflate | None] = [None, None]
    if parameters is not None:
        agreed = [f"Sec-WebSocket-Extensions: permessage-deflate{parameters}"]
        for end in (0, 1):
            extension = extensions[end] = PerMessageDeflate()
            extension.finalize(f"permessage-deflate{parameters}")
    ends = [peer(False, extensions[0]), peer(True, extensions[1])]
    opened = Opened(*agreed)
    expected = []
    for by_client, kind, data in said:
        if kind == "text":
            text = data.hex()
            wire = ends[by_client].send(TextMessage(text))
            expected.append(f"0 {'<>'[by_client]} message {text}")
        elif kind == "bytes":
            wire = ends[by_client].send(BytesMessage(data))
            expected.append(f"0 {'<>'[by_client]} message {data.decode('latin-1')}")
        else:
            wire = ends[by_client].send(Ping(data)) + ends[by_client].send(Pong(data))
        for piece in pieces(wire, cuts):
            (opened.sends if by_client else opened.receives)(piece)
    opened.receives(ends[0].send(CloseConnection(1000))).closes()
    assert opened.lines == [*expected, "0 closed"]
    opened.assert_accounted()


@pytest.mark.parametrize("deflate", [False, True])
@given(data=st.data())
@settings(max_examples=60)
def test_losses_and_changes_never_raise_and_every_byte_is_accounted_for(
    data: st.DataObject, deflate: bool
) -> None:
    deflater = Deflater()
    whole = b"".join(
        deflater.frame(b"%d" % n * n) if deflate else frame(b"%d" % n * n) for n in range(40)
    )
    wire = bytearray(whole)
    for at in data.draw(st.lists(st.integers(0, len(wire) - 1), max_size=4)):
        wire[at] ^= data.draw(st.integers(1, 255))
    opened = Opened(*["Sec-WebSocket-Extensions: permessage-deflate"] * deflate)
    for piece in pieces(bytes(wire), data.draw(st.lists(st.integers(0, len(wire)), max_size=9))):
        opened.receives(piece)
        if data.draw(st.booleans()):
            opened.loses(READ, data.draw(st.integers(1, 90)))
    opened.closes()
    assert opened.lines[-1] == "0 closed"
    opened.assert_accounted()
