"""Nothing is left behind: not by thousands of short processes, not by many attachments, not by a
probe process that is killed. UNDERGLASS_SOAK=1 runs the long variants."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from probes.events import (
    Counters,
    ProcessExecuted,
    ProcessExited,
    ProcessForked,
    Source,
)
from probes.libraries import file_key
from tests.e2e import kernel_objects
from tests.e2e.asked import AskedClient
from tests.e2e.conftest import wait_for
from tests.e2e.in_process import session_here
from tests.e2e.raw_capture import RawCapture, RawProbe
from tests.e2e.test_stacks import built
from underglass.demo.standin import StandIn

pytestmark = [pytest.mark.privileged, pytest.mark.alone]
Start = Callable[..., StandIn]
SOAK = bool(os.environ.get("UNDERGLASS_SOAK"))
STORM = 50_000 if SOAK else 5_000
CYCLES = 100 if SOAK else 12
SESSIONS = 10 if SOAK else 3
TALKERS = 20
MOST_LOST = 5  # and each of them counted
LIBSSL = Path("/lib/x86_64-linux-gnu/libssl.so.3").resolve()


@pytest.fixture
def body(tmp_path: Path) -> Path:
    path = tmp_path / "body.json"
    message = {"role": "user", "content": "nothing stays " * 100}
    path.write_text(json.dumps({"model": "gpt-5", "stream": True, "messages": [message]}))
    return path


@pytest.fixture(scope="module")
def probe() -> Iterator[RawProbe]:
    with RawProbe() as started:
        yield started


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A libssl that nobody else on this machine hooks."""
    copy = tmp_path / "private" / "libssl.so.3"
    copy.parent.mkdir()
    shutil.copy(LIBSSL, copy)
    return copy


def talking(server: StandIn, body: Path, library: Path) -> AskedClient:
    return AskedClient(server, body, environment={"LD_LIBRARY_PATH": str(library.parent)})


def lost(counters: dict[str, int]) -> int:
    return sum(value for name, value in counters.items() if "lost" in name)


def told(
    result: RawCapture, kind: type[ProcessForked] | type[ProcessExited]
) -> list[tuple[int, int]]:
    """Processes of which this was told, by pid and start."""
    return [(event.pid, event.start_ns) for event in result.events if isinstance(event, kind)]


# Entries that stay: what was learned of files, and the host's names.
LASTING = {"known_files", "excluded", "target_names", "ended"}


def left_in_tables(pid: int) -> dict[str, int]:
    entries = kernel_objects.entries_of(pid)
    assert {"targets", "connections", "stacks"} <= entries.keys()
    return {name: size for name, size in entries.items() if size and name not in LASTING}


def test_a_storm_of_short_processes_leaves_nothing(
    probe: RawProbe,
    standin: Start,
    body: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    server = standin("zero_latency")
    storm = built(tmp_path, "storm", "gcc", "-O2", "storm.c")
    url = f"{server.base_url}/v1/chat/completions"
    talk = f"curl -sS -o {tmp_path}/answer --cacert {server.ca_path} -d @{body} {url}"
    script = (
        f"{storm} {STORM} 8 /bin/true & short=$!; "
        f"{storm} {TALKERS} 2 /usr/bin/{talk} & talking=$!; wait $short && wait $talking"
    )
    environment = {"PATH": os.environ["PATH"]}
    watched = probe.watch(["/bin/sh", "-c", "true"], environment, cwd=tmp_path)
    wait_for(lambda: not left_in_tables(probe.pid), "the tables are empty before")
    descriptors = kernel_objects.kinds_of_descriptors(probe.pid)
    before = watched.counters
    began = time.monotonic()
    result = probe.watch(["/bin/sh", "-c", script], environment, cwd=tmp_path, timeout_s=600)
    took_s = time.monotonic() - began
    assert result.exit_code == 0, result.stderr
    rate = STORM / took_s
    record_property("processes_per_s", rate)
    print(f"{STORM} processes, {rate:.0f} a second; lost events: {lost(result.counters)}")

    started = STORM + TALKERS + 2  # and the shell, whose fork was before
    forked, ended = told(result, ProcessForked), told(result, ProcessExited)
    executed = [event for event in result.events if isinstance(event, ProcessExecuted)]
    short = [event for event in executed if event.argv == ("/bin/true",)]
    missing = started - len(forked) + started + 1 - len(ended) + STORM - len(short)
    uncounted = missing - (lost(result.counters) - lost(before))
    assert len(set(forked)) == len(forked)
    assert len(set(ended)) == len(ended)
    assert uncounted <= 0, "events are missing that nobody counted"
    assert missing <= MOST_LOST

    ledger = server.connections(at_least=TALKERS)
    captured = [one.digests for one in result.of(Source.OPENSSL)]
    assert sorted(captured) == sorted((one.received_sha256, one.sent_sha256) for one in ledger)

    wait_for(lambda: not left_in_tables(probe.pid), "the tables are empty again")
    assert kernel_objects.kinds_of_descriptors(probe.pid) == descriptors


def test_probes_that_go_in_and_out_leave_nothing(standin: Start, body: Path, library: Path) -> None:
    server = standin("zero_latency")
    key = file_key(str(library))
    assert key is not None
    with talking(server, body, library) as client, session_here() as bench:
        session = bench.session
        session.follow(client.pid)
        session.hook_file(str(library))
        hooks = session.attached
        assert hooks
        attachments = session.attachments
        stack = attachments._files[key].stacks["openssl"]  # type: ignore[union-attr]
        clean = kernel_objects.kinds_of_descriptors(os.getpid())
        programs = kernel_objects.programs_of(os.getpid())
        for _ in range(CYCLES):
            attachments._take_out(stack)
            assert session.attached == 0
            attachments._put_in(str(library), stack)
            assert session.attached == hooks
        assert kernel_objects.kinds_of_descriptors(os.getpid()) == clean
        assert kernel_objects.programs_of(os.getpid()) == programs
        client.ask("whole")
        assert bench.data(), "after so many changes it still hears"
        attachments._take_out(stack)
        client.ask("whole")
        bench.data()
        client.ask("whole")
        assert bench.data() == []
        wait_for(
            lambda: kernel_objects.changed_code(client.pid, library) == 0,
            "the library's code is as it was",
        )


def test_sessions_that_end_leave_nothing() -> None:
    with session_here() as bench:
        bench.session.hook_file(str(LIBSSL))
    descriptors = kernel_objects.kinds_of_descriptors(os.getpid())
    memory: list[int] = []
    for _ in range(SESSIONS):
        with session_here() as bench:
            bench.session.hook_file(str(LIBSSL))
            ours = kernel_objects.programs_of(os.getpid())
            maps = kernel_objects.entries_of(os.getpid())
            assert ours
            assert maps
        assert not ours & kernel_objects.programs_of(os.getpid())
        wait_for(partial(_are_gone, ours), "its programs are gone")
        assert kernel_objects.kinds_of_descriptors(os.getpid()) == descriptors
        memory.append(_resident_bytes())
    assert memory[-1] - memory[0] < 16 << 20


def _are_gone(programs: set[int]) -> bool:
    return not programs & kernel_objects.program_ids()


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_kill_9_of_the_probe_process_leaves_nothing_in_the_kernel(
    standin: Start, body: Path, library: Path
) -> None:
    server = standin("zero_latency")
    with talking(server, body, library) as client:
        assert kernel_objects.changed_code(client.pid, library) == 0
        with RawProbe() as probe:
            probe.control("follow", pid=client.pid)
            probe.control("ready")
            probe.events_until(lambda event: isinstance(event, Counters))
            wait_for(lambda: kernel_objects.changed_code(client.pid, library) > 0, "probes are in")
            sizes = client.ask("whole")
            ours = kernel_objects.programs_of(probe.pid)
            assert ours <= kernel_objects.program_ids()
            client.ask("part")  # in the middle of an exchange
            os.kill(probe.pid, signal.SIGKILL)
            client.ask("rest")
            assert client.ask("whole", 5) == sizes * 5
            began = time.monotonic()
            wait_for(partial(_are_gone, ours), "its programs are gone", 20)
            wait_for(
                lambda: kernel_objects.changed_code(client.pid, library) == 0, "and its probes", 20
            )
            print(f"all gone after {time.monotonic() - began:.1f} s")
        assert client.ask("whole") == sizes
        assert client.end() == 0
    uprobes = Path("/sys/kernel/tracing/uprobe_events")
    assert not uprobes.exists() or "_ug_" not in uprobes.read_text()
    record = server.ledger(at_least=8)
    assert all(one.error_kind is None for one in record)


def test_a_thread_that_executes_a_program_does_not_end_its_process(
    probe: RawProbe, standin: Start, body: Path, tmp_path: Path
) -> None:
    """The first thread dies then, and the program goes on under its pid."""
    server = standin("zero_latency")
    url = f"{server.base_url}/v1/chat/completions"
    curl = f"/usr/bin/curl -sS -o answer --cacert {server.ca_path} -d @{body} {url}"
    script = (
        "import os, sys, threading\n"
        "threading.Thread(target=lambda: os.execv(sys.argv[1], sys.argv[1:])).start()\n"
    )
    command = ["/usr/bin/python3", "-c", script, *curl.split()]
    result = probe.watch(command, {"PATH": os.environ["PATH"]}, cwd=tmp_path)
    told = [
        type(event).__name__ if isinstance(event, ProcessExited) else event.argv[0]
        for event in result.events
        if isinstance(event, ProcessExecuted | ProcessExited) and event.pid == result.pid
    ]
    assert told == ["/usr/bin/python3", "/usr/bin/curl", "ProcessExited"]
    (record,) = server.connections(at_least=1)
    captured = [one.digests for one in result.of(Source.OPENSSL)]
    assert captured == [(record.received_sha256, record.sent_sha256)]
