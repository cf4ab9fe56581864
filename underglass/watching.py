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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from probes.client import ProbeClient
from probes.errors import UnderglassError
from underglass import __version__, privileges
from underglass.config import Configuration
from underglass.keeping import Keeping, complain
from underglass.launch import HeldCommand
from underglass.limits import runaway_limits
from underglass.packages import packaged_programs
from underglass.paths import Invoker, fingerprint_salt, invoker, make_private, state_directory
from underglass.peers import Peers
from underglass.prices import price_file, price_overrides
from underglass.summary import Summary

if TYPE_CHECKING:
    from collector.capture import LiveCapture
    from collector.capture_scope import CaptureScope
    from collector.raw_data import RawData
    from underglass.on_finding import OnFinding
    from underglass.serving import Serving

_SHEBANG_BYTES = 256


@dataclass(frozen=True, slots=True)
class Watch:
    """What to watch and what to keep of it."""

    description: str
    store: Path | None
    content: bool = True
    recording: Path | None = None
    prices: Path | None = None  # as the option says; None: see `underglass.prices`
    raw_limit_bytes: int | None = None  # of raw data to keep beside the store; None: none
    command: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    everything: bool = False
    but: tuple[int, ...] = ()  # processes that `everything` leaves out
    freeze: bool = False
    seconds: float | None = None
    alerts: Path | None = None  # where findings go as JSON lines when they are found; `-`: stderr
    on_finding: OnFinding | None = None  # whom else to tell of findings
    greeting: str | None = None  # said once everything is seen
    serving: Serving | None = None  # when others read while it goes on


def programs_of(command: Sequence[str]) -> list[str]:
    """Files that a command will execute: its own, the interpreters that it names, and the large
    executables of the npm package that a script belongs to."""
    found: list[str] = []
    packaged: list[str] = []
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
        packaged += packaged_programs(path)
        words = first[2:].decode("utf-8", "replace").split()
        if words and os.path.basename(words[0]) == "env":
            words = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
        name = words[0] if words else None
    return list(dict.fromkeys([*found, *packaged]))


def _ring_pages() -> int | None:
    """Size of the kernel's plaintext buffer, as `capture.ring_kib` says: a power of two."""
    found = Configuration()["capture.ring_kib"]
    if found.value is None:
        return None
    pages: int = found.value * 1024 // os.sysconf("SC_PAGESIZE")
    if pages < 1 or pages & (pages - 1):
        raise UnderglassError(
            f"{found.where}: capture.ring_kib = {found.value} is not a power of two of at least one"
            " page",
            hint="ring_kib = 65536, or UNDERGLASS_RING_KIB=65536",
            exit_code=2,
        )
    return pages


def watch(what: Watch) -> Summary:
    """Capture until the command ends, the time is over or Ctrl-C. Raises UnderglassError."""
    who = what.serving.who if what.serving is not None else invoker()
    with ProbeClient(data_ring_pages=_ring_pages()) as probe:
        held = HeldCommand(what.command, who) if what.command else None
        try:
            return _capture(what, who, probe, held)
        finally:
            if held is not None:
                held.give_up()


def _capture(what: Watch, who: Invoker, probe: ProbeClient, held: HeldCommand | None) -> Summary:
    serving = what.serving
    state = state_directory()  # while it is still known whose
    prices, limits = price_file(what.prices), runaway_limits()
    privileges.drop(who, groups=serving.groups if serving is not None else ())
    if serving is not None:
        serving.check_code()
        state = serving.state or state
    salt = fingerprint_salt(state)
    if what.store is not None:
        make_private(what.store.parent)
    _prepare(what, probe, held)

    from collector.capture import LiveCapture
    from collector.capture_info import observe
    from collector.decoding import tell_decoder
    from collector.pipeline import Pipeline
    from collector.raw_data import RawData
    from collector.recording import RecordingWriter
    from collector.redaction import Redactor
    from collector.rows import Batch

    overrides = price_overrides(prices)
    info = observe(what.description, __version__)
    keeps_frames = what.recording is not None or what.raw_limit_bytes is not None
    redactor = Redactor(salt, bodies=keeps_frames)
    summary = Summary()
    recording: RecordingWriter | None = None
    raw: RawData | None = None
    peers = Peers(probe)
    keeping: Keeping | None = None
    if what.store is not None:
        keeping = Keeping(
            what.store,
            content=what.content,
            scope=_scope(what, probe, held),
            peers=peers,
            limits=limits,
            alerts=what.alerts,
            on_finding=what.on_finding,
            place=serving.place if serving is not None else None,
            joins=serving is None,
        )
    try:
        if keeping is not None and serving is not None:
            keeping.answer_queries()
        if what.recording is not None:
            recording = RecordingWriter(what.recording, info)
        if what.store is not None and what.raw_limit_bytes is not None:
            raw = RawData(what.store, info, what.raw_limit_bytes)
        pipeline = None
        if keeping is not None:
            pipeline = Pipeline(
                info,
                redactor.redact_text,
                content=keeping.content,
                overrides=overrides,
                ignore=probe.ignore,
                header_value=redactor.header_value,
                fingerprinter=redactor.fingerprinter,
                redact_growing=redactor.redact_growing,
            )

        def write(batch: Batch) -> None:
            tell_decoder(batch, __version__)
            if raw is not None:
                raw.tell(batch)
            summary.add(batch)
            if keeping is not None:
                keeping.write(batch)

        capture = LiveCapture(probe, redactor, pipeline, write, recording, raw, peers.told)
        _follow(what, probe)
        capture.wait_ready()
        if what.greeting is not None:
            print(f"underglass: {what.greeting}", file=sys.stderr, flush=True)
        if held is not None:
            held.release()
        if keeping is not None and serving is not None:
            keeping.wait_until_answering()
            serving.progress.ready()
        _pump(capture, held, what.seconds, serving)
        if serving is not None:
            serving.progress.stopping()
        capture.stop()
        if keeping is not None:
            summary.dropped_rows = keeping.finish()
        if capture.recording_failure is not None:
            complain(capture.recording_failure)
            summary.recording_failed = True
        if raw is not None:
            _tell_raw(raw)
        if redactor.blanked_bytes:
            print(
                f"underglass: {redactor.blanked_bytes:,} bytes of HTTP/2 and WebSockets were"
                " blanked in the recording, as credentials in them could not be told or masked",
                file=sys.stderr,
            )
        summary.probe_died = capture.probe_died
        summary.exit_code = held.exit_code or 0 if held is not None else 0
    finally:
        if keeping is not None:
            keeping.close()
    return summary


def _prepare(what: Watch, probe: ProbeClient, held: HeldCommand | None) -> None:
    """Ask for what takes the probe process time and no other capture can mind."""
    from collector.sensitive import kernel_names

    if what.freeze:
        probe.control("freeze_unknown")
    files, directories = kernel_names()
    probe.control("sensitive", files=files, directories=directories)
    if held is not None:
        for path in programs_of(held.command):
            probe.control("hook", path=path)
        probe.control("follow_held", pid=held.pid)


def _follow(what: Watch, probe: ProbeClient) -> None:
    """Bring into scope what runs already, now that it is known what others watch."""
    for pid in what.pids:
        probe.control("follow", pid=pid)
    for name in what.names:
        probe.control("follow_name", name=name)
    if what.everything:
        probe.control("follow_all", excluded=[os.getpid(), probe.pid, *what.but])


def _scope(what: Watch, probe: ProbeClient, held: HeldCommand | None) -> CaptureScope:
    """What this capture watches, for the others of its store."""
    from collector.capture_scope import CaptureScope

    return CaptureScope(
        pid=os.getpid(),
        probe=probe.pid,
        command=f"underglass {what.description}",
        pids=what.pids if held is None else (held.pid,),
        names=what.names,
        everything=what.everything,
        held=held is not None,
    )


def _tell_raw(raw: RawData) -> None:
    size_kb = raw.path.stat().st_size / 1024
    print(f"underglass: kept {size_kb:,.0f} KiB of raw data in {raw.path}", file=sys.stderr)
    if raw.failure is not None:
        print("underglass: the raw data is not whole", file=sys.stderr)
        complain(raw.failure)


def _pump(
    capture: LiveCapture,
    held: HeldCommand | None,
    seconds: float | None,
    serving: Serving | None,
) -> None:
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
            if serving is not None:
                if serving.abandoned:
                    return
                serving.progress.alive()
            capture.pump(timeout_s=0.25, wake=wake)
        while held is not None and held.poll() is None:  # the probes are gone; the agent is not
            time.sleep(0.05)
    finally:
        if wake is not None:
            os.close(wake)
