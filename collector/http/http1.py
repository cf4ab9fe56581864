"""Reads both directions of an HTTP/1.1 connection, one reader each.

In: the bytes of one direction in order (`feed`), holes in them (`gap`) and the end (`close`).
Out: lists of `collector.http.events`, to `collector.exchange`. The reading itself is in
`collector.http.message_reader`; here is what differs between requests and responses: the start
line and which messages have a body (RFC 9112 section 6.3).

`version` of a head is the number alone, such as `1.1`.
"""

from __future__ import annotations

from collections.abc import Callable

from collector.http import heads
from collector.http.events import Headers, HttpEvent, RequestHead, ResponseHead, Upgraded, header
from collector.http.heads import Framing
from collector.http.message_reader import MessageReader
from collector.http.states import SkipReason, State

__all__ = ["RequestReader", "ResponseReader", "SkipReason"]

_SWITCHING_PROTOCOLS = 101
_BODILESS = (204, 304)


class RequestReader(MessageReader):
    """Reads what the client sends."""

    _start_line = heads.REQUEST_LINE
    _certain_start_line = heads.KNOWN_REQUEST_LINE
    _candidate = heads.REQUEST_CANDIDATE

    def _may_begin(self, prefix: bytes) -> bool:
        return heads.may_begin_request(prefix, known_only=not self._in_step)

    def _begin(
        self, start: tuple[str, ...], headers: Headers, events: list[HttpEvent], ktime_ns: int
    ) -> None:
        method, target, version = start
        events.append(RequestHead(ktime_ns, method, target, version, headers))
        framing = heads.body_framing(headers)
        if framing is Framing.ABSENT:
            framing = 0
        elif framing is Framing.UNTIL_CLOSE:  # no server could tell where such a request ends
            framing = Framing.INVALID
        self._begin_body(framing, events, ktime_ns)


class ResponseReader(MessageReader):
    """Reads what the server sends.

    `next_method` is called once for each final head and returns the method of the request that
    it answers, or None when that is not known. Then a body is read as the head announces it,
    unless a status line stands in its place.
    """

    _start_line = heads.STATUS_LINE
    _certain_start_line = heads.STATUS_LINE
    _candidate = heads.STATUS_CANDIDATE

    def __init__(self, next_method: Callable[[], str | None]) -> None:
        super().__init__()
        self._next_method = next_method

    def _may_begin(self, prefix: bytes) -> bool:
        return heads.may_begin_status(prefix)

    def _begin(
        self, start: tuple[str, ...], headers: Headers, events: list[HttpEvent], ktime_ns: int
    ) -> None:
        version, digits, reason = start
        status = int(digits)
        events.append(ResponseHead(ktime_ns, status, reason.strip(" \t"), version, headers))
        if status < 200 and status != _SWITCHING_PROTOCOLS:
            self._state = State.IDLE
            return
        method = self._next_method()
        tunnel = method == "CONNECT" and 200 <= status < 300
        if tunnel or status == _SWITCHING_PROTOCOLS:
            protocol = "tunnel" if tunnel else header(headers, "upgrade") or "unknown"
            self._end(events, ktime_ns)
            events.append(Upgraded(ktime_ns, protocol))
            self._state = State.UPGRADED
            return
        framing = heads.body_framing(headers)
        if method == "HEAD" or status in _BODILESS:
            framing = 0
        elif framing is Framing.ABSENT:
            framing = Framing.UNTIL_CLOSE
        self._begin_body(framing, events, ktime_ns)
        if method is None and self._state in (State.LENGTH, State.UNTIL_CLOSE):
            self._doubted, self._state = self._state, State.DOUBTFUL
