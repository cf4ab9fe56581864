"""Redaction of one direction of a connection that became a WebSocket, read by read.

In: the heads of a direction (`SocketOpening`), then what each read brought and its position
(`SocketRedaction`). Out: the same bytes with secrets overwritten, to `collector.redaction`; lengths
stay, masked payloads are masked again, compressed ones go through `collector.deflate_masks`.
Nothing is held back: what a read brings is masked by what is known then.

A direction is known by its own head: a server's by its 101, a client's by its request, once what
follows is no other request. Each may be captured under a key of its own.

What cannot be read is zeroed: payloads that an unknown extension changed, what follows a close
frame, and, where the place of the next frame was lost, all that comes until frames are found
again. Only where payloads are known to be neither masked nor compressed is it searched instead.
"""

from __future__ import annotations

import re

from collector.deflate_masks import DeflateMasker
from collector.header_masks import Overwrite, Secrets
from collector.http.events import header
from collector.http.heads import STATUS_LINE, header_fields
from collector.http.websocket_deflate import Extensions, negotiated
from collector.http.websocket_frames import unmask
from collector.http.websocket_search import (
    CLOSE,
    FIN,
    MASKED,
    MAX_CONTROL_BYTES,
    RSV,
    RSV1,
    FrameSearch,
    first_bytes,
)
from collector.protocol import begins_connection

_STARTS = (b"GET ", b"HTTP/1.1 101")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_HEAD_LIMIT_BYTES = 64 << 10
_CONTROL = 0x08
_END = b"\0"  # behind a message: no key goes on over it
_MAX_INVALID_FRAMES = 32
_PLAIN, _DEFLATED, _UNKNOWN = range(3)
_Part = tuple[int, int, bytes]  # of a payload: where it begins and ends in a read, and its mask


class SocketOpening:
    """Looks in the heads of one direction for one that opens a WebSocket (RFC 6455, 4)."""

    __slots__ = ("_head",)

    def __init__(self) -> None:
        self._head = b""

    def concerns(self, data: bytes) -> bool:
        """Is a read to be given to `read`? Quick."""
        return data[:1] in (b"G", b"H") or bool(self._head)

    def read(self, data: bytes) -> tuple[int, Extensions | None] | None:
        """Where frames begin in a read, and what a server agreed to (None: this is a client)."""
        held, self._head = self._head, b""
        head = held + data
        if not head.startswith(_STARTS) and not any(start.startswith(head) for start in _STARTS):
            return None
        end = _HEAD_END.search(head, max(0, len(held) - 3))
        if end is None:
            if len(head) <= _HEAD_LIMIT_BYTES:
                self._head = head
            return None
        fields = header_fields(head[: end.start()])
        if (header(fields, "upgrade") or "").lower() != "websocket":
            return None
        return end.end() - len(held), negotiated(fields) if head.startswith(b"H") else None


class SocketRedaction:
    """A direction, from `position` on (None: wherever the next read is).

    `agreed`: what the server's answer says; None while only the request was seen. `server`: does
    the server send this direction?
    """

    def __init__(
        self, secrets: Secrets, position: int | None, agreed: Extensions | None, *, server: bool
    ) -> None:
        self._secrets = secrets
        self._position = position
        self.server = server
        self._begun = server  # a client may ask for something else when it was refused
        self._valid = first_bytes(deflate=True, any_rsv=False)
        self._deflate: DeflateMasker | None = DeflateMasker(secrets, takeover=None)
        self._masked: bool | None = None  # as the last frame was
        self._head = b""  # of the next frame, while it is not whole
        self._first = 0  # the frame that is being read
        self._mask = b""
        self._left = self._taken = 0  # of its payload
        self._kind: int | None = None  # of the open message
        self._tails = [b"", b""]  # of the open message, of a control frame
        self._parts: list[_Part] = []  # of the open message, in this read
        self._control_parts: list[_Part] = []
        self._writes: list[Overwrite] = []
        self._search: FrameSearch | None = None
        self._invalid_frames = 0
        self._closed = False
        self._zeroed_bytes = 0
        self.agreed: Extensions | None = None
        if agreed is not None:
            self.agree(agreed)

    @property
    def blanked_bytes(self) -> int:
        """Bytes that were blanked because what they say could not be told, or not be changed."""
        return self._zeroed_bytes + (self._deflate.blanked_bytes if self._deflate else 0)

    def agree(self, agreed: Extensions) -> None:
        """The server's answer was seen."""
        self.agreed = agreed
        self._begun = True
        self._valid = first_bytes(deflate=agreed.deflate, any_rsv=agreed.others)
        if not agreed.deflate:
            self._deflate = None
        elif self._deflate is not None:
            takeover = agreed.server_takeover if self.server else agreed.client_takeover
            self._deflate.agree(takeover=takeover)

    def read(self, data: bytes, position: int) -> bytes | None:
        """Mask one read. None: it is no WebSocket's, here HTTP goes on. Never raises."""
        if not data:
            return data
        if self._leaves(data):
            return None
        self._begun = True
        self._writes = []
        at = self._miss(position, len(data))
        if at:
            self._zero(0, at)
        self._read(data, at)
        self._end_read(data)
        if not self._writes:
            return data
        masked = bytearray(data)
        for place, what in self._writes:
            masked[place : place + len(what)] = what
        return bytes(masked)

    def _leaves(self, data: bytes) -> bool:
        if not data[:1].isupper():
            return False
        if self.server:  # an ended socket's place may be taken by an HTTP connection
            return not self._left and STATUS_LINE.match(data) is not None
        if not self._begun:
            return data[0] not in self._valid or data[1:2] < b"\x80"
        return begins_connection(data)

    # Frames

    def _read(self, data: bytes, at: int) -> None:
        while at < len(data):
            if self._closed:
                self._zero(at, len(data))
                at = len(data)
            elif self._search is not None:
                at = self._find(self._search, data, at)
            elif self._left:
                at = self._content(data, at)
            else:
                at = self._frame_head(data, at)

    def _frame_head(self, data: bytes, at: int) -> int:
        raw = self._head + data[at : at + 14 - len(self._head)]
        held, self._head = len(self._head), b""
        if raw[0] not in self._valid:
            return self._invalid(data, at)
        size = 2
        length = 0
        if len(raw) >= 2:
            length = raw[1] & 0x7F
            extended = 0 if length <= MAX_CONTROL_BYTES else 2 if length == 126 else 8
            size += extended + (4 if raw[1] & MASKED else 0)
            if extended:
                length = int.from_bytes(raw[2 : 2 + extended], "big")
                if raw[0] & _CONTROL or (extended == 8 and len(raw) > 2 and raw[2] & 0x80):
                    return self._invalid(data, at)
        if len(raw) < size:
            self._head = raw
            return len(data)
        self._first, self._left, self._taken = raw[0], length, 0
        self._masked = raw[1] >= MASKED
        self._mask = raw[size - 4 : size] if self._masked else b""
        if not self._first & _CONTROL and (self._first & 0x0F or self._kind is None):
            self._begin_message(data)
        if not length:
            self._end_frame(data)
        return at + size - held

    def _begin_message(self, data: bytes) -> None:
        """A message begins; one that is open, or has no beginning, is none (5.4)."""
        opcode, rsv = self._first & 0x0F, self._first & RSV
        if self._parts:
            self._settle(data, final=False)
        if self._kind == _DEFLATED or not opcode:
            self._lose_context()
        self._tails[0] = b""
        if not opcode or rsv & ~RSV1 or (rsv and self._deflate is None):
            self._kind = _UNKNOWN
        else:
            self._kind = _DEFLATED if rsv else _PLAIN

    def _content(self, data: bytes, at: int) -> int:
        stop = min(len(data), at + self._left)
        shift = self._taken % 4
        part = (at, stop, self._mask[shift:] + self._mask[:shift])
        (self._control_parts if self._first & _CONTROL else self._parts).append(part)
        self._taken += stop - at
        self._left -= stop - at
        if not self._left:
            self._end_frame(data)
        return stop

    def _end_frame(self, data: bytes) -> None:
        if self._first & _CONTROL:
            self._settle_control(data, final=True)
            if self._first & 0x0F == CLOSE:
                self._closed = True
        elif self._first & FIN:
            self._settle(data, final=True)
            self._kind = None

    # Payloads

    def _settle(self, data: bytes, *, final: bool) -> None:
        """Mask what came of the open message in this read. `final`: it ends here."""
        parts, self._parts = self._parts, []
        if self._kind == _PLAIN:
            self._tails[0] = self._mask_text(data, parts, self._tails[0], final=final)
        elif self._kind == _DEFLATED and self._deflate is not None:
            sent = b"".join(_unmasked(data, parts))
            masked = self._deflate.part(sent, final=final)
            if masked is not sent:
                self._overwrite(parts, masked)
        else:
            for start, end, _ in parts:
                self._zero(start, end)

    def _settle_control(self, data: bytes, *, final: bool) -> None:
        parts, self._control_parts = self._control_parts, []
        self._tails[1] = self._mask_text(data, parts, self._tails[1], final=final)

    def _mask_text(self, data: bytes, parts: list[_Part], tail: bytes, *, final: bool) -> bytes:
        """The tail of what came; empty when nothing of it follows."""
        pieces = _unmasked(data, parts)
        if final:
            pieces.append(_END)
        text = b"".join(pieces)
        masked, tail = self._secrets.in_body(tail, text)
        if masked is not text:
            self._overwrite(parts, masked)
        return b"" if final else tail

    def _overwrite(self, parts: list[_Part], text: bytes) -> None:
        at = 0
        for start, end, mask in parts:
            piece = text[at : at + end - start]
            self._writes.append((start, unmask(piece, mask) if mask else piece))
            at += end - start

    def _zero(self, start: int, end: int) -> None:
        if end > start:
            self._writes.append((start, bytes(end - start)))
            self._zeroed_bytes += end - start

    # Loss

    def _miss(self, position: int, size: int) -> int:
        """Note where a read stands; how many bytes of it came before."""
        expected = position if self._position is None else self._position
        self._position = max(expected, position + size)
        if position > expected and not self._closed:
            self._gap(position - expected)
        return min(max(0, expected - position), size)

    def _gap(self, length: int) -> None:
        if length > self._left or self._search is not None:
            self._lose_place()
            return
        self._left -= length
        self._taken += length
        if self._first & _CONTROL:
            self._tails[1] = b""
        else:
            self._tails[0] = b""
            if self._kind == _DEFLATED:
                self._lose_context()
                self._kind = _UNKNOWN
        if not self._left:
            self._end_frame(b"")

    def _lose_context(self) -> None:
        if self._deflate is not None:
            self._deflate.lose()

    def _lose_place(self) -> None:
        self._head, self._left, self._kind = b"", 0, None
        self._parts, self._control_parts = [], []
        self._tails = [b"", b""]
        self._lose_context()
        self._search = FrameSearch(self._valid, self._masked)

    def _invalid(self, data: bytes, at: int) -> int:
        self._end_read(data)
        self._lose_place()
        self._invalid_frames += 1
        if self._invalid_frames > _MAX_INVALID_FRAMES:
            self._closed = True
        return at

    def _find(self, search: FrameSearch, data: bytes, at: int) -> int:
        """Where frames begin, or go on that began in earlier reads."""
        search.feed(data[at:], 0)
        begin = len(data)
        earlier = b""
        if search.found is not None:
            found = b"".join([piece for piece, _ in search.found])
            begin = max(at, len(data) - len(found))
            earlier = found[: len(found) - (len(data) - begin)]
            self._search = None
        if self._masked is False and self._deflate is None:
            tail = self._mask_text(data, [(at, begin, b"")], self._tails[0], final=False)
            self._tails[0] = tail if self._search is not None else b""
        else:
            self._zero(at, begin)
        if earlier:
            self._walk(earlier)
        return begin

    def _walk(self, earlier: bytes) -> None:
        """Read frames in bytes that are out already."""
        writes, self._writes = self._writes, []
        zeroed, deflate = self._zeroed_bytes, self._deflate
        blanked = deflate.blanked_bytes if deflate is not None else 0
        self._read(earlier, 0)
        self._end_read(earlier)
        self._writes, self._zeroed_bytes = writes, zeroed
        if deflate is not None:
            deflate.blanked_bytes = blanked

    def _end_read(self, data: bytes) -> None:
        if self._parts:
            self._settle(data, final=False)
        if self._control_parts:
            self._settle_control(data, final=False)


def _unmasked(data: bytes, parts: list[_Part]) -> list[bytes]:
    return [
        unmask(data[start:end], mask) if mask else data[start:end] for start, end, mask in parts
    ]
