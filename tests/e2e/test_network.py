"""Connections and name resolution of real programs under real probes, against their own account."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.events import Connected, DnsAnswered
from tests.e2e.conftest import PROGRAMS
from tests.e2e.raw_capture import RawCapture, RawProbe

pytestmark = pytest.mark.privileged
SERVER = "127.0.53.53"  # nobody else's, unless a server listens on every address


def watch(command: list[str | Path], cwd: Path) -> RawCapture:
    with RawProbe() as probe:
        seen = probe.watch(command, dict(os.environ), cwd=cwd)
    assert seen.exit_code == 0, seen.stderr
    return seen


def test_every_connect_with_its_result_and_address(tmp_path: Path) -> None:
    seen = watch([sys.executable, PROGRAMS / "connect_calls.py", tmp_path], tmp_path)
    expected = json.loads(seen.stdout)
    events = [event for event in seen.events if isinstance(event, Connected)]
    found = [
        {
            "transport": event.transport,
            "address": event.address,
            "port": event.port,
            "result": event.result,
            "fd": event.fd,
            "inode": event.inode,
            "tid": event.tid,
        }
        for event in events
    ]
    assert found == expected
    assert {one["result"] for one in found} >= {0, -111, -115, -2}  # refused, in progress, no file
    assert {event.pid for event in events} == {seen.pid}
    assert seen.counters["network.events"] == len(expected)
    assert seen.counters["network.lost_events_ring_full"] == 0


@pytest.mark.parametrize("address", [SERVER, "::1"])
def test_every_answer_of_a_name_server_once(tmp_path: Path, address: str) -> None:
    seen = watch([sys.executable, PROGRAMS / "dns_calls.py", address], tmp_path)
    expected = [bytes.fromhex(one)[:4096] for one in json.loads(seen.stdout)]
    found = [event.data for event in seen.events if isinstance(event, DnsAnswered)]
    assert found == expected
    assert len(found) == 10


@pytest.fixture
def name_server() -> Iterator[list[bytes]]:
    """Answers every question for an IPv4 address with 192.0.2.7; the answers that it gave."""
    answers: list[bytes] = []
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((SERVER, 53))

    def serve() -> None:
        while True:
            question, peer = server.recvfrom(512)
            if question == b"end":
                return
            end = question.index(b"\0", 12) + 5
            wanted = question[end - 4 : end - 2] == b"\0\1"
            count = b"\0\1" if wanted else b"\0\0"
            record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7" if wanted else b""
            answer = question[:2] + b"\x81\x80\0\1" + count + b"\0" * 4 + question[12:end] + record
            answers.append(answer)
            server.sendto(answer, peer)

    thread = threading.Thread(target=serve)
    thread.start()
    yield answers
    server.sendto(b"end", (SERVER, 53))
    thread.join()
    server.close()


RESOLVE = """
mount --bind {folder}/resolv.conf /etc/resolv.conf &&
mount --bind {folder}/nsswitch.conf /etc/nsswitch.conf &&
exec {python} -c 'import socket
print(socket.getaddrinfo("agent.test", 443, socket.AF_UNSPEC, socket.SOCK_STREAM)[0][4][0])'
"""


def test_what_the_resolver_of_the_c_library_is_told(
    tmp_path: Path, name_server: list[bytes]
) -> None:
    (tmp_path / "resolv.conf").write_text(f"nameserver {SERVER}\n")
    (tmp_path / "nsswitch.conf").write_text("hosts: dns\n")
    unshare = shutil.which("unshare")
    assert unshare
    script = RESOLVE.format(folder=tmp_path, python=sys.executable)
    seen = watch([unshare, "--mount", "sh", "-c", script], tmp_path)
    assert seen.stdout == b"192.0.2.7\n"
    found = [event.data for event in seen.events if isinstance(event, DnsAnswered)]
    assert sorted(found) == sorted(name_server)
    assert len(found) == 2  # for IPv4 and IPv6
