"""Analysis while a capture runs: in a thread of its own, so that draining never waits for it.

In: a store, and a nudge after each batch that was written. Out: what `analysis.analyst` stores,
soon after the rows that it rests on: loops at once, the rest as often as a tenth of a processor
allows. What is left is done when the capture ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection

from analysis.analyst import Analyst, Pace
from analysis.runaways import DEFAULT, RunawayLimits
from analysis.steps import Finding
from collector.store import Store
from probes.errors import UnderglassError

_SHARED_EVERY_S = 5.0
_RECENT_NS = 6 * 3600 * 10**9
"""A loop that is to be told at once has repeated within this time."""


class LiveAnalyst:
    """Analyses the stale sessions of a store whenever it is nudged.

    `found` is called in the thread with each finding when it is stored for the first time.
    `failure` says why analysis has stopped, or could not store what it found, if so.
    """

    def __init__(
        self,
        store: Store,
        found: Callable[[Finding], None] | None = None,
        limits: RunawayLimits = DEFAULT,
    ) -> None:
        self._analyst = Analyst(store, found, limits)
        self._store = store
        self._alarms = Pace()
        self._whole = Pace()
        self._shared = Pace(share=0.02)
        self._nudged = threading.Event()
        self._closing = threading.Event()
        self._starting = threading.Lock()
        self._others: frozenset[str] = frozenset()
        self._thread = threading.Thread(target=self._work, name="analyst", daemon=True)
        self.failure: str | None = None

    def nudge(self) -> None:
        """Rows were written. May be called from any thread."""
        with self._starting:
            if self._thread.ident is None and not self._closing.is_set():
                self._thread.start()
        self._nudged.set()

    def close(self, *, but: Collection[str] = ()) -> None:
        """Analyse what is left, and end. Returns when it is done. `but`: sessions that go on in
        captures of other processes, which are left to those."""
        self._others = frozenset(but)
        self.stop()
        self._guarded(self._whole, self._finish)

    def stop(self) -> None:
        """End where it is. What is left stays marked in the store."""
        self._closing.set()
        self._nudged.set()
        with self._starting:
            began = self._thread.ident is not None
        if began:
            self._thread.join()

    def _work(self) -> None:
        while not self._closing.is_set():
            due_s = self._whole.wait_s if self._store.stale_sessions() else None
            self._nudged.wait(due_s)
            if self._nudged.is_set():
                self._nudged.clear()
                self._closing.wait(self._alarms.wait_s)
                if not self._closing.is_set():
                    self._guarded(self._alarms, self._look_for_loops)
            if not self._closing.is_set() and not self._whole.wait_s:
                self._guarded(self._whole, self._analyse)

    def _look_for_loops(self) -> None:
        stale = self._store.stale_sessions()
        if stale:
            self._analyst.raise_alarms(stale, time.time_ns() - _RECENT_NS)

    def _analyse(self) -> None:
        self._analyst.analyse(self._store.stale_sessions(), now_ns=time.time_ns())
        if not self._shared.wait_s:
            began = time.monotonic()
            self._analyst.analyse_shared()
            took_s = time.monotonic() - began
            self._shared.took(max(took_s, _SHARED_EVERY_S * self._shared.share))

    def _finish(self) -> None:
        """Nothing goes on any more here."""
        left = {**self._analyst.running(), **self._store.stale_sessions()}
        self._analyst.analyse({one: at for one, at in left.items() if one not in self._others})
        self._analyst.analyse_shared()

    def _guarded(self, pace: Pace, step: Callable[[], None]) -> None:
        began = time.monotonic()
        try:
            step()
            self.failure = None
            pace.took(time.monotonic() - began)
        except UnderglassError as error:
            self.failure = str(error)
            pace.took(0.1)
        except Exception as error:  # a detector must not end the capture
            self.failure = f"{type(error).__name__}: {error}"
            pace.took(6.0)
