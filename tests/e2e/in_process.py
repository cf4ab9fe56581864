"""A probe session in the test's own process, where its parts can be looked at and broken."""

from __future__ import annotations

import gc
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from probes import frames
from probes.events import LibrarySeen, ProbeEvent
from probes.process import ProbeProcess
from probes.session import ProbeSession

RING_PAGES = 1024  # 4 MiB


class Bench:
    """A session whose rings are read when the test says so."""

    def __init__(self, session: ProbeSession) -> None:
        self.session = session
        self._left, self._right = socket.socketpair()
        self.process = ProbeProcess(self._left, session)

    def data(self) -> list[ProbeEvent]:
        """What the data ring holds, taken out of it."""
        ring, found = self.session.data_ring, list[ProbeEvent]()
        until = ring.produced()
        while True:
            views, position = ring.frames(until, 1 << 20)
            found += [frames.decode(bytes(view)) for view in views]
            del views
            ring.release(position)
            if position >= until:
                return found

    def hear(self) -> list[LibrarySeen]:
        """Judge hooks on trial by what the data ring holds; the verdicts."""
        ring, said = self.session.data_ring, list[LibrarySeen]()
        until = ring.produced()
        while True:
            views, position = ring.frames(until, 1 << 20)
            said += self.process._hear(views)
            del views
            ring.release(position)
            if position >= until:
                return said

    def close(self) -> None:
        self._left.close()
        self._right.close()


def _descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
    return found


@contextmanager
def session_here() -> Iterator[Bench]:
    """A session that is taken apart at the end; in production the process ends instead."""
    before, others = _descriptors(), set(threading.enumerate())
    bench = Bench(ProbeSession(data_ring_pages=RING_PAGES))
    for thread in set(threading.enumerate()) - others:
        thread.join()  # it loads programs ahead of their use
    try:
        yield bench
    finally:
        bench.session.close()
        bench.close()
        opened = {fd: target for fd, target in _descriptors().items() if before.get(fd) != target}
        ours = [fd for fd, target in opened.items() if "bpf" in target or "perf_event" in target]
        with ThreadPoolExecutor(len(ours) or 1) as pool:  # the kernel waits at each
            list(pool.map(os.close, ours))
        del bench
        gc.collect()  # the rings' mappings hold the maps
