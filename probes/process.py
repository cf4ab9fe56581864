"""The probe process: the only part that holds privileges and loads BCC.

In: control frames on a socket. Out: event frames on the same socket. It copies and never decodes.
When the socket's other end is gone it detaches and ends; when the reader is slow the rings fill
and the kernel counts what it had to drop, so nothing here queues without bound.

Order on the socket is that of the kernel's time: a program's start precedes what it does and its
data, what it does precedes its end, and data of a connection precede its close. Each round forwards
what the rings hold from before the round began; what is later waits for the next.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from probes import frames, libraries, procfs
from probes.errors import UnderglassError
from probes.events import (
    ConnectionKey,
    ConnectionOpened,
    Counters,
    LibraryMapped,
    LibrarySeen,
    PlainData,
    ProbeEvent,
    ProbeState,
    ProcessExecuted,
    ProcessExited,
)
from probes.reader_door import Door
from probes.rings import RingBuffer
from probes.session import (
    DATA_RING_PAGES,
    FILE_DRAIN_BYTES,
    FILE_RING_PAGES,
    LIFECYCLE_DRAIN_BYTES,
    ProbeSession,
)

POLL_MIN_MS = 4  # while data flows: fewer wakeups leave the processor to the agent
POLL_MAX_MS = 16
COUNTERS_EVERY_S = 1.0
SWEEP_EVERY_S = 0.5
PLANS_AT_END_S = 2.0  # what a file holds that was used too briefly to be hooked is still told
SEND_BYTES = 1 << 20
MOST_VIEWS = 1024  # of one sendmsg(2), IOV_MAX
ROUNDS_AT_END = 64  # of draining, should others go on producing
CLAIM_SHARE = 3 / 8  # of a ring in use: the reader is too slow
YIELD_SHARE = 1 / 64
RINGING_COUNTS_S = 2.0


_HEAD_BYTES = 512  # of a frame: enough to say what a connection is


class ReaderGone(Exception):
    """The collector closed its end of the socket."""


class ReaderPriority:
    """Lets the collector run only when no agent wants the processor, unless it falls behind.

    Decoding can wait in the ring; the agent must not wait for decoding. When the ring fills, the
    collector gets an ordinary share until it has caught up, so that nothing is lost for politeness.
    So it does when readers ring at its `door`, until it had time to say that it is asked.
    """

    def __init__(self, pid: int, door: Door | None = None) -> None:
        self.door = door
        self._pid = pid
        self._polite = False
        self._claimed = False
        self._rung_at = float("-inf")
        self._set(polite=True)

    def _set(self, *, polite: bool) -> None:
        policy = os.SCHED_IDLE if polite else os.SCHED_OTHER
        try:
            for thread in os.listdir(f"/proc/{self._pid}/task"):
                os.sched_setscheduler(int(thread), policy, os.sched_param(0))
        except OSError:
            pass  # it is gone, or this kernel or container forbids it: then it stays as it is
        self._polite = polite

    def hurry(self) -> None:
        """For good: the capture ends, and somebody waits for the rest."""
        self.claim(on=True)

    def claim(self, *, on: bool) -> None:
        """Somebody else waits for the reader, whatever the rings hold; or no longer."""
        self._claimed = on
        self._set(polite=not on)

    def adapt(self, rings: Iterable[RingBuffer]) -> None:
        """Look at how full the fullest ring is and change the policy when it is time."""
        share = max(ring.used_bytes / ring.size_bytes for ring in rings)
        now = time.monotonic()
        if self.door is not None and self.door.rung():
            self._rung_at = now
        awaited = self._claimed or now - self._rung_at < RINGING_COUNTS_S
        if self._polite and (awaited or share > CLAIM_SHARE):
            self._set(polite=False)
        elif not self._polite and not awaited and share < YIELD_SHARE:
            self._set(polite=True)


def _merged(data: Sequence[memoryview], others: deque[bytes]) -> list[bytes | memoryview]:
    """Frames of all rings by the kernel's time; others later than all data stay."""
    merged: list[bytes | memoryview] = []
    for view in data:
        while others and _time(others[0]) < _time(view):
            merged.append(others.popleft())
        merged.append(view)
    return merged


def _time(frame: bytes | memoryview) -> int:
    return int.from_bytes(frame[8:16], "little")


def peer_pid(connection: socket.socket) -> int:
    """The process at the other end of a Unix socket, as it was when the pair was made."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], sys.byteorder)


class ProbeProcess:
    """Drains the rings to the socket and obeys control frames."""

    def __init__(self, connection: socket.socket, session: ProbeSession) -> None:
        self._socket = connection
        self._session = session
        self._splitter = frames.FrameSplitter()
        self._dead: set[int] = set()
        self._stopping = False
        self._next_counters = 0.0
        self._next_sweep = 0.0
        self._reader: ReaderPriority | None = None
        self._door: Door | None = None

    # Sending

    def _send_views(self, views: Collection[bytes | memoryview]) -> None:
        if len(views) > MOST_VIEWS:
            parts = list(views)
            for at in range(0, len(parts), MOST_VIEWS):
                self._send_views(parts[at : at + MOST_VIEWS])
            return
        total = sum(map(len, views))
        if not total:
            return
        try:
            sent = self._send_some(views)
            if sent < total:
                rest = memoryview(b"".join(views))
                while sent < total:
                    self._wait_for_reader()
                    sent += self._send_some([rest[sent:]])
        except OSError as error:
            raise ReaderGone from error

    def _send_some(self, views: Collection[bytes | memoryview]) -> int:
        """How many bytes the socket took. Raises OSError."""
        try:
            return self._socket.sendmsg(views, (), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def _wait_for_reader(self) -> None:
        """Until the socket takes more; the rings fill meanwhile."""
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        while not poll.poll(POLL_MAX_MS):
            if self._reader is not None:
                self._reader.adapt(self._session.rings)

    def send(self, *events: frames.OwnEvent) -> None:
        """Send events of the probe process's own. Raises ReaderGone."""
        for event in events:
            self._send_views([frames.encode(event)])

    def _state(self, state: str, message: str = "", hint: str | None = None) -> ProbeState:
        return ProbeState(time.monotonic_ns(), state, message, hint, self._session.attached)

    # Draining

    def _drain_data(self, others: deque[bytes], before_ns: int) -> int:
        """Forward the data ring, with the other rings' frames in between where they belong."""
        ring, until, moved = self._session.data_ring, self._session.data_ring.produced(), 0
        while True:
            views, position = ring.frames(until, SEND_BYTES, before_ns)
            if views:
                on_trial = self._session.attachments.trials
                heard = self._hear(views) if on_trial else []
                self._send_views(_merged(views, others) if others else views)
                self.send(*heard)
                moved += len(views)
            ring.release(position)
            if not views:
                return moved

    def _hear(self, views: Sequence[memoryview]) -> list[LibrarySeen]:
        """While hooks are on trial: look at how connections begin."""
        seen: list[LibrarySeen] = []
        trials = self._session.attachments.trials
        for view in views:
            kind = view[4]
            if kind == frames.CONNECTION_OPENED or (kind == frames.PLAIN_DATA and trials.waiting):
                event = frames.decode(bytes(view[:_HEAD_BYTES]))
                if isinstance(event, ConnectionOpened):
                    self._session.opened(event)
                elif isinstance(event, PlainData):
                    seen += self._session.first_bytes(event)
        return seen

    def drain(self) -> int:
        """Forward all that the rings hold; returns the number of frames. Raises ReaderGone."""
        session, before_ns = self._session, time.monotonic_ns()
        copies, before_ns = session.lifecycle_ring.take(LIFECYCLE_DRAIN_BYTES, before_ns)
        actions, before_ns = session.file_ring.take(FILE_DRAIN_BYTES, before_ns)
        if any(frame[4] == frames.PROCESS_EXITED for frame in copies):
            self._tell_traffic()  # of a process precedes its end
        told = [frame for frame in copies if frame[4] != frames.LIBRARY_MAPPED]
        rest = deque(sorted(told + actions, key=_time) if actions else told)
        moved = self._drain_data(rest, before_ns) + len(copies) + len(actions)
        self._send_views(rest)
        self._react([frames.decode(frame) for frame in copies])
        return moved

    def _react(self, events: list[ProbeEvent]) -> None:
        """New programs and libraries may need hooks; a dead process's connections are closed."""
        suspects: dict[int, None] = {}
        mapped = [event for event in events if isinstance(event, LibraryMapped)]
        for event in events:
            if isinstance(event, ProcessExecuted | LibraryMapped):
                suspects[event.pid] = None
            elif isinstance(event, ProcessExited):
                suspects.pop(event.pid, None)
                self._dead.add(event.pid)
        for pid in suspects:
            self.send(*self._session.hook_process(pid))
        for event in mapped:
            self.send(*self._session.mapped(event))
        for pid in self._dead:
            self._session.forget(pid)

    def _sweep(self) -> None:
        """Close what dead processes left open."""
        dead, self._dead = self._dead, set()
        if dead:
            self._send_views(self._session.tables.sweep(dead))

    def _tell_traffic(self) -> None:
        changed, renewed = self._session.listen()
        self.send(*changed, *renewed)

    def _tell_counters(self) -> None:
        self._tell_traffic()
        self.send(Counters(time.monotonic_ns(), self._session.tables.counters()))

    # Control

    def _bring_in(self, pids: Iterable[int]) -> None:
        for pid in pids:
            seen = procfs.seen(pid)
            if seen is not None and seen.argv:  # kernel threads have none
                self.send(seen)
                self.send(*self._session.hook_process(pid))

    def _obey(self, message: dict[str, Any]) -> None:
        operation = message["operation"]
        session = self._session
        if operation == "follow_held":  # has not executed its program; nothing to tell of it yet
            session.follow(int(message["pid"]))
        elif operation == "follow":
            self._bring_in(session.follow_tree(int(message["pid"])))
        elif operation == "follow_name":
            session.follow_name(message["name"])
            for pid in procfs.named(message["name"]):
                self._bring_in(session.follow_tree(pid))
        elif operation == "follow_all":
            excluded = [int(pid) for pid in message["excluded"]]
            session.follow_all(excluded)
            out = {*excluded, os.getpid(), *session.left_out}
            self._bring_in(pid for pid in procfs.pids() if pid not in out)
        elif operation == "leave_out":
            watched = session.leave_out(message["watcher"], message["own"], message["roots"])
            self.drain()  # what is from before is told before
            told = {"watcher": message["watcher"], "pids": watched}
            self.send(self._state("left_out", json.dumps(told)))
        elif operation == "take_back":
            self._bring_in(session.take_back(int(message["watcher"])))
        elif operation == "hook":
            self.send(*session.hook_file(message["path"]))
        elif operation == "sensitive":
            session.mark_sensitive(message["files"], message["directories"])
        elif operation == "freeze_unknown":
            session.freeze_unknown()
        elif operation == "ignore":
            session.ignore(ConnectionKey(*message["connection"]))
        elif operation == "ready":
            session.wait_loaded()
            self.send(self._state("ready"))
            if message.get("polite", True) and self._reader is None:
                self._reader = ReaderPriority(peer_pid(self._socket), self._door)
        elif operation == "door":
            self._watch_door(int(message["fd"]))
        elif operation == "claim":
            if self._reader is not None and not self._stopping:
                self._reader.claim(on=bool(message["on"]))
        elif operation == "stop":
            self._stopping = True
            if self._reader is not None:
                self._reader.hurry()

    def _watch_door(self, descriptor: int) -> None:
        """Look from now on who waits at a socket that the collector listens on."""
        try:
            self._door = Door(peer_pid(self._socket), descriptor)
        except OSError:
            return  # this kernel or container forbids it: the first query of a reader takes longer
        if self._reader is not None:
            self._reader.door = self._door

    def leave_door(self) -> None:
        """Hold the collector's socket no longer, so that it is gone with the collector."""
        if self._door is not None:
            self._door.close()
            self._door = None

    def _read_control(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ReaderGone
        for frame in self._splitter.feed(data):
            self._obey(frames.control_payload(frame))

    # Running

    def run(self) -> None:
        """Serve until told to stop or the reader is gone."""
        for path in libraries.installed():
            self.send(*self._session.hook_file(path))
        wait_ms = POLL_MIN_MS
        while not self._stopping:
            self._wait(wait_ms)
            if self._reader is not None:
                self._reader.adapt(self._session.rings)
            wait_ms = POLL_MIN_MS if self.drain() else min(wait_ms * 2, POLL_MAX_MS)
            now = time.monotonic()
            if now >= self._next_sweep:
                self._next_sweep = now + SWEEP_EVERY_S
                self._sweep()
            if now >= self._next_counters:
                self._next_counters = now + COUNTERS_EVERY_S
                self._tell_counters()
        for _ in range(ROUNDS_AT_END):
            if not self.drain() and not any(ring.used_bytes for ring in self._session.rings):
                break
        for library in self._session.finish_plans(PLANS_AT_END_S):
            self.send(library)
        self._sweep()
        self._send_views(self._session.tables.open_connections())
        self._tell_counters()
        self.send(self._state("detached"))

    def _wait(self, most_ms: int) -> None:
        """Until there is something to do; obeys control frames and takes answers of children."""
        poll = select.poll()
        for descriptor in (
            self._socket.fileno(),
            self._session.lifecycle_descriptor,
            *self._session.plans.descriptors,
        ):
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll(most_ms):
            if descriptor == self._socket.fileno():
                self._read_control()
            elif descriptor != self._session.lifecycle_descriptor:
                self.send(*self._session.finish_plan(descriptor))


def main(argv: Sequence[str] = sys.argv[1:]) -> int:
    """`probes.process SOCKET_FD [DATA_RING_PAGES FILE_RING_PAGES]`: run on an inherited socket."""
    connection = socket.socket(fileno=int(argv[0]))
    data_pages, file_pages = map(int, argv[1:] or (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        session = ProbeSession(
            data_ring_pages=data_pages or DATA_RING_PAGES,
            file_ring_pages=file_pages or FILE_RING_PAGES,
        )
        try:
            process = ProbeProcess(connection, session)
            try:
                process.run()
            finally:
                process.leave_door()
        finally:
            session.close()
    except ReaderGone:
        return 0
    except (UnderglassError, OSError) as error:
        hint = error.hint if isinstance(error, UnderglassError) else None
        state = ProbeState(time.monotonic_ns(), "failed", str(error), hint, 0)
        try:
            connection.sendall(frames.encode(state))
        except OSError:
            pass
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
