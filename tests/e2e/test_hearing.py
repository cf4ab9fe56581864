"""Hooks that fall silent, and hooks that hear the wrong thing: noticed, renewed, taken out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from probes.attachments import MOST_REATTACHMENTS
from probes.elf import ElfFile
from probes.events import Direction, LibrarySeen, PlainData
from probes.hearing import SILENT_RECORD_BYTES
from probes.hooks import FilePlan, Hook, StackPlan
from probes.libraries import file_key
from probes.trial import MOST_FAILURES
from tests.e2e.asked import AskedClient
from tests.e2e.in_process import Bench, session_here
from underglass.demo.standin import StandIn

pytestmark = [pytest.mark.privileged, pytest.mark.alone]
Start = Callable[..., StandIn]
LIBSSL = "/lib/x86_64-linux-gnu/libssl.so.3"
LIBCRYPTO = "/lib/x86_64-linux-gnu/libcrypto.so.3"
LIBGNUTLS = "/lib/x86_64-linux-gnu/libgnutls.so.30"


@pytest.fixture
def bench() -> Iterator[Bench]:
    with session_here() as started:
        yield started


@pytest.fixture
def body(tmp_path: Path) -> Path:
    path = tmp_path / "body.json"
    message = {"role": "user", "content": "does it hear? " * 300}
    path.write_text(json.dumps({"model": "gpt-5", "stream": True, "messages": [message]}))
    return path


def records_of(bench: Bench, pid: int) -> int:
    """Bytes of TLS records of a process so far."""
    for seen, _ in bench.session.tables.traffic():
        if seen.pid == pid:
            return seen.tls_read_bytes + seen.tls_written_bytes
    return 0


def plaintext(bench: Bench, direction: Direction) -> int:
    return sum(
        len(event.data)
        for event in bench.data()
        if isinstance(event, PlainData) and event.direction == direction
    )


def deafen(bench: Bench) -> None:
    """Take the probes out of the kernel, and leave the descriptors' numbers in use."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor in bench.session._programs._attached:
        os.dup2(nothing, descriptor)
    os.close(nothing)


def test_hooks_that_fall_silent_are_put_in_anew(bench: Bench, standin: Start, body: Path) -> None:
    server = standin("zero_latency")
    session = bench.session
    with AskedClient(server, body) as client:
        session.follow(client.pid)
        (told,) = [one for one in session.hook_process(client.pid) if "libssl" in one.path]
        assert (told.status, told.pids) == ("hooked", (client.pid,))
        client.ask("whole")
        assert plaintext(bench, Direction.WRITE) == server.ledger(at_least=1)[0].request_bytes
        assert session.listen()[1] == []

        deafen(bench)
        before = records_of(bench, client.pid)
        renewed: list[LibrarySeen] = []
        asked = 0
        while not renewed and asked < 20:
            client.ask("whole")
            asked += 1
            renewed = session.listen()[1]
        (again,) = [one for one in renewed if one.stack == "openssl"]
        assert "fell silent, attached again" in again.detail
        assert (again.status, again.pids) == ("hooked", (client.pid,))
        one_turn = sum(
            record.request_bytes + record.response_bytes for record in server.ledger()[:1]
        )
        heard_late = records_of(bench, client.pid) - before
        assert SILENT_RECORD_BYTES <= heard_late <= SILENT_RECORD_BYTES + 2 * one_turn
        assert bench.data() == []

        client.ask("whole")
        record = server.ledger(at_least=2 + asked)[-1]
        events = [event for event in bench.data() if isinstance(event, PlainData)]
        written = sum(len(one.data) for one in events if one.direction == Direction.WRITE)
        read = sum(len(one.data) for one in events if one.direction == Direction.READ)
        assert (written, read) == (record.request_bytes, record.response_bytes)
        assert session.listen()[1] == []


def test_a_library_that_is_loaded_and_not_used_is_not_put_in_anew_for_ever(
    bench: Bench, standin: Start, body: Path
) -> None:
    """GnuTLS is hooked and never called; OpenSSL, which is not hooked, does the talking."""
    server = standin("zero_latency")
    session = bench.session
    with AskedClient(server, body, environment={"LD_PRELOAD": LIBGNUTLS}) as client:
        session.follow(client.pid)
        key = file_key(LIBGNUTLS)
        assert key is not None
        hook = Hook(_offset(LIBGNUTLS, "gnutls_record_send"), "gnutls_write_enter", False)
        plan = FilePlan(LIBGNUTLS, None, (StackPlan("gnutls", "symbols", (hook,), "1 function"),))
        session.attachments.attach(key, LIBGNUTLS, LIBGNUTLS, plan, os.stat(LIBGNUTLS))
        (told,) = session.attachments.announce(key, LIBGNUTLS, client.pid)
        assert told.status == "hooked"
        renewed = 0
        while records_of(bench, client.pid) <= 3 * MOST_REATTACHMENTS * SILENT_RECORD_BYTES:
            client.ask("whole")
            renewed += len(session.listen()[1])
        assert renewed == MOST_REATTACHMENTS
        assert bench.data() == []


def _offset(path: str, name: str) -> int:
    with ElfFile(path) as elf:
        offset = elf.file_offset(elf.functions([name])[name].address)
    assert offset is not None
    return offset


def test_a_wrong_hook_is_rejected_after_a_few_connections(
    bench: Bench, standin: Start, body: Path
) -> None:
    """BIO_read takes the arguments of SSL_read, and reads what is encrypted."""
    server = standin("zero_latency")
    session = bench.session
    hooks = [
        Hook(_offset(LIBCRYPTO, "BIO_read"), program, at_return)
        for program, at_return in (("read_enter", False), ("call_return", True))
    ]
    key = file_key(LIBCRYPTO)
    assert key is not None
    with AskedClient(server, body) as client:
        session.follow(client.pid)
        stack = StackPlan("openssl", "error_sites", tuple(hooks), "2 entry points")
        plan = FilePlan(LIBCRYPTO, None, (stack,))
        session.attachments.attach(key, LIBCRYPTO, LIBCRYPTO, plan, os.stat(LIBCRYPTO))
        (told,) = session.attachments.announce(key, LIBCRYPTO, client.pid)
        assert told.status == "on_trial"
        assert session.attached == len(hooks)
        verdicts, asked = list[LibrarySeen](), 0
        while not verdicts and asked < MOST_FAILURES:  # each has a BIO of its own, or more
            client.ask("whole")
            client.ask("drop")
            asked += 1
            verdicts = bench.hear()
        (verdict,) = verdicts
        assert (verdict.status, verdict.stack, verdict.pids) == (
            "rejected",
            "openssl",
            (client.pid,),
        )
        assert "taken out" in verdict.detail
        assert session.attached == 0
        bench.data()
        client.ask("whole")
        assert bench.data() == []
