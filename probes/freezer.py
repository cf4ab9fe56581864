"""Stopping unknown programs until they are hooked (opt-in), and waking them whatever happens.

In: the kernel's table of processes that a BPF program stopped at exec or at a mapping. Out:
SIGCONT. A guardian process shares that table: should the probe process die, or take too long
over a file, it wakes what is stopped and lets nothing be stopped any more, until the probe process
says that it is well. It holds no probe, so probes go all the same.
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
Switch = BpfMap[c_uint32, c_uint32]
_ON, _OFF = c_uint32(1), c_uint32(0)
_SLOT = c_uint32(0)
MOST_STOPPED_S = 5.0
_LAST_LOOKS, _LOOK_EVERY_S = 3, 0.05
_PR_SET_NAME = 15


class Freezer:
    """Wakes the processes that the kernel part stopped."""

    def __init__(self, programs: Programs) -> None:
        """Start the guardian, then let the kernel stop unknown programs."""
        self._frozen = programs.table("frozen", c_uint32, c_uint64)
        self._switch = programs.table("freeze_unknown", c_uint32, c_uint32)
        self._alive = _start_guardian(self._frozen, self._switch)
        self.renew()

    def renew(self) -> None:
        """Say that this process is well: what is stopped from now on will be woken."""
        self._switch[_SLOT] = _ON

    def stopped(self) -> list[int]:
        """Processes that wait."""
        return [key.value for key in self._frozen]

    def wake(self, pid: int) -> None:
        """Let one go on, if it was stopped from here."""
        _wake(self._frozen, pid)

    def close(self) -> None:
        """Stop no more; the guardian wakes all, and ends."""
        self._switch[_SLOT] = _OFF
        os.close(self._alive)


def _wake(frozen: Frozen, pid: int) -> None:
    if not frozen.discard(c_uint32(pid)):
        return  # who else stopped it may have a reason
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


def _let_all_go(frozen: Frozen, switch: Switch) -> None:
    """Wake all, and those that a program was about to stop when the switch went off."""
    switch[_SLOT] = _OFF
    for _ in range(_LAST_LOOKS):
        for key in frozen:
            _wake(frozen, key.value)
        time.sleep(_LOOK_EVERY_S)


def _start_guardian(frozen: Frozen, switch: Switch) -> int:
    """A process that watches; it ends when the returned descriptor is closed or its owner dies."""
    gone, alive = os.pipe2(os.O_CLOEXEC)
    if os.fork():
        os.close(gone)
        return alive
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ctypes.CDLL(None).prctl(_PR_SET_NAME, b"ug-guardian", 0, 0, 0)
        first = 0
        for kept in sorted((gone, frozen.descriptor, switch.descriptor)):
            os.closerange(first, kept)
            first = kept + 1
        os.closerange(first, os.sysconf("SC_OPEN_MAX"))
        while not select.select([gone], [], [], 1.0)[0]:
            oldest = time.monotonic_ns() - int(MOST_STOPPED_S * 1e9)
            if any(since.value < oldest for _, since in frozen.items()):
                _let_all_go(frozen, switch)
        _let_all_go(frozen, switch)
    finally:
        os._exit(0)
