"""What a connection speaks, told from its bytes.

In: chunks of both directions, each as one call delivered it, until the protocol is known. Out: a
verdict, to `collector.exchange`: `client` (HTTP/1 as a client speaks it), or why the bytes are not
decoded as that: `http2`, `server_side`, `not_http`.

A connection whose first bytes begin no message is older than the capture, or speaks something
else. It is searched for a message that begins where a call begins, and for HTTP/2 frames that
follow each other from there; what passed until then belongs to an exchange whose beginning was not
seen. The search is bounded.
"""

from __future__ import annotations

import re

from collector.http import heads
from collector.http import http2_frames as h2
from probes.events import Direction

CLIENT = "client"
SERVER_SIDE = "server_side"
HTTP2 = "http2"
NOT_HTTP = "not_http"

SEARCH_BYTES = 256 << 10
SEARCH_ANSWER_BYTES = 64 << 20  # of one answer that was under way when capture came
SEARCH_TURNS = 16  # changes of direction

_REQUEST = re.compile(rb"[A-Z][A-Z-]{1,15} [^\x00-\x1f]")
_RESPONSE = re.compile(rb"HTTP/1\.(?:\Z|[0-9](?:\Z| ))")  # not the end of a request line
_PREFACE = b"PRI * HTTP/2.0"
_DECIDE_BYTES = 24
_FRAMES_TO_BELIEVE = 2

Chunk = tuple[int, bytes, int]  # direction, bytes, ktime_ns


def begins_request(data: bytes) -> bool:
    """Does a whole request line stand at the beginning?"""
    return heads.KNOWN_REQUEST_LINE.match(data) is not None


def begins_connection(data: bytes) -> bool:
    """Could a client's new connection begin with this? Certain enough to give up an old one."""
    return begins_request(data) or data.startswith(_PREFACE)


def begins_http2(data: bytes) -> bool:
    """Do a client's preface and first frame stand at the beginning?"""
    return data.startswith(h2.PREFACE) and bool(h2.begins_direction(data[len(h2.PREFACE) :]))


class _FrameWalk:
    """HTTP/2 frames that follow each other in one direction, from read to read."""

    __slots__ = ("_head", "_left", "heads")

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A frame may begin with the next read."""
        self.heads = 0
        self._left = 0  # bytes to the next head
        self._head = b""  # what came of it

    def follow(self, data: bytes) -> bool:
        """Do frames go on with what is read next?"""
        data, self._head = self._head + data, b""
        at = self._left
        while at + h2.HEAD_BYTES <= len(data):
            if not h2.is_common_head(data, at):
                return False
            self.heads += 1
            at += h2.HEAD_BYTES + int.from_bytes(data[at : at + 3], "big")
        self._left = max(0, at - len(data))
        self._head = data[at:]
        return self.heads > 0 or self._head[:1] == b"\0"


class ProtocolSearch:
    """One connection until its protocol is known. `ran_before`: its process ran when capture
    came, so that its first bytes may stand anywhere."""

    def __init__(self, *, ran_before: bool = False) -> None:
        self._ran_before = ran_before
        self._turns = 0
        self._direction: int | None = None
        self._walks = (_FrameWalk(), _FrameWalk())
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
        verdict = self._first(first, self._head())
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

    def gap(self, direction: int) -> str | None:
        """Bytes are missing behind those that came; the verdict if there has to be one now."""
        if self.late:
            self._walks[direction].restart()
            self._pass_over(direction)
        elif self.pending:
            first, head = self.pending[0][0], self._head()
            if len(head) > 2 and h2.PREFACE.startswith(head):
                return HTTP2 if first == Direction.WRITE else SERVER_SIDE
            if not head.startswith(b"\0"):
                return CLIENT  # resynchronises, or counts what it cannot read
            if direction == first:
                self.late = True
                self._pass_over(direction)
        return None

    def _head(self) -> bytes:
        first = self.pending[0][0]
        return b"".join(data for way, data, _ in self.pending if way == first)

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
        if _RESPONSE.match(head):
            return SERVER_SIDE if wrote else CLIENT
        servers = h2.begins_direction(head)
        if servers and not (wrote and self._ran_before):
            return SERVER_SIDE if wrote else HTTP2
        framed = len(head) >= h2.HEAD_BYTES and h2.is_common_head(head)
        if len(head) < _DECIDE_BYTES and not framed:
            return None
        return NOT_HTTP

    def _late(self, direction: int, data: bytes, ktime_ns: int) -> str | None:
        wrote = direction == Direction.WRITE
        piece = (direction, data, ktime_ns)
        verdict = None
        if begins_request(data):
            verdict = CLIENT if wrote else SERVER_SIDE
        elif heads.STATUS_LINE.match(data):
            verdict = SERVER_SIDE if wrote else CLIENT
        if verdict is not None:
            for way in Direction:
                self._pass_over(way)
            self.pending = [piece]
            return verdict
        if data.startswith(_PREFACE):
            self._pass_over(direction)
            self.pending.append(piece)
            return HTTP2 if wrote else SERVER_SIDE
        walk = self._walks[direction]
        framed = walk.follow(data)
        if not framed:
            self._pass_over(direction)
            walk.restart()
            framed = walk.follow(data)
        if framed:
            self.pending.append(piece)
            if walk.heads >= _FRAMES_TO_BELIEVE:
                return HTTP2
            if sum(len(held) for _, held, _ in self.pending) <= SEARCH_BYTES:
                return None
            self._pass_over(direction)
        else:
            self.passed_bytes += len(data)
        walk.restart()
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

    def _pass_over(self, direction: int) -> None:
        """What is pending of a direction is not decoded."""
        self.passed_bytes += sum(len(data) for way, data, _ in self.pending if way == direction)
        self.pending = [piece for piece in self.pending if piece[0] != direction]
