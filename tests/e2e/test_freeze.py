"""Stopping unknown programs until they are hooked: opt-in, exact, short, and never for good."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from probes import procfs
from probes.events import ProbeState, ProcessExecuted, Source
from probes.plan_cache import FILE_NAME as PLANS
from probes.private_file import cache_folder
from probes.program_image import FILE_NAME
from tests.e2e.conftest import wait_for
from tests.e2e.raw_capture import RawCapture, RawProbe
from tests.e2e.test_stacks import BODY, body_file, javascript, npm
from underglass.demo.standin import StandIn

pytestmark = [pytest.mark.privileged, pytest.mark.alone]
Start = Callable[..., StandIn]

# Starts a program as a shell does, and tells when it was woken (CLOCK_MONOTONIC, nanoseconds).
_SHELL = """
import json, os, sys, time
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
woken = []
while True:
    _, status = os.waitpid(pid, os.WUNTRACED | os.WCONTINUED)
    if os.WIFCONTINUED(status):
        woken.append(time.monotonic_ns())
    elif not os.WIFSTOPPED(status):
        break
sys.stderr.write(json.dumps(woken))
sys.exit(os.waitstatus_to_exitcode(status))
"""
_STATE_STOPPED = "T"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for what probes keep from run to run; compiled programs are kept."""
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    compiled = cache_folder() / FILE_NAME
    if compiled.exists():
        shutil.copy2(compiled, folder / FILE_NAME)
    monkeypatch.setenv("UNDERGLASS_CACHE_DIR", str(folder))
    return folder


def unknown_bun(directory: Path) -> Path:
    """A large, stripped executable that no probe has seen: a new inode."""
    target = directory / "agent"
    shutil.copy(npm("bun/bin/bun.exe"), target)
    return target


def run_by_shell(
    probe: RawProbe, program: Path, server: StandIn, directory: Path
) -> tuple[RawCapture, float | None]:
    """The capture, and for how many seconds the program was stopped at its start, if it was."""
    Path(body_file(directory)).write_text(BODY)
    command = javascript(program, "run")(server, directory)
    environment = {
        "HOME": str(directory),
        "PATH": os.environ["PATH"],
        "NODE_EXTRA_CA_CERTS": str(server.ca_path),
    }
    shell = [sys.executable, "-I", "-c", _SHELL]
    result = probe.watch([*shell, *command], environment, cwd=directory)
    assert result.exit_code == 0, result.stderr.decode("utf-8", "replace")[-2000:]
    (began,) = [
        event.ktime_ns
        for event in result.events
        if isinstance(event, ProcessExecuted) and event.argv[0] == str(program)
    ]
    woken = json.loads(result.stderr)
    return result, (woken[0] - began) / 1e9 if woken else None


def assert_whole(result: RawCapture, server: StandIn) -> None:
    (record,) = server.connections(at_least=1)
    (captured,) = result.of(Source.BORINGSSL)
    assert captured.digests == (record.received_sha256, record.sent_sha256)
    assert captured.gaps == 0


def test_an_unknown_program_is_captured_from_its_first_byte_and_later_known(
    cache: Path, standin: Start, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    stopped_s = {}
    for name, copies in (("cold", 1), ("warm", 3)):
        stopped: list[float] = []
        with RawProbe(freeze=True) as probe:
            for number in range(copies):
                folder = tmp_path / f"{name}{number}"  # another inode each time
                folder.mkdir()
                server = standin("zero_latency")
                result, stop_s = run_by_shell(probe, unknown_bun(folder), server, folder)
                assert_whole(result, server)
                if name == "cold":
                    assert stop_s is not None, "it was not stopped at all"
                # With plans at hand it may be hooked, and woken, before its stop has taken effect.
                stopped.append(stop_s or 0.0)
            probe.control("stop")
            probe.events_until(
                lambda event: isinstance(event, ProbeState) and event.state == "detached"
            )
            wait_for((cache / PLANS).exists, "the probe process keeps what it found out")
        stopped_s[name] = min(stopped)
        record_property(f"stopped_{name}_s", stopped_s[name])
        print(f"{name} cache: stopped for {stopped_s[name] * 1000:.1f} ms")
    assert stopped_s["warm"] < stopped_s["cold"] / 3
    assert stopped_s["cold"] < 5


def guardians(probe: RawProbe) -> list[int]:
    return [pid for pid in procfs.named("ug-guardian") if pid in procfs.descendants(probe.pid)]


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists() or state_of(pid) == "Z"


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def shell_with(line: str) -> subprocess.Popen[bytes]:
    """A shell that waits for its standard input, then does this."""
    return subprocess.Popen(["/bin/sh", "-c", f"read go; {line}"], stdin=subprocess.PIPE)


def go(shell: subprocess.Popen[bytes]) -> None:
    assert shell.stdin is not None
    shell.stdin.write(b"go\n")
    shell.stdin.close()


def test_a_stopped_process_is_woken_when_the_probe_process_is_killed(
    cache: Path, tmp_path: Path
) -> None:
    program = unknown_bun(tmp_path)
    marker = tmp_path / "woken"
    shell = shell_with(f"exec {program} --version > {marker}")
    try:
        with RawProbe(freeze=True) as probe:
            probe.control("follow", pid=shell.pid)
            probe.control("ready")
            probe.events_until(lambda event: isinstance(event, ProbeState))
            os.kill(probe.pid, signal.SIGSTOP)  # so that it cannot wake it itself
            go(shell)
            wait_for(lambda: state_of(shell.pid) == _STATE_STOPPED, "the program is stopped")
            assert not marker.exists() or not marker.read_text()
            os.kill(probe.pid, signal.SIGKILL)
            wait_for(lambda: shell.poll() is not None, "it is woken and ends", timeout_s=5)
        assert shell.returncode == 0
        assert marker.read_text().strip()
    finally:
        shell.kill()
        shell.wait()


@pytest.mark.soak
def test_one_that_the_probe_process_forgets_is_woken_by_the_guardian(
    cache: Path, tmp_path: Path
) -> None:
    """The probe process hangs, but lives."""
    program = unknown_bun(tmp_path)
    shell = shell_with(f"exec {program} --version > {tmp_path}/out")
    with RawProbe(freeze=True) as probe:
        probe.control("follow", pid=shell.pid)
        probe.control("ready")
        probe.events_until(lambda event: isinstance(event, ProbeState))
        os.kill(probe.pid, signal.SIGSTOP)
        try:
            go(shell)
            wait_for(lambda: state_of(shell.pid) == _STATE_STOPPED, "the program is stopped")
            wait_for(lambda: shell.poll() is not None, "it is woken and ends", timeout_s=10)
            assert shell.returncode == 0
        finally:
            os.kill(probe.pid, signal.SIGCONT)
            shell.kill()
            shell.wait()


def test_what_somebody_else_stopped_stays_stopped(cache: Path) -> None:
    waiting = subprocess.Popen(["/bin/sh", "-c", "read go"], stdin=subprocess.PIPE)
    try:
        waiting.send_signal(signal.SIGSTOP)
        wait_for(lambda: state_of(waiting.pid) == _STATE_STOPPED, "it is stopped")
        with RawProbe(freeze=True) as probe:
            probe.control("follow", pid=waiting.pid)
            probe.control("ready")
            probe.events_until(lambda event: isinstance(event, ProbeState))
            assert state_of(waiting.pid) == _STATE_STOPPED
            (guardian,) = guardians(probe)
        wait_for(lambda: gone(guardian), "the guardian has woken what it knows of, and ends")
        assert state_of(waiting.pid) == _STATE_STOPPED
    finally:
        waiting.kill()
        waiting.wait()
        assert waiting.stdin is not None
        waiting.stdin.close()


def test_nothing_is_stopped_unless_asked_for(cache: Path, standin: Start, tmp_path: Path) -> None:
    server = standin("zero_latency")
    with RawProbe() as probe:
        _, stop_s = run_by_shell(probe, unknown_bun(tmp_path), server, tmp_path)
    assert stop_s is None
