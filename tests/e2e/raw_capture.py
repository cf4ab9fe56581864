"""What the probes deliver, before anything is decoded: bytes by connection and direction.

In: a command, run under real probes. Out: its connections, halves joined, to compare with the
stand-in's own account of each connection, whatever protocol they speak.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from probes import frames
from probes.client import ProbeClient
from probes.events import (
    ChannelEnd,
    ConnectionKey,
    Counters,
    Direction,
    HalfJoined,
    LibrarySeen,
    PlainData,
    ProbeEvent,
    ProbeState,
    ProcessExited,
    Source,
    TlsHello,
)

_HOLD = "import os, sys; sys.stdin.buffer.read(1); os.execvp(sys.argv[1], sys.argv[1:])"


@dataclass
class RawConnection:
    """One connection as captured. `gaps`: bytes that are known to be missing."""

    source: Source
    directions: list[bytearray] = field(default_factory=lambda: [bytearray(), bytearray()])
    gaps: int = 0

    @property
    def read(self) -> bytes:
        return bytes(self.directions[Direction.READ])

    @property
    def written(self) -> bytes:
        return bytes(self.directions[Direction.WRITE])

    @property
    def digests(self) -> tuple[str, str]:
        """SHA-256 of (written, read): what the server received and sent."""
        return sha256(self.written).hexdigest(), sha256(self.read).hexdigest()


@dataclass
class RawCapture:
    """Everything that one run under probes delivered."""

    pid: int
    exit_code: int
    stdout: bytes
    stderr: bytes
    connections: dict[ConnectionKey, RawConnection]
    events: list[ProbeEvent]

    @property
    def libraries(self) -> list[LibrarySeen]:
        return [event for event in self.events if isinstance(event, LibrarySeen)]

    @property
    def hellos(self) -> list[TlsHello]:
        return [event for event in self.events if isinstance(event, TlsHello)]

    @property
    def channel_ends(self) -> list[ChannelEnd]:
        return [event for event in self.events if isinstance(event, ChannelEnd)]

    @property
    def counters(self) -> dict[str, int]:
        return [event for event in self.events if isinstance(event, Counters)][-1].values

    def of(self, source: Source) -> list[RawConnection]:
        return [one for one in self.connections.values() if one.source == source]


class RawProbe:
    """A probe process that watches one command after another. A context manager."""

    def __init__(
        self,
        *,
        freeze: bool = False,
        hook: Sequence[str | Path] = (),
        file_ring_pages: int | None = None,
    ) -> None:
        self._probe = ProbeClient(file_ring_pages=file_ring_pages)
        self._splitter = frames.FrameSplitter()
        if freeze:
            self._probe.control("freeze_unknown")
        for path in hook:
            self._probe.control("hook", path=os.path.realpath(path))
        self._probe.control("ready", polite=False)
        self._until(lambda event: isinstance(event, ProbeState), [])

    def __enter__(self) -> RawProbe:
        return self

    def __exit__(self, *_: object) -> None:
        self._probe.close()

    @property
    def pid(self) -> int:
        return self._probe.pid

    def has_ended(self) -> bool:
        """Is the probe process gone? A zombie is."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except FileNotFoundError:
            return True
        return stat.rpartition(")")[2].split()[0] == "Z"

    def control(self, operation: str, **arguments: object) -> None:
        self._probe.control(operation, **arguments)

    def _until(
        self, last: Callable[[ProbeEvent], bool], events: list[ProbeEvent], timeout_s: float = 60
    ) -> list[ProbeEvent]:
        """Events up to the one wanted; those after it in the same read are there too."""
        deadline = time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(self._probe.socket, select.POLLIN)
        found = False
        while not found:
            assert time.monotonic() < deadline, "what was waited for never came"
            if not poll.poll(200):
                continue
            data = self._probe.receive()
            assert data, "the probe process ended"
            for frame in self._splitter.feed(data):
                event = frames.decode(frame)
                assert not isinstance(event, ProbeState) or event.state != "failed", event
                found = last(event) or found
                events.append(event)
        return events

    def events_until(self, last: Callable[[ProbeEvent], bool]) -> list[ProbeEvent]:
        return self._until(last, [])

    def until_exit_of(self, pid: int, timeout_s: float = 60) -> RawCapture:
        """What a process that was brought in by `follow` has delivered, once it has ended."""
        events = self._until(_exit_of(pid), [], timeout_s)
        self._until(lambda event: isinstance(event, Counters), events)
        return RawCapture(pid, 0, b"", b"", _connections(events), events)

    def watch(
        self,
        command: Sequence[str | Path],
        environment: dict[str, str],
        *,
        cwd: Path,
        timeout_s: float = 60,
    ) -> RawCapture:
        """Run a command, with its program hooked before it starts, until its end was reported."""
        self._probe.control("hook", path=os.path.realpath(command[0]))
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = subprocess.Popen(
                [sys.executable, "-I", "-c", _HOLD, *map(str, command)],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                env=environment,
                cwd=cwd,
            )
            assert process.stdin is not None
            self._probe.control("follow_held", pid=process.pid)
            self._probe.control("ready", polite=False)
            events = self._until(lambda event: isinstance(event, ProbeState), [])
            with process.stdin as hold:
                hold.write(b"g")
            self._until(_exit_of(process.pid), events, timeout_s)
            # What a process leaves open is closed, and counted, after its end was told.
            self._until(lambda event: isinstance(event, Counters), events)
            code = process.wait()
            out.seek(0)
            err.seek(0)
            return RawCapture(
                process.pid, code, out.read(), err.read(), _connections(events), events
            )


def _exit_of(pid: int) -> Callable[[ProbeEvent], bool]:
    return lambda event: isinstance(event, ProcessExited) and event.pid == pid


def _connections(events: list[ProbeEvent]) -> dict[ConnectionKey, RawConnection]:
    sockets = {
        event.connection: ConnectionKey(
            event.connection.tgid, event.connection.start_ns, event.socket, 0
        )
        for event in events
        if isinstance(event, HalfJoined)
    }
    found: dict[ConnectionKey, RawConnection] = {}
    positions: dict[tuple[ConnectionKey, int], int] = {}
    for event in events:
        if not isinstance(event, PlainData):
            continue
        key = sockets.get(event.connection, event.connection)
        connection = found.setdefault(key, RawConnection(event.source))
        at = positions.get((event.connection, event.direction), 0)
        connection.gaps += event.position - at
        positions[event.connection, event.direction] = event.position + len(event.data)
        connection.directions[event.direction] += event.data
    return found
