"""HTTP/2 on one connection: the streams of both directions as exchanges."""

from __future__ import annotations

from collector.exchange import UNKNOWN_ORIGIN, ExchangeObserver, HttpCounters
from collector.origin import Origin
from probes.events import ConnectionKey


class Http2Exchanges:
    """Both directions of one connection; the number of an exchange is `first_number` and its
    stream's id."""

    def __init__(
        self,
        key: ConnectionKey,
        observer: ExchangeObserver,
        counters: HttpCounters,
        origin: Origin = UNKNOWN_ORIGIN,
        *,
        first_number: int = 0,
    ) -> None:
        self._counters = counters
        self.numbered = first_number  # no exchange so far has this number or a higher one

    def chunk(self, direction: int, data: bytes, ktime_ns: int) -> None:
        """Bytes of one direction, in order."""
        self._counters.undecoded("http2", len(data))

    def gap(self, direction: int, length: int, ktime_ns: int) -> None:
        """Bytes of one direction that exist and were not delivered."""

    def close(self, ktime_ns: int) -> None:
        """Nothing follows."""
