"""The collector's share of the processor while somebody reads.

In: word of each query. Out: a claim to an ordinary share, and its end. A collector decodes only
when no agent wants the processor (`probes.process.ReaderPriority`); on a busy machine a query
would wait for seconds then, also for the decoding thread that holds the interpreter. So the claim
holds from the first query until nobody has asked for a while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LAPSES_AFTER_S = 5.0


class Attention:
    """Calls `claim(True)` when it is asked and `claim(False)` when nobody has asked for
    `lapses_after_s`. For any thread."""

    def __init__(
        self, claim: Callable[[bool], None], lapses_after_s: float = LAPSES_AFTER_S
    ) -> None:
        self._claim = claim
        self._lapses_after_s = lapses_after_s
        self._lock = threading.Lock()
        self._asked_at = 0.0
        self._lapsing: threading.Timer | None = None
        self._closed = False

    def asked(self) -> None:
        """Somebody waits for an answer."""
        self._asked_at = time.monotonic()
        if self._lapsing is None:
            with self._lock:
                if self._lapsing is None and not self._closed:
                    self._claim(True)
                    self._lapse_in(self._lapses_after_s)

    def close(self) -> None:
        """From now on nothing is called."""
        with self._lock:
            self._closed = True
            if self._lapsing is not None:
                self._lapsing.cancel()

    def _lapse_in(self, seconds: float) -> None:
        self._lapsing = threading.Timer(seconds, self._lapse)
        self._lapsing.daemon = True
        self._lapsing.start()

    def _lapse(self) -> None:
        with self._lock:
            left_s = self._asked_at + self._lapses_after_s - time.monotonic()
            if self._closed:
                return
            if left_s > 0:
                self._lapse_in(left_s)
                return
            self._lapsing = None
            self._claim(False)
