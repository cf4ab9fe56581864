"""What is said of coverage: the command, running processes, and the end of a capture."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from collector.rows import Batch, HealthRow
from collector.store import Store
from tests.collector.store_rows import coverage
from underglass.commands.coverage import command
from underglass.running_stacks import running_stacks
from underglass.summary import Summary


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    unseen = coverage(
        process_key="k2", pid=99, program="/opt/agent", stack="unknown", path=None,
        status="unseen", method="", detail="talks TLS to api.openai.com", tls_read_bytes=70_000,
    )  # fmt: skip
    with Store.open(path) as opened:
        opened.write(Batch(coverage=[coverage(written_bytes=1234), unseen]))
    return path


def test_the_worst_comes_first(store: Path) -> None:
    done = CliRunner().invoke(command, ["--db", str(store)])
    assert done.exit_code == 0
    header, first, second = done.output.splitlines()
    assert header.split()[:4] == ["status", "program", "pid", "stack"]
    assert first.split()[:4] == ["unseen", "/opt/agent", "99", "unknown"]
    assert "70.0k" in first
    assert second.split()[:4] == ["hooked", "/usr/bin/node", "4242", "openssl"]
    assert "1.23k" in second


def test_rows_as_json(store: Path) -> None:
    done = CliRunner().invoke(command, ["--db", str(store), "--json"])
    found = json.loads(done.output)
    assert [(row["pid"], row["status"], row["rank"]) for row in found] == [
        (99, "unseen", 1),
        (4242, "hooked", 5),
    ]
    assert found[0]["path"] is None


def test_a_store_without_tls_says_so(tmp_path: Path) -> None:
    Store.open(tmp_path / "x.db").close()
    done = CliRunner().invoke(command, ["--db", str(tmp_path / "x.db")])
    assert (done.exit_code, done.stdout) == (0, "")
    assert "no watched process spoke TLS" in done.stderr


def test_a_running_process_with_a_tls_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERGLASS_CACHE_DIR", str(tmp_path / "cache"))
    program = "import ssl, sys; print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        found = running_stacks([child.pid])
        again = running_stacks([child.pid])
        child.stdin.close()
    mapped = [row for row in found if "ssl" in row["path"] or "python" in row["path"]]
    assert mapped, ssl.OPENSSL_VERSION
    assert {(row["pid"], row["stack"], row["status"]) for row in mapped} == {
        (child.pid, "openssl", "hookable")
    }
    assert again == found
    assert running_stacks([os.getpid(), child.pid]) == []


def test_the_summary_adds_up_all_sources() -> None:
    def row(source: str, counter: str, cause: str, value: int) -> HealthRow:
        return HealthRow("k1", source, counter, cause, value)

    summary = Summary()
    summary.add(Batch(health=[row("openssl", "captured_bytes", "", 5)]))
    summary.add(
        Batch(
            health=[
                row("openssl", "captured_bytes", "", 100),
                row("rustls", "captured_bytes", "", 20),
                row("socket", "captured_bytes", "", 3),
                row("process", "captured_bytes", "", 1_000_000),
                row("stream", "lost_bytes", "gap", 7),
                row("go", "lost_bytes", "ring_full", 7),
                row("go", "truncated_bytes", "call_too_long", 2),
                row("gnutls", "lost_events", "ring_full", 4),
                row("process", "lost_events", "ring_full", 1),
                row("http", "joined_late_calls", "", 6),
            ]
        )
    )
    assert summary.captured_bytes == 123
    assert summary.lost_bytes == 9
    assert summary.lost_events == 5
    assert summary.joined_late_calls == 6


def test_the_end_says_what_was_under_way_at_the_beginning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    summary = Summary()
    summary.show("go on")
    assert "under way" not in capsys.readouterr().err
    summary.add(Batch(health=[HealthRow("k1", "http", "joined_late_calls", "", 2)]))
    summary.show("go on")
    assert "their beginning was not seen: 2 exchanges" in capsys.readouterr().err
