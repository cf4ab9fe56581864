"""Recorded WebSockets: no key is left in their messages, and they still decode."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable

import pytest

from collector.http.websocket_deflate import negotiated
from collector.http.websocket_messages import Message
from collector.redaction import Redactor
from probes.events import ConnectionKey, Direction, Source
from tests.collector.http.transcripts import pieces
from tests.collector.http.websockets import MASK, Deflater, frame, reader
from tests.frames import (
    API_KEY,
    CONNECTION,
    SALT,
    closed,
    http_request,
    joined,
    payload,
    plain_data,
)

READ, WRITE = Direction.READ, Direction.WRITE
MARK = f"[redacted:{Redactor(SALT).fingerprint(API_KEY)}]".encode()
MASKED_KEY = MARK + b"*" * (len(API_KEY) - len(MARK))
OTHER_KEY = b"AKIAIOSFODNN7EXAMPLE"
UPGRADE = ("Upgrade: websocket", "Connection: Upgrade")
GET = http_request("/v1/responses", method="GET", headers=UPGRADE)
DEFLATE = "permessage-deflate"
WITH_KEY = b'{"type": "note", "text": "the key is %s, keep it"}' % API_KEY
WITHOUT = b'{"type": "note", "text": "the key is nothing, keep it"}'


def switching(extensions: str = "") -> bytes:
    lines = ["HTTP/1.1 101 Switching Protocols", *UPGRADE]
    lines += [f"Sec-WebSocket-Extensions: {extensions}"] * bool(extensions)
    return "\r\n".join([*lines, "", ""]).encode()


def gives_away(data: bytes, secret: bytes = API_KEY, size: int = 6) -> bool:
    """Does a longer part of the secret, behind what all keys begin with, stand there?"""
    return any(secret[at : at + size] in data for at in range(4, len(secret) - size + 1))


class Socket:
    """A connection that became a WebSocket, as it is captured and redacted."""

    def __init__(
        self,
        extensions: str = "",
        *,
        halves: bool = False,
        redactor: Redactor | None = None,
    ) -> None:
        self.redactor = redactor or Redactor(SALT)
        self.extensions = extensions
        self.positions = [0, 0]
        self.halves = halves
        self.opened = [self.read(WRITE, GET), self.read(READ, switching(extensions))]
        if halves:
            for direction in Direction:
                self.redactor.frame(joined(self._key(direction), direction, 77))

    def _key(self, direction: Direction) -> ConnectionKey:
        return CONNECTION._replace(handle=CONNECTION.handle + self.halves * direction)

    def read(self, direction: Direction, data: bytes) -> bytes:
        key = self._key(direction)
        one = plain_data(
            data, direction, position=self.positions[direction], key=key, source=Source.RUSTLS
        )
        self.positions[direction] += len(data)
        masked = payload(self.redactor.frame(one))
        assert len(masked) == len(data)
        return masked

    def reads(self, direction: Direction, parts: Iterable[bytes]) -> bytes:
        return b"".join([self.read(direction, part) for part in parts])

    def loses(self, direction: Direction, size: int) -> None:
        self.positions[direction] += size


def told(data: bytes, extensions: str = "", *, by_client: bool = False) -> list[Message]:
    """The messages in a direction, as the decoder finds them."""
    agreed = negotiated((("sec-websocket-extensions", extensions),))
    takeover = agreed.client_takeover if by_client else agreed.server_takeover
    frames = reader(agreed.deflate, takeover=takeover, limit=1 << 20)
    events = [*frames.feed(data, 0), *frames.close(0)]
    return [event for event in events if isinstance(event, Message)]


def texts(data: bytes, extensions: str = "", *, by_client: bool = False) -> list[bytes | None]:
    return [one.data for one in told(data, extensions, by_client=by_client)]


# Messages that are not compressed


@pytest.mark.parametrize("mask", [b"", MASK])
@pytest.mark.parametrize("opcode", [1, 2, 9, 10])
def test_a_key_in_a_message_or_a_ping(mask: bytes, opcode: int) -> None:
    direction = WRITE if mask else READ
    data = frame(b"id=" + API_KEY + b";", opcode, mask=mask) + frame(b"next", mask=mask)
    masked = Socket().read(direction, data)
    assert masked == frame(b"id=" + MASKED_KEY + b";", opcode, mask=mask) + frame(
        b"next", mask=mask
    )


def test_a_key_as_the_reason_of_a_close_frame_and_what_follows_it() -> None:
    socket = Socket()
    masked = socket.read(READ, frame(b"\x03\xe8" + API_KEY, 8) + b"after " + API_KEY)
    assert masked == frame(b"\x03\xe8" + MASKED_KEY, 8) + bytes(6 + len(API_KEY))
    assert socket.redactor.blanked_bytes == 6 + len(API_KEY)


@pytest.mark.parametrize("mask", [b"", MASK])
def test_a_message_in_fragments_with_a_ping_between_them(mask: bytes) -> None:
    parts = pieces(WITH_KEY, {30, 40, 55})
    data = frame(parts[0], fin=False, mask=mask)
    for part in parts[1:-1]:
        data += frame(part, 0, fin=False, mask=mask) + frame(b"ping", 9, mask=mask)
    data += frame(parts[-1], 0, mask=mask)
    (text,) = texts(Socket().read(WRITE if mask else READ, data))
    assert text is not None
    assert text == WITH_KEY.replace(API_KEY, MASKED_KEY)


@pytest.mark.parametrize("mask", [b"", MASK])
@pytest.mark.parametrize("halves", [False, True])
def test_cut_anywhere(mask: bytes, halves: bool) -> None:
    data = frame(b"first", mask=mask) + frame(WITH_KEY * 4, mask=mask) + frame(b"x", mask=mask)
    direction = WRITE if mask else READ
    for at in range(1, len(data)):
        socket = Socket(halves=halves)
        first, text, last = texts(socket.reads(direction, (data[:at], data[at:])))
        assert text is not None
        assert not gives_away(text)
        assert (first, last, len(text)) == (b"first", b"x", 4 * len(WITH_KEY))
        assert text.startswith(b'{"type": "note", "text": "the key is ')
    whole = Socket(halves=halves).reads(direction, (bytes([one]) for one in data))
    assert not any(gives_away(text or b"") for text in texts(whole))
    assert [len(text or b"") for text in texts(whole)] == [5, 4 * len(WITH_KEY), 1]


@pytest.mark.parametrize("head_reads", [1, 2, 7])
def test_heads_cut_over_reads_and_frames_in_the_same_read(head_reads: int) -> None:
    head = switching()
    for data in (head + frame(WITH_KEY), head):
        redactor, position, masked = Redactor(SALT), 0, b""
        redactor.frame(plain_data(GET))
        parts = pieces(data, range(0, len(head), max(1, len(head) // head_reads)))
        if data is head:
            parts.append(frame(WITH_KEY))
        for part in parts:
            masked += payload(redactor.frame(plain_data(part, READ, position=position)))
            position += len(part)
        assert masked == head + frame(WITH_KEY.replace(API_KEY, MASKED_KEY))


def test_a_head_read_byte_by_byte() -> None:
    for extensions in ("", DEFLATE):
        head = switching(extensions)
        redactor = Redactor(SALT)
        for at in range(len(head)):
            redactor.frame(plain_data(head[at : at + 1], READ, position=at))
        (stream,) = redactor._streams.values()
        assert stream.socket is not None
        assert (stream.socket._deflate is not None) == bool(extensions)


# Compressed messages


@pytest.mark.parametrize("parameters", ["", "; client_no_context_takeover"])
@pytest.mark.parametrize("halves", [False, True])
def test_compressed_messages_stay_readable(parameters: str, halves: bool) -> None:
    extensions = DEFLATE + parameters
    deflater = Deflater(takeover=not parameters)
    socket = Socket(extensions, halves=halves)
    said = [WITHOUT, WITH_KEY, WITHOUT, b"[1]", WITH_KEY, WITH_KEY[20:], b"{}", WITHOUT * 3]
    masked = b"".join(socket.read(WRITE, deflater.frame(one, MASK)) for one in said)
    found = texts(masked, extensions, by_client=True)
    assert socket.redactor.blanked_bytes == 0
    for text, one in zip(found, said, strict=True):
        assert text is not None
        assert len(text) == len(one)
        assert not gives_away(text)
        if API_KEY not in one:
            assert text == one


def test_a_short_key_is_stars_alone() -> None:
    one = b'{"key":"AKIA%s"}' % (b"A" * 16)  # it compresses to less than a fingerprint
    masked = Socket(DEFLATE).read(READ, Deflater().frame(one))
    assert texts(masked, DEFLATE) == [b'{"key":"%s"}' % (b"*" * 20)]


def test_the_mask_carries_the_fingerprint_where_it_fits() -> None:
    masked = Socket(DEFLATE).read(READ, Deflater().frame(WITH_KEY))
    assert texts(masked, DEFLATE) == [WITH_KEY.replace(API_KEY, MASKED_KEY)]


def test_later_messages_that_refer_to_parts_of_a_key() -> None:
    """Their text is no part of a secret, so it must not become one of its mask."""
    socket, deflater = Socket(DEFLATE), Deflater()
    masked = socket.read(READ, deflater.frame(WITH_KEY))
    parts = [b'{"part": "%s", "n": %d}' % (API_KEY[at : at + 9], at) for at in range(13, 36, 3)]
    found = texts(
        masked + b"".join(socket.read(READ, deflater.frame(one)) for one in parts), DEFLATE
    )
    assert all(text in (one, None) for text, one in zip(found[1:], parts, strict=True))
    if socket.redactor.blanked_bytes == 0:
        assert None not in found


@pytest.mark.parametrize("parameters", ["", "; server_no_context_takeover"])
def test_a_key_behind_the_first_read_of_a_compressed_message(parameters: str) -> None:
    extensions = DEFLATE + parameters
    deflater = Deflater(takeover=not parameters)
    story = json.dumps([f"word {number * 7919 % 1000}" for number in range(300)]).encode()
    data = deflater.frame(story + WITH_KEY + story)
    socket = Socket(extensions)
    masked = socket.reads(READ, pieces(data, {200, len(data) // 2 + 100}))
    after = socket.read(READ, deflater.frame(WITHOUT))
    assert socket.redactor.blanked_bytes > 100
    assert masked[:200] == data[:200]
    first, last = told(masked + after, extensions)
    assert (first.data, first.reason) == (None, "inflate")
    if parameters:
        assert last.data == WITHOUT
    else:
        assert (last.data, last.reason) == (None, "after_loss")


@pytest.mark.parametrize("parameters", ["", "; server_no_context_takeover"])
@pytest.mark.parametrize("mask", [b"", MASK])
def test_compressed_and_cut_anywhere(parameters: str, mask: bytes) -> None:
    extensions = DEFLATE + parameters.replace("server", "client" if mask else "server")
    for at in range(1, 250):
        deflater = Deflater(takeover=not parameters)
        said = [WITHOUT, WITH_KEY + WITHOUT, WITHOUT]
        data = b"".join(deflater.frame(one, mask) for one in said)
        masked = Socket(extensions).reads(WRITE if mask else READ, pieces(data, {at}))
        found = texts(masked, extensions, by_client=bool(mask))
        assert found[0] == WITHOUT
        assert len(found) == 3
        for text in found[1:]:
            assert text is None or not gives_away(text)
        assert found[2] in (WITHOUT, None)
        assert not gives_away(b"".join(leftovers(masked)))


def leftovers(data: bytes) -> list[bytes]:
    """All that inflates from any byte on, on an empty window."""
    found = []
    for at in range(len(data)):
        stream = zlib.decompressobj(-15)
        text = b""
        try:
            for byte in data[at:]:
                text += stream.decompress(bytes([byte]))
        except zlib.error:
            pass
        found.append(text)
    return found


# Loss, and what is no WebSocket


def test_a_hole_inside_a_payload() -> None:
    data = frame(b"x" * 300 + WITH_KEY, mask=MASK) + frame(WITH_KEY, mask=MASK)
    socket = Socket()
    masked = socket.read(WRITE, data[:100])
    socket.loses(WRITE, 50)
    masked += bytes(50) + socket.read(WRITE, data[150:])
    first, second = texts(masked)
    assert first is not None
    assert first.endswith(b"the key is " + MASKED_KEY + b', keep it"}')
    assert second == WITH_KEY.replace(API_KEY, MASKED_KEY)
    assert socket.redactor.blanked_bytes == 0


@pytest.mark.parametrize("mask", [b"", MASK])
@pytest.mark.parametrize("extensions", ["", DEFLATE + "; client_no_context_takeover"])
def test_a_hole_between_frames(mask: bytes, extensions: str) -> None:
    deflater = Deflater(takeover=False)

    def message(text: bytes) -> bytes:
        return deflater.frame(text, mask) if extensions else frame(text, mask=mask)

    socket = Socket(extensions)
    direction = WRITE if mask else READ
    assert texts(socket.read(direction, message(WITHOUT)), extensions, by_client=True) == [WITHOUT]
    socket.loses(direction, 1000)
    masked = b"".join(socket.read(direction, message(WITH_KEY)) for _ in range(4))
    after = b"".join(socket.read(direction, message(WITH_KEY)) for _ in range(4))
    assert not gives_away(masked)
    assert (socket.redactor.blanked_bytes > 0) == bool(mask or extensions)
    if mask or not extensions:  # else what later messages refer to is missing
        for text in texts(after, extensions, by_client=True):
            assert text is not None
            assert text.startswith(b'{"type": "note", "text": "the key is ')
            assert not gives_away(text)


def test_a_hole_between_frames_that_share_a_window_blanks_what_follows() -> None:
    socket, deflater = Socket(DEFLATE), Deflater()
    socket.read(READ, deflater.frame(WITHOUT))
    socket.loses(READ, 10)
    data = [deflater.frame(WITH_KEY) for _ in range(12)]
    masked = [socket.read(READ, one) for one in data]
    assert masked[0] == bytes(len(masked[0]))
    assert masked[-1] == data[-1][:2] + bytes(len(data[-1]) - 2)


def test_frames_that_are_none_are_blanked() -> None:
    socket = Socket()
    bad = b"\x83\x85" + API_KEY
    assert socket.read(WRITE, frame(b"first", mask=MASK) + bad)[11:] == bytes(len(bad))
    assert socket.redactor.blanked_bytes == len(bad)


def test_a_client_that_is_refused_and_asks_for_something_else() -> None:
    redactor = Redactor(SALT)
    refused = b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n"
    redactor.frame(plain_data(GET))
    assert payload(redactor.frame(plain_data(refused, READ))) == refused
    again = payload(redactor.frame(plain_data(http_request(body=b"{}"), position=len(GET))))
    assert API_KEY not in again
    assert b"X-Api-Key: " + MARK in again
    assert redactor.blanked_bytes == 0


def test_a_handle_that_another_connection_takes() -> None:
    socket = Socket()
    half_a_frame = frame(WITHOUT, mask=MASK)[:20]
    socket.read(WRITE, half_a_frame)
    socket.read(READ, frame(WITHOUT)[:20])
    again = socket.read(WRITE, http_request(body=b"{}"))
    assert b"X-Api-Key: " + MARK in again
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    assert socket.read(READ, response) == response


def test_bytes_that_come_twice_are_blanked() -> None:
    socket = Socket()
    data = frame(WITH_KEY, mask=MASK)
    socket.read(WRITE, data)
    socket.positions[WRITE] -= 30
    assert socket.read(WRITE, data[-30:] + data) == bytes(30) + Socket().read(WRITE, data)


@pytest.mark.parametrize("status", [b"200 OK", b"101 Switching Protocols"])
def test_other_upgrades_are_left_alone(status: bytes) -> None:
    redactor = Redactor(SALT)
    head = b"HTTP/1.1 %s\r\nUpgrade: h2c\r\n\r\n" % status
    redactor.frame(plain_data(head, READ))
    data = frame(b"\xff" * 50, mask=MASK)
    assert payload(redactor.frame(plain_data(data, READ, position=len(head)))) == data
    assert redactor.blanked_bytes == 0


def test_innocent_messages_pass_as_they_are() -> None:
    socket, deflater = Socket(DEFLATE), Deflater()
    for one in (frame(WITHOUT), deflater.frame(WITHOUT), deflater.frame(WITHOUT * 2)):
        data = plain_data(one, READ, position=socket.positions[READ], source=Source.RUSTLS)
        socket.positions[READ] += len(one)
        assert socket.redactor.frame(data) is data


def test_blanked_bytes_stay_counted_when_the_connection_ends() -> None:
    socket = Socket()
    socket.read(WRITE, b"\x83" * 40)
    socket.redactor.frame(closed(0, 0))
    assert (socket.redactor.blanked_bytes, socket.redactor.open_streams) == (40, 0)


def test_without_bodies_messages_are_not_looked_at() -> None:
    socket = Socket(redactor=Redactor(SALT, bodies=False))
    data = frame(WITH_KEY, mask=MASK)
    assert socket.read(WRITE, data) == data


def test_memory_of_a_direction_is_bounded() -> None:
    socket, deflater = Socket(DEFLATE), Deflater()
    for _ in range(50):
        socket.read(READ, deflater.frame(API_KEY * 1000))
    redaction = next(
        one.socket for one in socket.redactor._streams.values() if one.socket and one.socket.server
    )
    assert redaction._deflate is not None
    assert sum(map(len, redaction._deflate._window._pieces)) < 1 << 16
    bomb = Deflater(takeover=False)
    data = bomb.frame(bytes(100 << 20))
    assert socket.read(READ, data) == data[:10] + bytes(len(data) - 10)
