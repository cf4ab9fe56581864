"""The other captures of the same store: what they watch, this one leaves out.

In: `CaptureScope`s that the store's owner tells of. Out: requests to this capture's probe process,
and whether it has done them. When the collector of such a capture is gone, what it watched and
still lives is taken back (by a capture of the whole host).
"""

from __future__ import annotations

import os
import select
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collector.capture_scope import CaptureScope
    from probes.client import ProbeClient
    from probes.events import ProbeState

_TIMEOUT_S = 5.0


class Peers:
    """`leave_out` may be called from any thread; `told` and `look` are called by the one that
    reads the probe's frames, which `leave_out` waits for."""

    def __init__(self, probe: ProbeClient) -> None:
        self._probe = probe
        self._lock = threading.Lock()
        self._claiming = threading.Lock()
        self._claims: frozenset[str] = frozenset()
        self._left: dict[int, tuple[int, threading.Event]] = {}  # by collector: pidfd, done

    def leave_out(self, scope: CaptureScope, timeout_s: float = _TIMEOUT_S) -> bool:
        """Leave out what a capture watches; whether the probe process has done so in time."""
        with self._lock:
            known = self._left.get(scope.pid)
            if known is None:
                try:
                    pidfd = os.pidfd_open(scope.pid)
                except OSError:
                    return True  # it is gone
                known = self._left[scope.pid] = (pidfd, threading.Event())
                try:
                    self._probe.control(
                        "leave_out",
                        watcher=scope.pid,
                        own=[scope.pid, scope.probe],
                        roots=list(scope.pids),
                    )
                except OSError:
                    known[1].set()  # no probe process, nothing is captured
        return known[1].wait(timeout_s)

    def claim(self, on: bool, by: str = "captures") -> None:
        """Others wait for this process, which ordinarily yields to agents; or `by` do no longer."""
        with self._claiming:
            before = bool(self._claims)
            self._claims = self._claims | {by} if on else self._claims - {by}
            if before == bool(self._claims):
                return
            try:
                self._probe.control("claim", on=on)
            except OSError:
                pass  # no probe process, and nobody who made this one yield

    def listens(self, descriptor: int) -> None:
        """This process listens there for readers, who are not to wait until no agent works."""
        try:
            self._probe.control("door", fd=descriptor)
        except OSError:
            pass  # no probe process

    def told(self, state: ProbeState) -> None:
        """What the probe process says of itself."""
        left = state.left_out
        if left is not None and (known := self._left.get(left[0])) is not None:
            known[1].set()

    def look(self) -> None:
        """Take back what collectors watched that are gone."""
        if not self._left:
            return
        poll = select.poll()
        with self._lock:
            by_pidfd = {pidfd: pid for pid, (pidfd, _) in self._left.items()}
            for pidfd in by_pidfd:
                poll.register(pidfd, select.POLLIN)
            for pidfd, _ in poll.poll(0):
                del self._left[by_pidfd[pidfd]]
                os.close(pidfd)
                try:
                    self._probe.control("take_back", watcher=by_pidfd[pidfd])
                except OSError:
                    pass  # the probe process is gone, too

    def close(self) -> None:
        """Free what is held."""
        with self._lock:
            for pidfd, _ in self._left.values():
                os.close(pidfd)
            self._left = {}
