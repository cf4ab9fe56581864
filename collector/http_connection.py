"""A connection: what it speaks, and the exchanges of that protocol.

In: chunks and gaps of one connection's two directions. Out: calls on an `ExchangeObserver`. The
first bytes decide (`collector.protocol`); what came before that is replayed to the protocol.
"""

from __future__ import annotations

from collector import protocol
from collector.exchange import (
    UNKNOWN_ORIGIN,
    Conversation,
    Exchange,
    ExchangeObserver,
    HttpCounters,
)
from collector.http.states import SkipReason
from collector.http1_exchanges import Http1Exchanges
from collector.http2_exchanges import Http2Exchanges
from collector.origin import Origin
from collector.protocol import ProtocolSearch, begins_connection, begins_http2
from collector.redaction import HeaderRedactor, without_secrets
from collector.websocket import WebSocket
from probes.events import ConnectionKey, Direction

_UNDERSTOOD = (protocol.CLIENT, protocol.HTTP2)


class HttpConnection:
    """Both directions of one connection. `verdict` is None until the protocol is known, then
    `client` or `http2`, or the reason why its bytes are not decoded (`collector.protocol`).
    `header_value` masks secrets in headers that frames hold compressed."""

    def __init__(
        self,
        key: ConnectionKey,
        observer: ExchangeObserver,
        counters: HttpCounters,
        origin: Origin = UNKNOWN_ORIGIN,
        header_value: HeaderRedactor = without_secrets,
    ) -> None:
        self.key = key
        self.origin = origin
        self._observer = observer
        self._counters = counters
        self._header_value = header_value
        self._begin(ran_before=origin.ran_before, first_number=0)

    def _begin(self, *, ran_before: bool, first_number: int) -> None:
        """As when nothing was seen yet."""
        self.verdict: str | None = None
        self._search = ProtocolSearch(ran_before=ran_before)
        self._http1 = Http1Exchanges(
            self.key,
            self._observer,
            self._counters,
            self.origin,
            first_number=first_number,
            upgrade=self._upgrade,
        )
        self._first_number = first_number
        self._http2: Http2Exchanges | None = None
        self._conversation: Conversation | None = None
        self._lost_first = False  # bytes were lost before the protocol was known
        self._lost: dict[int, int] = {}  # how many, by direction

    def chunk(self, direction: int, data: bytes, ktime_ns: int) -> None:
        """Bytes of one direction, in order."""
        if direction == Direction.WRITE and self.origin.reusable and self._is_another(data):
            self.close(ktime_ns)
            self._begin(ran_before=False, first_number=self._next_number())
        self._take(direction, data, ktime_ns)

    def _take(self, direction: int, data: bytes, ktime_ns: int) -> None:
        if self._conversation is not None:
            self._conversation.chunk(direction, data, ktime_ns)
            if self._http2 is not None and self._http2.server_side:
                self._conversation.close(ktime_ns)
                self._conversation, self.verdict = None, protocol.SERVER_SIDE
        elif self.verdict is None:
            verdict = self._search.chunk(direction, data, ktime_ns)
            if verdict is not None:
                self._decided(verdict, ktime_ns)
            elif self._search.late and direction == Direction.READ:
                self._http1.unclaimed(True)
        else:
            self._counters.undecoded(self.verdict, len(data))

    def _is_another(self, data: bytes) -> bool:
        """Has another connection taken the handle? Clients that can be told apart do not
        pipeline: who asks anew while an exchange is under way has left it."""
        if self.verdict == protocol.CLIENT and self._http1.idle:
            return False
        if self._http2 is not None and self._http2.in_frame:
            return begins_http2(data)
        return self.verdict is not None and begins_connection(data)

    def _next_number(self) -> int:
        return self._http1.numbered if self._http2 is None else self._http2.numbered

    def _decided(self, verdict: str, ktime_ns: int) -> None:
        self.verdict = verdict
        search = self._search
        if verdict == protocol.CLIENT:
            self._conversation = self._http1
        elif verdict == protocol.HTTP2:
            self._conversation = self._http2 = Http2Exchanges(
                self.key,
                self._observer,
                self._counters,
                self.origin,
                first_number=self._first_number,
                header_value=self._header_value,
            )
            for direction, length in self._lost.items():
                self._http2.gap(direction, length, ktime_ns)
        if self._lost_first:
            reason = SkipReason.GAP
        else:
            understood = verdict in _UNDERSTOOD
            reason = "joined_late" if understood else verdict
            begun_before = search.late or (
                verdict == protocol.CLIENT and search.pending[0][0] == Direction.READ
            )
            if understood and begun_before:
                self._counters.joined_late_connections += 1
                self._counters.joined_late_calls += verdict == protocol.CLIENT
        self._counters.undecoded(reason, search.passed_bytes)
        pending, search.pending = search.pending, []
        for piece in pending:
            self._take(*piece)

    def gap(self, direction: int, length: int, ktime_ns: int) -> None:
        """Bytes of one direction that exist and were not delivered."""
        if self.verdict is None:
            self._lost_first = True
            if direction == Direction.WRITE:
                self._http1.unclaimed(False)  # what was received before answers nothing in it
            verdict = self._search.gap(direction)
            if verdict is not None:
                self._decided(verdict, ktime_ns)
            else:
                self._lost[direction] = self._lost.get(direction, 0) + length
        if self._conversation is not None:
            self._conversation.gap(direction, length, ktime_ns)
        elif self.verdict is None:
            self._http1.gap(direction, length, ktime_ns)

    def close(self, ktime_ns: int) -> None:
        """Nothing follows."""
        if self.verdict is None:
            reason = "undecided" if self._search.late else "too_short"
            for _, data, _ in self._search.pending:
                self._counters.undecoded(reason, len(data))
            self._counters.undecoded("undecided", self._search.passed_bytes)
            self._search = ProtocolSearch()
        if self._conversation is not None:
            self._conversation.close(ktime_ns)
        else:
            self._http1.close(ktime_ns)

    def _upgrade(self, exchange: Exchange, name: str) -> Conversation | None:
        """What follows a 101: only WebSockets are read."""
        if name.lower() != "websocket":
            return None
        return WebSocket(exchange, self._observer, self._counters)
