"""What a connection speaks, told from its bytes.

In: chunks of both directions, each as one call delivered it, until the protocol is known. Out: a
verdict, to `collector.exchange`: `client` (HTTP/1 as a client speaks it), or why the bytes are not
decoded as that: `http2`, `server_side`, `not_http`.

A connection whose first bytes begin no message is older than the capture, or speaks something
else. It is searched for a message that begins where a call begins; what passed until then belongs
to an exchange whose beginning was not seen. The search is bounded.
"""

from __future__ import annotations

import re

from collector.http import heads
from probes.events import Direction

CLIENT = "client"
SERVER_SIDE = "server_side"
HTTP2 = "http2"
NOT_HTTP = "not_http"

SEARCH_BYTES = 256 << 10
SEARCH_ANSWER_BYTES = 64 << 20  # of one answer that was under way when capture came
SEARCH_TURNS = 16  # changes of direction

_REQUEST = re.compile(rb"[A-Z][A-Z-]{1,15} [^\x00-\x1f]")
_RESPONSE = b"HTTP/1."
_PREFACE = b"PRI * HTTP/2.0"
_DECIDE_BYTES = 24

# HTTP/2 frames (RFC 9113 section 4): by type the sizes that a frame may have, and whether it
# belongs to a stream (None: either).
_FRAME_HEAD_BYTES = 9
_MAX_FRAME_BYTES = 1 << 20
_FRAMES_TO_BELIEVE = 2
_SIZES: dict[int, range] = {
    2: range(5, 6),  # PRIORITY
    3: range(4, 5),  # RST_STREAM
    4: range(0, _MAX_FRAME_BYTES, 6),  # SETTINGS
    6: range(8, 9),  # PING
    7: range(8, _MAX_FRAME_BYTES),  # GOAWAY
    8: range(4, 5),  # WINDOW_UPDATE
}
_ANY_SIZE = range(_MAX_FRAME_BYTES + 1)
_OF_A_STREAM: tuple[bool | None, ...] = (
    *(True, True, True, True, False),
    *(True, False, False, None, True),
)
_FLAGS = (0x09, 0x2D, 0x00, 0x00, 0x01, 0x0C, 0x01, 0x00, 0x00, 0x04)

Chunk = tuple[int, bytes, int]  # direction, bytes, ktime_ns


def begins_request(data: bytes) -> bool:
    """Does a whole request line stand at the beginning?"""
    return heads.KNOWN_REQUEST_LINE.match(data) is not None


def begins_connection(data: bytes) -> bool:
    """Could a client's new connection begin with this? Certain enough to give up an old one."""
    return begins_request(data) or data.startswith(_PREFACE)


def http2_frames(data: bytes) -> int:
    """How many whole HTTP/2 frames `data` consists of; a cut one may follow. 0: it does not."""
    at = whole = 0
    while at < len(data):
        if len(data) - at < _FRAME_HEAD_BYTES:
            return whole
        size, kind, flags = int.from_bytes(data[at : at + 3], "big"), data[at + 3], data[at + 4]
        stream = int.from_bytes(data[at + 5 : at + 9], "big")
        if kind >= len(_OF_A_STREAM) or flags & ~_FLAGS[kind] or stream >= 1 << 31:
            return 0
        belongs = _OF_A_STREAM[kind]
        if size not in _SIZES.get(kind, _ANY_SIZE) or belongs not in (None, stream > 0):
            return 0
        at += _FRAME_HEAD_BYTES + size
        whole += at <= len(data)
    return whole


class ProtocolSearch:
    """One connection until its protocol is known. `ran_before`: its process ran when capture
    came, so that its first bytes may stand anywhere."""

    def __init__(self, *, ran_before: bool = False) -> None:
        self._ran_before = ran_before
        self._turns = 0
        self._direction: int | None = None
        self._frames = [0, 0]
        self.pending: list[Chunk] = []  # not passed over: to be decoded under the verdict
        self.passed_bytes = 0
        self._answer_bytes = 0
        self.late = False  # the first bytes began no message

    def chunk(self, direction: int, data: bytes, ktime_ns: int) -> str | None:
        """Look at the bytes of one call; the verdict when there is one."""
        if self.late:
            return self._late(direction, data, ktime_ns)
        self.pending.append((direction, data, ktime_ns))
        first = self.pending[0][0]
        head = b"".join(data for way, data, _ in self.pending if way == first)
        verdict = self._first(first, head)
        if verdict != NOT_HTTP:
            return verdict
        self.late = True
        verdict = None
        pending, self.pending = self.pending, []
        for piece in pending:
            if verdict is None:
                verdict = self._late(*piece)
            else:
                self.pending.append(piece)
        return verdict

    def _first(self, direction: int, head: bytes) -> str | None:
        """What the first bytes of a connection, seen in one direction, say it is."""
        wrote = direction == Direction.WRITE
        if head.startswith(_PREFACE):
            return HTTP2 if wrote else SERVER_SIDE
        if _REQUEST.match(head):
            if len(head) < len(_PREFACE) and _PREFACE.startswith(head):
                return None
            if not self._ran_before or b"\n" not in head or begins_request(head):
                return CLIENT if wrote else SERVER_SIDE
        if head.startswith(_RESPONSE):
            return SERVER_SIDE if wrote else CLIENT
        if len(head) < _DECIDE_BYTES and not http2_frames(head):
            return None
        return NOT_HTTP

    def _late(self, direction: int, data: bytes, ktime_ns: int) -> str | None:
        wrote = direction == Direction.WRITE
        if begins_request(data):
            self.pending = [(direction, data, ktime_ns)]
            return CLIENT if wrote else SERVER_SIDE
        if heads.STATUS_LINE.match(data):
            self.pending = [(direction, data, ktime_ns)]
            return SERVER_SIDE if wrote else CLIENT
        if data.startswith(_PREFACE):
            self.pending = [(direction, data, ktime_ns)]
            return HTTP2 if wrote else SERVER_SIDE
        found = http2_frames(data)
        self._frames[direction] = self._frames[direction] + found if found else 0
        if self._frames[direction] >= _FRAMES_TO_BELIEVE:
            self.pending = [(direction, data, ktime_ns)]
            return HTTP2
        self.passed_bytes += len(data)
        self._turns += self._direction not in (None, direction)
        self._direction = direction
        if self._ran_before and self._turns == 0 and not wrote:
            self._answer_bytes = self.passed_bytes
        searched = self.passed_bytes - self._answer_bytes
        if (
            searched > SEARCH_BYTES
            or self._answer_bytes > SEARCH_ANSWER_BYTES
            or self._turns >= SEARCH_TURNS
        ):
            return NOT_HTTP
        return None
