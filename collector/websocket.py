"""A WebSocket (RFC 6455): the messages of both directions."""

from __future__ import annotations

from collector.exchange import Exchange, ExchangeObserver, HttpCounters


class WebSocket:
    """Both directions of the connection that `exchange` upgraded."""

    def __init__(
        self, exchange: Exchange, observer: ExchangeObserver, counters: HttpCounters
    ) -> None:
        self._counters = counters

    def chunk(self, direction: int, data: bytes, ktime_ns: int) -> None:
        """Bytes of one direction, in order."""
        self._counters.undecoded("upgraded", len(data))

    def gap(self, direction: int, length: int, ktime_ns: int) -> None:
        """Bytes of one direction that exist and were not delivered."""

    def close(self, ktime_ns: int) -> None:
        """Nothing follows."""
