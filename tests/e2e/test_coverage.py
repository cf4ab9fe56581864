"""What cannot be hooked is said: by process, with the reason and the traffic that was not seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import UNDERGLASS, Record, Watched, environment
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
Standin = Callable[..., StandIn]
Run = Callable[..., Watched]


def coverage(watched: Watched) -> list[Record]:
    return watched.rows("SELECT * FROM coverage ORDER BY rank, pid")


def test_a_hooked_process_shows_its_bytes_and_how(standin: Standin, watched: Run) -> None:
    server = standin("zero_latency")
    body = '{"model": "gpt-5", "messages": []}'
    url = f"{server.base_url}/v1/chat/completions"
    seen = watched(server, ["curl", "-sS", "--cacert", str(server.ca_path), "-d", body, url])
    assert seen.exit_code == 0, seen.stderr
    (row,) = [row for row in coverage(seen) if row["stack"] == "openssl"]
    (record,) = server.ledger()
    assert (row["status"], row["method"]) == ("hooked", "symbols")
    assert row["written_bytes"] == record.request_bytes
    assert row["read_bytes"] == record.response_bytes
    assert row["tls_written_bytes"] > row["written_bytes"]
    assert row["tls_read_bytes"] > row["read_bytes"]
    assert row["path"].endswith("libssl.so.3")


def test_tls_to_a_model_without_a_known_stack_is_told(
    standin: Standin, watched: Run, tmp_path: Path
) -> None:
    """A program whose TLS nobody knows: here one that sends a ClientHello of its own making."""
    server = standin("zero_latency")
    script = (
        "import socket, sys\n"
        "name = b'api.anthropic.com'\n"
        "sni = b'\\0' + len(name).to_bytes(2, 'big') + name\n"
        "sni = len(sni).to_bytes(2, 'big') + sni\n"
        "extension = b'\\0\\0' + len(sni).to_bytes(2, 'big') + sni\n"
        "body = b'\\x03\\x03' + bytes(32) + b'\\0' + b'\\0\\x02\\x13\\x01' + b'\\x01\\0'\n"
        "body += len(extension).to_bytes(2, 'big') + extension\n"
        "shake = b'\\x01' + len(body).to_bytes(3, 'big') + body\n"
        "record = b'\\x16\\x03\\x01' + len(shake).to_bytes(2, 'big') + shake\n"
        "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "s.sendall(record); s.recv(100)\n"
    )
    # An interpreter without ssl in its memory: no TLS stack is mapped.
    seen = watched(server, [sys.executable, "-c", script, str(server.port)])
    assert seen.exit_code == 0, seen.stderr
    (row,) = coverage(seen)
    assert (row["status"], row["stack"]) == ("unseen", "unknown")
    assert row["hosts"] == ["api.anthropic.com"]
    assert row["tls_written_bytes"] > 0
    assert "api.anthropic.com" in row["detail"]


def test_a_library_that_cannot_be_hooked_is_named_with_the_reason(
    standin: Standin, watched: Run, tmp_path: Path
) -> None:
    """A library of OpenSSL's name without its functions."""
    fake = tmp_path / "libssl.so.3"
    code = tmp_path / "empty.c"
    code.write_text("int nothing(void) { return 0; }\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", fake, code], check=True)
    script = f"import ctypes; ctypes.CDLL({str(fake)!r})"
    seen = watched(standin("echo"), [sys.executable, "-c", script], options=["--freeze"])
    assert seen.exit_code == 0, seen.stderr
    (row,) = [row for row in coverage(seen) if row["path"] == str(fake)]
    assert row["status"] == "not_hooked"
    assert "SSL_read" in row["detail"]


def test_now_looks_at_running_processes(standin: Standin, tmp_path: Path) -> None:
    server = standin("echo")
    script = "import ssl, sys; print('up', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(server),
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        done = subprocess.run(
            [UNDERGLASS, "coverage", "--now", "--json"],
            capture_output=True,
            text=True,
            env=os.environ | {"UNDERGLASS_CACHE_DIR": str(tmp_path / "cache")},
            timeout=100,
        )
        assert process.stdin is not None
        process.stdin.close()
    assert done.returncode == 0, done.stderr
    rows = [row for row in json.loads(done.stdout) if row["pid"] == process.pid]
    assert [(row["stack"], row["status"]) for row in rows] == [("openssl", "hookable")], rows
