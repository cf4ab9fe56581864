"""HTTP exchanges: requests paired with their responses.

In: chunks and gaps of one connection's two directions. Out: calls on an `ExchangeObserver`, in
order. A response belongs to the oldest request without one; where bytes are missing, what can
no longer be known for certain is ended as incomplete rather than paired by guess:

- Lost responses: whatever was asked before may have its answer in the hole, so all of it ends.
- Lost requests: their answers are still to come, so a request behind the hole is `doubtful`. It
  is not when an answer that nobody known asked for has come since: a client that does not
  pipeline waits for the answer before it asks again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol

from collector.http.events import (
    BodyData,
    HttpEvent,
    MessageEnd,
    RequestHead,
    ResponseHead,
    Skipped,
    Upgraded,
)
from collector.http.http1 import RequestReader, ResponseReader
from collector.http.states import SkipReason
from collector.origin import Origin
from collector.protocol import CLIENT, HTTP2, ProtocolSearch, begins_connection
from probes.events import ConnectionKey, Direction

_UNKNOWN_ORIGIN = Origin()


@dataclass(slots=True)
class Exchange:
    """One request and its response, as far as they were seen. `state` is the observer's own.

    `doubtful`: the next response may answer another request, which was lost.
    """

    connection: ConnectionKey
    number: int
    request: RequestHead
    request_end: MessageEnd | None = None
    response: ResponseHead | None = None
    response_end: MessageEnd | None = None
    first_byte_ns: int | None = None
    doubtful: bool = False
    origin: Origin = _UNKNOWN_ORIGIN
    state: Any = None

    @property
    def lost_bytes(self) -> int:
        """Bytes of either message that are known to be missing."""
        return sum(end.lost_bytes for end in (self.request_end, self.response_end) if end)

    @property
    def complete(self) -> bool:
        """Both messages were seen whole."""
        return bool(
            self.request_end
            and self.request_end.complete
            and self.response_end
            and self.response_end.complete
        )


class ExchangeObserver(Protocol):
    """What a consumer of exchanges is told, in this order for each exchange."""

    def request_started(self, exchange: Exchange) -> None:
        """The request's head was read."""

    def request_body(self, exchange: Exchange, data: bytes) -> None:
        """Body bytes, still content-coded."""

    def request_ended(self, exchange: Exchange) -> None:
        """The request is whole, or is known never to be."""

    def response_started(self, exchange: Exchange) -> None:
        """The response's final head was read."""

    def response_body(self, exchange: Exchange, data: bytes, ktime_ns: int) -> None:
        """Body bytes, still content-coded."""

    def exchange_ended(self, exchange: Exchange, ktime_ns: int) -> None:
        """Nothing more will come; `exchange.complete` says whether all of it did."""


@dataclass(slots=True)
class HttpCounters:
    """Bytes that no exchange holds, by reason, over all connections.

    `joined_late_connections` were under way when capture came; `joined_late_calls` are the
    exchanges on them whose beginning was not seen.
    """

    undecoded_bytes: dict[str, int] = field(default_factory=dict)
    exchanges: int = 0
    orphan_responses: int = 0
    joined_late_connections: int = 0
    joined_late_calls: int = 0

    def undecoded(self, reason: str, length: int) -> None:
        """Count bytes that were read and not understood."""
        if length:
            self.undecoded_bytes[reason] = self.undecoded_bytes.get(reason, 0) + length


class HttpConnection:
    """Both directions of one connection. `verdict` is None until the protocol is known, then
    `client`, or the reason why its bytes are not decoded (`collector.protocol`)."""

    def __init__(
        self,
        key: ConnectionKey,
        observer: ExchangeObserver,
        counters: HttpCounters,
        origin: Origin = _UNKNOWN_ORIGIN,
    ) -> None:
        self.key = key
        self.origin = origin
        self._observer = observer
        self._counters = counters
        self._numbered = 0
        self._outstanding: deque[Exchange] = deque()
        self._begin(ran_before=origin.ran_before)

    def _begin(self, *, ran_before: bool) -> None:
        """As when nothing was seen yet."""
        self.verdict: str | None = None
        self._search = ProtocolSearch(ran_before=ran_before)
        self._requests = RequestReader()
        self._responses = ResponseReader(self._method_of_next_response)
        self._sending: Exchange | None = None
        self._answering: Exchange | None = None
        self._heads_asked = 0  # responses begun by the feed that is being read
        self._pipelined = False  # for certain: one request was sent before another's answer began
        self._doubt = False  # a request may have been lost of which the answer did not come
        self._unclaimed = False  # since the last request came what no known request asked for
        self._lost_first = False  # bytes were lost before the protocol was known

    # Protocol

    def chunk(self, direction: int, data: bytes, ktime_ns: int) -> None:
        """Bytes of one direction, in order."""
        if direction == Direction.WRITE and self.origin.reusable and self._is_another(data):
            self.close(ktime_ns)
            self._begin(ran_before=False)
        self._take(direction, data, ktime_ns)

    def _take(self, direction: int, data: bytes, ktime_ns: int) -> None:
        if self.verdict == CLIENT:
            self._feed(direction, data, ktime_ns)
        elif self.verdict is None:
            verdict = self._search.chunk(direction, data, ktime_ns)
            if verdict is not None:
                self._decided(verdict)
            elif self._search.late and direction == Direction.READ:
                self._unclaimed = True
        else:
            self._counters.undecoded(self.verdict, len(data))

    def _is_another(self, data: bytes) -> bool:
        """Has another connection taken the handle? Clients that can be told apart do not
        pipeline: who asks anew while an exchange is under way has left it."""
        if self.verdict == CLIENT and not (self._outstanding or self._answering or self._sending):
            return False
        return self.verdict is not None and begins_connection(data)

    def _decided(self, verdict: str) -> None:
        self.verdict = verdict
        search = self._search
        understood = verdict in (CLIENT, HTTP2)
        if self._lost_first:
            reason = SkipReason.GAP
        else:
            reason = "joined_late" if understood else verdict
            begun_before = search.late or (
                verdict == CLIENT and search.pending[0][0] == Direction.READ
            )
            if understood and begun_before:
                self._counters.joined_late_connections += 1
                self._counters.joined_late_calls += verdict == CLIENT
        self._counters.undecoded(reason, search.passed_bytes)
        pending, search.pending = search.pending, []
        for piece in pending:
            self._take(*piece)

    def _feed(self, direction: int, data: bytes, ktime_ns: int) -> None:
        if direction == Direction.WRITE:
            self._request_events(self._requests.feed(data, ktime_ns), ktime_ns)
        else:
            self._heads_asked = 0
            if self._answering is None and self._outstanding:
                following = self._outstanding[0]
                if following.first_byte_ns is None:
                    following.first_byte_ns = ktime_ns
            self._response_events(self._responses.feed(data, ktime_ns), ktime_ns)

    def gap(self, direction: int, length: int, ktime_ns: int) -> None:
        """Bytes of one direction that exist and were not delivered."""
        if self.verdict is None:
            self._lost_first = True
            if direction == Direction.WRITE:
                self._unclaimed = False  # what was received before answers nothing in this hole
            if self._search.pending:
                self._decided(CLIENT)  # resynchronises, or counts what it cannot read
        if self.verdict not in (None, CLIENT):
            return
        if direction == Direction.WRITE:
            self._request_events(self._requests.gap(length, ktime_ns), ktime_ns)
            if not self._requests.in_step and not self._unclaimed:
                self._doubt = True
        else:
            self._response_events(self._responses.gap(length, ktime_ns), ktime_ns)
            if not self._responses.in_step:
                self._unclaimed = True
                self._doubt = self._doubt or self._pipelined
                self._abandon(ktime_ns)

    def close(self, ktime_ns: int) -> None:
        """Nothing follows."""
        if self.verdict is None:
            for _, data, _ in self._search.pending:
                self._counters.undecoded("too_short", len(data))
            self._counters.undecoded("undecided", self._search.passed_bytes)
            self._search = ProtocolSearch()
        self._request_events(self._requests.close(ktime_ns), ktime_ns)
        self._response_events(self._responses.close(ktime_ns), ktime_ns)
        self._counters.undecoded("cut", self._requests.pending_bytes)
        self._counters.undecoded("cut", self._responses.pending_bytes)
        self._abandon(ktime_ns)

    # Pairing

    def _method_of_next_response(self) -> str | None:
        position, self._heads_asked = self._heads_asked, self._heads_asked + 1
        if position >= len(self._outstanding) or self._outstanding[position].doubtful:
            return None
        return self._outstanding[position].request.method

    def _abandon(self, ktime_ns: int) -> None:
        while self._outstanding:
            self._end(self._outstanding.popleft(), ktime_ns)

    def _end(self, exchange: Exchange, ktime_ns: int) -> None:
        if self._sending is exchange:
            self._sending = None
        if self._answering is exchange:
            self._answering = None
        self._observer.exchange_ended(exchange, ktime_ns)

    def _request_events(self, events: list[HttpEvent], ktime_ns: int) -> None:
        for event in events:
            if isinstance(event, BodyData):
                if self._sending is not None:
                    self._observer.request_body(self._sending, event.data)
            elif isinstance(event, RequestHead):
                if self._unclaimed and not self._pipelined:
                    self._doubt = False
                self._unclaimed = False
                exchange = Exchange(
                    self.key, self._numbered, event, doubtful=self._doubt, origin=self.origin
                )
                self._numbered += 1
                self._counters.exchanges += 1
                self._outstanding.append(exchange)
                self._sending = exchange
                self._observer.request_started(exchange)
            elif isinstance(event, MessageEnd):
                if self._sending is not None:
                    sent, self._sending = self._sending, None
                    sent.request_end = event
                    self._observer.request_ended(sent)
                    if sent.response_end is not None:
                        self._end(sent, ktime_ns)
                else:
                    self._counters.undecoded("request_abandoned", event.wire_bytes)
            elif isinstance(event, Skipped):
                self._counters.undecoded(event.reason, event.length)

    def _response_events(self, events: list[HttpEvent], ktime_ns: int) -> None:
        for event in events:
            if isinstance(event, BodyData):
                if self._answering is not None:
                    self._observer.response_body(self._answering, event.data, event.ktime_ns)
            elif isinstance(event, ResponseHead):
                if event.status >= 200 or event.status == 101:
                    self._begin_response(event, ktime_ns)
            elif isinstance(event, MessageEnd):
                if self._answering is None:
                    self._counters.undecoded("response_without_request", event.wire_bytes)
                else:
                    answered = self._answering
                    self._answering = None
                    answered.response_end = event
                    if answered.request_end is not None:
                        self._end(answered, event.ktime_ns)
            elif isinstance(event, Skipped):
                self._counters.undecoded(event.reason, event.length)
            elif isinstance(event, Upgraded):
                self._request_events(self._requests.upgrade(event.protocol, ktime_ns), ktime_ns)
                self._abandon(ktime_ns)

    def _begin_response(self, head: ResponseHead, ktime_ns: int) -> None:
        if self._doubt or not self._outstanding:
            self._unclaimed = True
        if not self._outstanding or self._outstanding[0].doubtful:
            self._counters.orphan_responses += 1
            self._abandon(ktime_ns)
            return
        exchange = self._outstanding.popleft()
        self._pipelined = self._pipelined or bool(self._outstanding)
        exchange.response = head
        if exchange.first_byte_ns is None:
            exchange.first_byte_ns = head.ktime_ns
        self._answering = exchange
        self._observer.response_started(exchange)
