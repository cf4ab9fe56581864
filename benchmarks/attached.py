"""Probes for the length of a measurement: attached to one running process, read, taken out.

In: a pid, or none for a process that capture must not see. Out: how many events it delivered.
Frames are read and thrown away here; what decoding costs is `benchmarks.overhead`'s to say.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from probes import frames
from probes.client import ProbeClient
from probes.elf import ElfFile
from probes.events import Counters, LibrarySeen, ProbeEvent, ProbeState, Source
from probes.hooks import FilePlan, Hook, StackPlan
from probes.plan_cache import PlanCache
from probes.private_file import FOLDER_VARIABLE


class Attached:
    """Running probes. A context manager; `events` (plaintext), `actions` (what processes did to
    files, connections and privileges) and `lost` (of all) are known when it was left.

    `follow`: a process to bring into scope; `hook`: files to hook for all. `stack`: what must be
    hooked before the measurement may begin.
    """

    def __init__(
        self,
        *,
        follow: int | None = None,
        hook: tuple[str, ...] = (),
        stack: str | None = None,
        plans: Path | None = None,
    ) -> None:
        self._follow, self._hook, self._stack = follow, hook, stack
        self._plans = plans
        self._splitter = frames.FrameSplitter()
        self._reader: threading.Thread | None = None
        self.events = self.actions = self.lost = 0

    def __enter__(self) -> Attached:
        before = os.environ.get(FOLDER_VARIABLE)
        if self._plans is not None:
            os.environ[FOLDER_VARIABLE] = str(self._plans)
        try:
            self._probe = ProbeClient()
        finally:
            os.environ.pop(FOLDER_VARIABLE, None)
            if before is not None:
                os.environ[FOLDER_VARIABLE] = before
        for path in self._hook:
            self._probe.control("hook", path=path)
        if self._follow is not None:
            self._probe.control("follow", pid=self._follow)
        self._probe.control("ready")
        ready, hooked = False, self._stack is None
        while not (ready and hooked):
            for event in self._read():
                ready = ready or isinstance(event, ProbeState)
                if isinstance(event, LibrarySeen) and event.stack == self._stack:
                    assert event.hooked, event
                    hooked = hooked or self._follow is None or self._follow in event.pids
        self._reader = threading.Thread(target=self._drain)
        self._reader.start()
        return self

    def _read(self) -> list[ProbeEvent]:
        data = self._probe.receive()
        assert data, "the probe process ended"
        events = [frames.decode(frame) for frame in self._splitter.feed(data)]
        for event in events:
            assert not isinstance(event, ProbeState) or event.state != "failed", event
        return events

    def _drain(self) -> None:
        last: Counters | None = None
        while data := self._probe.receive():
            for frame in self._splitter.feed(data):
                if frame[4] == frames.COUNTERS_FRAME:
                    event = frames.decode(frame)
                    assert isinstance(event, Counters)
                    last = event
        assert last is not None
        self.lost = sum(n for name, n in last.values.items() if "lost_events" in name)
        counts = last.values
        self.events = sum(counts[f"{source.name.lower()}.events"] for source in Source)
        self.actions = sum(counts[f"{kind}.events"] for kind in ("file", "network", "privilege"))

    def __exit__(self, *_: object) -> None:
        self._probe.control("stop")
        assert self._reader is not None
        self._reader.join()
        self._probe.close()
        os.waitpid(self._probe.pid, 0)  # the kernel has taken the probes out
        for thread in os.listdir("/proc/self/task"):  # was lowered as a reader's
            os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))


def plans_of_exports(folder: Path, library: str, names: tuple[str, str]) -> Path:
    """A plan cache that has OpenSSL's exports hooked at their first instruction."""
    folder.mkdir(mode=0o700)
    with ElfFile(library) as elf:
        symbols = elf.functions(names)
        build_id = elf.build_id()
    hooks = []
    for name, program in zip(names, ("read_ex_enter", "write_ex_enter"), strict=True):
        hooks.append(Hook(symbols[name].offset, program, at_return=False))
        hooks.append(Hook(symbols[name].offset, "call_return", at_return=True))
    plan = StackPlan("openssl", "symbols", tuple(hooks), "exports, for comparison")
    cache = PlanCache(folder / "hook-plans.json")
    cache.put(library, FilePlan(library, build_id, (plan,)))
    cache.save()
    return folder
