"""Stopping unknown programs until they are hooked (opt-in), and waking them whatever happens.

In: the kernel's table of processes that a BPF program stopped at exec or at a mapping. Out:
SIGCONT. A guardian process shares that table: should the probe process die, or take too long
over a file, it wakes everything that is stopped. It holds no probe, so probes go all the same.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import time
from ctypes import c_uint32, c_uint64

from probes.maps import BpfMap
from probes.programs import Programs

Frozen = BpfMap[c_uint32, c_uint64]
MOST_STOPPED_S = 5.0
_PR_SET_NAME = 15


class Freezer:
    """Wakes the processes that the kernel part stopped."""

    def __init__(self, programs: Programs) -> None:
        """Start the guardian, then let the kernel stop unknown programs."""
        self._frozen = programs.table("frozen", c_uint32, c_uint64)
        self._alive = _start_guardian(self._frozen)
        programs.table("freeze_unknown", c_uint32, c_uint32)[c_uint32(0)] = c_uint32(1)

    def stopped(self) -> list[int]:
        """Processes that wait."""
        return [key.value for key in self._frozen]

    def wake(self, pid: int) -> None:
        """Let one go on."""
        _wake(self._frozen, pid)

    def close(self) -> None:
        """Wake all; the guardian ends."""
        os.close(self._alive)


def _wake(frozen: Frozen, pid: int) -> None:
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass
    frozen.discard(c_uint32(pid))


def _start_guardian(frozen: Frozen) -> int:
    """A process that watches; it ends when the returned descriptor is closed or its owner dies."""
    gone, alive = os.pipe2(os.O_CLOEXEC)
    if os.fork():
        os.close(gone)
        return alive
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ctypes.CDLL(None).prctl(_PR_SET_NAME, b"ug-guardian", 0, 0, 0)
        kept = sorted((gone, frozen.descriptor))
        os.closerange(0, kept[0])
        os.closerange(kept[0] + 1, kept[1])
        os.closerange(kept[1] + 1, os.sysconf("SC_OPEN_MAX"))
        while not select.select([gone], [], [], 1.0)[0]:
            oldest = time.monotonic_ns() - int(MOST_STOPPED_S * 1e9)
            for key, since in frozen.items():
                if since.value < oldest:
                    _wake(frozen, key.value)
        for key in frozen:
            _wake(frozen, key.value)
    finally:
        os._exit(0)
