"""One capture from start to end: what `run`, `attach`, `record` and `demo` share.

In: targets. Out: rows in a store, or a recording, and a `Summary`. The order matters: the probe
process starts first (it compiles while the rest is imported), the command is forked before any
thread exists, privileges go, the store opens, and only then may the command begin.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from probes.client import ProbeClient
from probes.errors import UnderglassError
from underglass import __version__, privileges
from underglass.launch import HeldCommand
from underglass.paths import Invoker, fingerprint_salt, invoker, make_private

UNWRITTEN_BATCHES = 120
_SHEBANG_BYTES = 256


@dataclass(frozen=True, slots=True)
class Watch:
    """What to watch and what to keep of it."""

    description: str
    store: Path | None
    content: bool = True
    recording: Path | None = None
    command: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    everything: bool = False
    seconds: float | None = None


@dataclass(slots=True)
class Summary:
    """Totals of one capture. `cost_usd` sums the priced calls."""

    exit_code: int = 0
    calls: int = 0
    errors: int = 0
    incomplete: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    unknown_usage: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    tool_calls: int = 0
    programs: int = 0
    lost_bytes: int = 0
    lost_events: int = 0
    unwritten_rows: int = 0
    probe_died: bool = False
    warnings: list[str] = field(default_factory=list)

    def add(self, batch: object) -> None:
        """Count what a batch tells for the last time."""
        from collector.rows import Batch

        assert isinstance(batch, Batch)
        for call in batch.calls:
            if call.status == "running":
                continue
            self.calls += 1
            self.errors += call.status == "error"
            self.incomplete += call.status == "incomplete"
            self.tool_calls += call.tool_call_count
            if call.input_tokens is None and call.status == "ok":
                self.unknown_usage += 1
            self.input_tokens += call.input_tokens or 0
            self.output_tokens += call.output_tokens or 0
            self.cost_usd += call.cost_usd or 0.0
            self.unpriced += call.cost_source == "unpriced"
        self.programs += sum(bool(row.argv and row.ended_ns) for row in batch.processes)
        kernel = [row for row in batch.health if row.source in ("openssl", "process")]
        if kernel:
            self.lost_bytes = sum(
                row.value for row in kernel if row.counter in ("lost_bytes", "truncated_bytes")
            )
            self.lost_events = sum(row.value for row in kernel if row.counter == "lost_events")


class _Writer:
    """Writes batches; keeps those that the store refused for a while and tries them again."""

    def __init__(self, write: Callable[[object], None], summary: Summary) -> None:
        self._write = write
        self._summary = summary
        self._unwritten: list[object] = []

    def __call__(self, batch: object) -> None:
        from collector.store_errors import StoreWriteFailed

        self._summary.add(batch)
        self._unwritten.append(batch)
        while self._unwritten:
            try:
                self._write(self._unwritten[0])
            except StoreWriteFailed as error:
                self._complain(error)
                break
            del self._unwritten[0]
        while len(self._unwritten) > UNWRITTEN_BATCHES:
            self._summary.unwritten_rows += _size(self._unwritten.pop(0))

    def _complain(self, error: object) -> None:
        text = f"{error}"
        if text not in self._summary.warnings:
            self._summary.warnings.append(text)
            print(f"underglass: {text}", file=sys.stderr)

    def close(self) -> None:
        """Count what could never be written."""
        self._summary.unwritten_rows += sum(map(_size, self._unwritten))


def _size(batch: object) -> int:
    return sum(len(getattr(batch, name)) for name in getattr(batch, "__slots__", ()))


def programs_of(command: Sequence[str]) -> list[str]:
    """Files that a command will execute: its own, and the interpreters that it names."""
    found: list[str] = []
    name = command[0] if command else None
    while name and len(found) < 5:
        path = shutil.which(name)
        if path is None:
            break
        path = os.path.realpath(path)
        if path in found:
            break
        found.append(path)
        try:
            with open(path, "rb") as file:
                first = file.read(_SHEBANG_BYTES).split(b"\n", 1)[0]
        except OSError:
            break
        if not first.startswith(b"#!"):
            break
        words = first[2:].decode("utf-8", "replace").split()
        if words and os.path.basename(words[0]) == "env":
            words = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
        name = words[0] if words else None
    return found


def _ring_pages() -> int | None:
    """Size of the kernel's plaintext buffer, from `UNDERGLASS_RING_KIB`: a power of two."""
    given = os.environ.get("UNDERGLASS_RING_KIB")
    if given is None:
        return None
    pages = int(given) * 1024 // os.sysconf("SC_PAGESIZE") if given.isdigit() else 0
    if pages < 1 or pages & (pages - 1):
        raise UnderglassError(
            f"UNDERGLASS_RING_KIB={given} is not a power of two of at least one page",
            hint="UNDERGLASS_RING_KIB=65536",
            exit_code=2,
        )
    return pages


def watch(what: Watch) -> Summary:
    """Capture until the command ends, the time is over or Ctrl-C. Raises UnderglassError."""
    who = invoker()
    with ProbeClient(data_ring_pages=_ring_pages()) as probe:
        held = HeldCommand(what.command, who) if what.command else None
        try:
            return _capture(what, who, probe, held)
        finally:
            if held is not None:
                held.give_up()


def _capture(what: Watch, who: Invoker, probe: ProbeClient, held: HeldCommand | None) -> Summary:
    salt = fingerprint_salt()
    if what.store is not None:
        make_private(what.store.parent)
    privileges.drop(who)
    _request_targets(what, probe, held)

    from collector.capture import LiveCapture
    from collector.capture_info import observe
    from collector.pipeline import Pipeline
    from collector.recording import RecordingWriter
    from collector.redaction import Redactor
    from collector.store import Store

    info = observe(what.description, __version__)
    redactor = Redactor(salt)
    summary = Summary()
    store = Store.open(what.store, content=what.content) if what.store is not None else None
    recording = RecordingWriter(what.recording, info) if what.recording is not None else None
    try:
        pipeline = None
        if store is not None:
            pipeline = Pipeline(
                info, redactor.redact_text, content=what.content, ignore=probe.ignore
            )
        writer = _Writer(store.write if store is not None else lambda batch: None, summary)  # type: ignore[arg-type]
        capture = LiveCapture(probe, redactor, pipeline, writer, recording)
        capture.wait_ready()
        if held is not None:
            held.release()
        _pump(capture, held, what.seconds)
        capture.stop()
        writer.close()
        summary.probe_died = capture.probe_died
        summary.exit_code = held.exit_code or 0 if held is not None else 0
    finally:
        if store is not None:
            store.close()
    return summary


def _request_targets(what: Watch, probe: ProbeClient, held: HeldCommand | None) -> None:
    if held is not None:
        for path in programs_of(held.command):
            probe.control("hook", path=path)
        probe.control("follow_held", pid=held.pid)
    for pid in what.pids:
        probe.control("follow", pid=pid)
    for name in what.names:
        probe.control("follow_name", name=name)
    if what.everything:
        probe.control("follow_all", excluded=[os.getpid(), probe.pid])


def _pump(capture: object, held: HeldCommand | None, seconds: float | None) -> None:
    from collector.capture import LiveCapture

    assert isinstance(capture, LiveCapture)
    deadline = None if seconds is None else time.monotonic() + seconds
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    if held is None:
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
    wake = os.pidfd_open(held.pid) if held is not None else None
    try:
        while not capture.ended and not stopping:
            if held is not None and held.poll() is not None:
                return
            if deadline is not None and time.monotonic() >= deadline:
                return
            capture.pump(timeout_s=0.25, wake=wake)
        while held is not None and held.poll() is None:  # the probes are gone; the agent is not
            time.sleep(0.05)
    finally:
        if wake is not None:
            os.close(wake)


def print_summary(summary: Summary, where: str) -> None:
    """A few lines on standard error."""
    parts = [f"{summary.calls} LLM calls"]
    if summary.errors:
        parts.append(f"{summary.errors} failed")
    if summary.incomplete:
        parts.append(f"{summary.incomplete} incomplete")
    parts.append(f"{summary.input_tokens:,} tokens in, {summary.output_tokens:,} out")
    cost = f"${summary.cost_usd:.4f}"
    if summary.unpriced:
        cost += f" ({summary.unpriced} calls unpriced)"
    parts += [cost, f"{summary.tool_calls} tool calls", f"{summary.programs} programs run"]
    parts.append(f"{summary.lost_bytes:,} bytes lost")
    lines = [", ".join(parts)]
    if summary.lost_events:
        lines.append(f"{summary.lost_events} events lost; see: underglass health")
    if summary.unwritten_rows:
        lines.append(f"{summary.unwritten_rows} rows could not be written to the store")
    if summary.probe_died:
        lines.append("the probe process ended early; what followed was not seen")
    lines.append(where)
    for line in lines:
        print(f"underglass: {line}", file=sys.stderr)
