"""HTTP/1.1 on one connection: requests paired with their responses.

In: chunks and gaps of both directions. Out: calls on an `ExchangeObserver`. A response belongs to
the oldest request without one; where bytes are missing, what can no longer be known for certain
is ended as incomplete rather than paired by guess:

- Lost responses: whatever was asked before may have its answer in the hole, so all of it ends.
- Lost requests: their answers are still to come, so a request behind the hole is `doubtful`. It
  is not when an answer that nobody known asked for has come since: a client that does not
  pipeline waits for the answer before it asks again.

What a connection was upgraded to is another `Conversation`, which `upgrade` makes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from collector.exchange import (
    UNKNOWN_ORIGIN,
    Conversation,
    Exchange,
    ExchangeObserver,
    HttpCounters,
)
from collector.http.events import (
    BodyData,
    HttpEvent,
    MessageEnd,
    Passed,
    RequestHead,
    ResponseHead,
    Skipped,
    Upgraded,
)
from collector.http.http1 import RequestReader, ResponseReader
from collector.http.states import SkipReason
from collector.origin import Origin
from probes.events import ConnectionKey, Direction

Upgrade = Callable[[Exchange, str], Conversation | None]  # by the name in `Upgrade:`


class Http1Exchanges:
    """Both directions of one connection; exchanges are numbered from `first_number`."""

    def __init__(
        self,
        key: ConnectionKey,
        observer: ExchangeObserver,
        counters: HttpCounters,
        origin: Origin = UNKNOWN_ORIGIN,
        *,
        first_number: int = 0,
        upgrade: Upgrade = lambda _exchange, _protocol: None,
    ) -> None:
        self._key = key
        self._observer = observer
        self._counters = counters
        self._origin = origin
        self._upgrade = upgrade
        self.numbered = first_number
        self._upgraded: Conversation | None = None
        self._outstanding: deque[Exchange] = deque()
        self._requests = RequestReader()
        self._responses = ResponseReader(self._method_of_next_response)
        self._sending: Exchange | None = None
        self._answering: Exchange | None = None
        self._heads_asked = 0  # responses begun by the feed that is being read
        self._pipelined = False  # for certain: one request was sent before another's answer began
        self._doubt = False  # a request may have been lost of which the answer did not come
        self._unclaimed = False  # since the last request came what no known request asked for

    @property
    def idle(self) -> bool:
        """Is no exchange under way, nor what one has opened?"""
        return not (self._outstanding or self._answering or self._sending or self._upgraded)

    def unclaimed(self, came: bool) -> None:
        """Since the last request, did anything come that no known request asked for?"""
        self._unclaimed = came

    def chunk(self, direction: int, data: bytes, ktime_ns: int) -> None:
        """Bytes of one direction, in order."""
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
        if self._upgraded is not None:
            self._upgraded.gap(direction, length, ktime_ns)
        elif direction == Direction.WRITE:
            self._request_events(self._requests.gap(length, ktime_ns), ktime_ns)
            if not self._requests.in_step and not self._unclaimed:
                self._doubt = True
        else:
            if self._answering is not None:
                self._answering.response_gaps += 1
            self._response_events(self._responses.gap(length, ktime_ns), ktime_ns)
            if not self._responses.in_step:
                self._unclaimed = True
                self._doubt = self._doubt or self._pipelined
                for exchange in self._outstanding:
                    exchange.response_gaps += 1
                self._abandon(ktime_ns)

    def close(self, ktime_ns: int) -> None:
        """Nothing follows."""
        if self._upgraded is not None:
            self._upgraded.close(ktime_ns)
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
                    self._key, self.numbered, event, doubtful=self._doubt, origin=self._origin
                )
                self.numbered += 1
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
            elif isinstance(event, Passed):
                self._pass(Direction.WRITE, event)

    def _response_events(self, events: list[HttpEvent], ktime_ns: int) -> None:
        opening: Exchange | None = None
        for event in events:
            if isinstance(event, BodyData):
                if self._answering is not None:
                    self._observer.response_body(self._answering, event.data, event.ktime_ns)
            elif isinstance(event, ResponseHead):
                if event.status >= 200 or event.status == 101:
                    self._begin_response(event, ktime_ns)
                elif self._outstanding:
                    self._outstanding[0].first_byte_ns = None  # the answer itself is to come
            elif isinstance(event, MessageEnd):
                if self._answering is None:
                    self._counters.undecoded("response_without_request", event.wire_bytes)
                else:
                    answered = opening = self._answering
                    self._answering = None
                    answered.response_end = event
                    if answered.request_end is not None:
                        self._end(answered, event.ktime_ns)
            elif isinstance(event, Skipped):
                self._counters.undecoded(event.reason, event.length)
            elif isinstance(event, Upgraded):
                if opening is not None:
                    self._upgraded = self._upgrade(opening, event.protocol)
                self._request_events(self._requests.upgrade(event.protocol, ktime_ns), ktime_ns)
                self._abandon(ktime_ns)
            elif isinstance(event, Passed):
                self._pass(Direction.READ, event)

    def _pass(self, direction: int, event: Passed) -> None:
        if self._upgraded is None:
            self._counters.undecoded(SkipReason.UPGRADED, len(event.data))
        else:
            self._upgraded.chunk(direction, event.data, event.ktime_ns)

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
