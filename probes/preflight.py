"""Can capture work here? One check a question, each failure with the exact command that fixes it.

In: the machine. Out: `Check`s. The last word has the canary: real probes on a real TLS
conversation whose bytes are known (`probes.canary`).
"""

from __future__ import annotations

import os
import platform
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from probes import btf, canary, frames, libraries, procfs, resolvers
from probes.bcc_bindings import HEADER_TREE, BccUnavailable, load_bcc
from probes.client import ProbeClient
from probes.errors import UnderglassError
from probes.events import FileTouched, PlainData, ProbeState
from probes.hooks import FileKey, FilePlan

OLDEST_KERNEL = (5, 8)
CANARY_TIMEOUT_S = 20.0
_CAP_SYS_ADMIN = 21


@dataclass(frozen=True, slots=True)
class Check:
    """`status`: ok, warn (capture works, with a limit) or fail (capture cannot work)."""

    name: str
    status: str
    detail: str
    fix: str | None = None


def checks() -> Iterator[Check]:
    """All checks, cheap ones first; the canary only when nothing before it failed."""
    failed = False
    for check in (_kernel, _btf, _privileges, _uprobes, _tracefs, _bcc, _headers):
        result = check()
        failed |= result.status == "fail"
        yield result
    if failed:
        yield Check("self-test", "fail", "not tried: see the failures above")
    else:
        yield _canary()
    yield from _processes()


def _kernel() -> Check:
    release = platform.release()
    numbers = re.match(r"(\d+)\.(\d+)", release)
    version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    machine = platform.machine()
    if machine != "x86_64":
        return Check("kernel", "fail", f"{release} on {machine}: only x86_64 is supported")
    if version < OLDEST_KERNEL:
        return Check(
            "kernel", "fail", f"{release} has no BPF ring buffer", "boot Linux 5.8 or newer"
        )
    return Check("kernel", "ok", f"{release} {machine}")


def _btf() -> Check:
    try:
        offsets = btf.kernel_offsets()
    except UnderglassError as error:
        return Check("btf", "fail", str(error), error.hint)
    return Check("btf", "ok", f"{len(offsets)} kernel fields located in {btf.VMLINUX}")


def _privileges() -> Check:
    me = os.path.abspath(sys.argv[0])
    if os.geteuid() != 0:
        return Check("privileges", "fail", "not root", f"sudo {me} doctor")
    effective = re.search(r"CapEff:\s*([0-9a-f]+)", Path("/proc/self/status").read_text())
    if effective and not int(effective[1], 16) >> _CAP_SYS_ADMIN & 1:
        return Check(
            "privileges",
            "fail",
            "root without CAP_SYS_ADMIN, as in an unprivileged container",
            "run on the host, or start the container with --privileged",
        )
    return Check("privileges", "ok", "root with CAP_SYS_ADMIN")


def _uprobes() -> Check:
    if not Path("/sys/bus/event_source/devices/uprobe/type").exists():
        return Check(
            "uprobes", "fail", "this kernel has no uprobes", "boot a kernel with CONFIG_UPROBES=y"
        )
    return Check("uprobes", "ok", "perf uprobe source present")


def _tracefs() -> Check:
    for folder in ("/sys/kernel/tracing", "/sys/kernel/debug/tracing"):
        if os.access(f"{folder}/events/syscalls", os.R_OK):
            return Check("tracefs", "ok", f"mounted at {folder}")
    command = "sudo mount -t tracefs tracefs /sys/kernel/tracing"
    if os.geteuid() == 0 and Path("/sys/kernel/tracing").is_dir():
        return Check("tracefs", "ok", "not mounted; capture mounts it")
    return Check("tracefs", "fail", "not mounted, or not readable", command)


def _bcc() -> Check:
    try:
        module = load_bcc()
    except BccUnavailable as error:
        return Check("bcc", "fail", str(error), error.hint)
    return Check("bcc", "ok", f"{module.__version__} at {os.path.dirname(module.__file__)}")


def _headers() -> Check:
    wanted = HEADER_TREE / "include" / "uapi" / "linux" / "ptrace.h"
    if not wanted.exists():
        return Check(
            "headers", "fail", f"{wanted} is missing", "reinstall underglass; it ships these files"
        )
    return Check("headers", "ok", "own header tree; no kernel headers needed")


def _canary() -> Check:
    started = time.monotonic()
    try:
        captured, opened = run_canary()
    except UnderglassError as error:
        return Check("self-test", "fail", str(error), error.hint)
    expected = {canary.REQUEST, canary.RESPONSE}
    if captured != expected:
        return Check(
            "self-test",
            "fail",
            f"probes attached, but {len(expected - captured)} of {len(expected)} known messages "
            "did not arrive",
            "report this with the output of `underglass doctor --json`",
        )
    if opened != 1:
        return Check(
            "self-test",
            "fail",
            f"probes attached, but an open(2) was told {opened} times",
            "report this with the output of `underglass doctor --json`",
        )
    elapsed = time.monotonic() - started
    return Check("self-test", "ok", f"a TLS conversation captured byte for byte in {elapsed:.1f} s")


def _canary_command() -> list[str]:
    # Debian's own interpreter has OpenSSL as a shared library; others may hide it inside.
    python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
    return [python, "-I", canary.__file__]


def run_canary() -> tuple[set[bytes], int]:
    """Attach to the canary and let it talk once: the messages that were captured, and how
    often it was told to have opened the file that it opens once."""
    with (
        ProbeClient(data_ring_pages=64) as probe,
        subprocess.Popen(
            _canary_command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
        ) as process,
    ):
        assert process.stdin is not None
        probe.control("follow", pid=process.pid)
        probe.control("ready")
        captured: set[bytes] = set()
        opened = 0
        for event in _events(probe):
            if isinstance(event, ProbeState):
                if event.state == "failed":
                    process.kill()
                    raise UnderglassError(event.message, hint=event.hint, exit_code=3)
                if event.state == "detached":
                    break
                process.stdin.write(b"talk\n")
                process.stdin.close()
                process.wait(CANARY_TIMEOUT_S)
                probe.control("stop")
            elif isinstance(event, PlainData):
                captured.add(event.data)
            elif isinstance(event, FileTouched) and event.path == canary.NO_FILE:
                opened += 1
        return captured, opened


def _events(probe: ProbeClient) -> Iterator[object]:
    splitter = frames.FrameSplitter()
    poll = select.poll()
    poll.register(probe.socket, select.POLLIN)
    deadline = time.monotonic() + CANARY_TIMEOUT_S
    while (left := deadline - time.monotonic()) > 0 and poll.poll(left * 1000):
        data = probe.receive()
        if not data:
            return
        for frame in splitter.feed(data):
            yield frames.decode(frame)


def _processes() -> Iterator[Check]:
    """TLS libraries in running processes, one line a file."""
    users: dict[FileKey, list[int]] = {}
    paths: dict[FileKey, str] = {}
    hidden = 0
    plans: dict[FileKey, FilePlan | None] = {}
    for pid in procfs.pids():
        mapped = libraries.mapped_executables(pid)
        if not mapped and not os.access(f"/proc/{pid}/maps", os.R_OK):
            hidden += 1
        for path in mapped:
            key = libraries.file_key(path)
            if key is None:
                continue
            if key not in plans:
                plans[key] = resolvers.resolve(path)
            plan = plans[key]
            if plan is not None and plan.stacks:
                users.setdefault(key, []).append(pid)
                paths.setdefault(key, path)
    for key, pids in users.items():
        plan = plans[key]
        path = libraries.shown_path(paths[key])
        who = f"{len(pids)} process{'es' if len(pids) > 1 else ''}: " + ", ".join(
            f"{pid} {_comm(pid)}" for pid in pids[:5]
        )
        for stack in plan.stacks if plan is not None else ():
            if stack.hooks:
                yield Check("tls", "ok", f"{stack.stack} {path}: {who}")
            else:
                yield Check("tls", "warn", f"{stack.stack} {path}: no hook ({stack.detail}): {who}")
    if not users:
        yield Check("tls", "ok", "no running process has a known TLS library loaded")
    if hidden:
        yield Check("tls", "warn", f"{hidden} processes of others could not be read", "use sudo")


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "(gone)"
