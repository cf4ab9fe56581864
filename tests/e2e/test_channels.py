"""MCP over stdio, real programs under real probes: every message of the programs' own ledgers,
once, whole, tied to both processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from probes.errors import UnderglassError
from tests.e2e.conftest import (
    PROGRAMS,
    UNDERGLASS,
    Record,
    Watched,
    environment,
    node,
    python,
    wait_for,
)
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
Standin = Callable[..., StandIn]
Run = Callable[..., Watched]


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def messages(watched: Watched) -> list[Record]:
    return watched.rows("SELECT * FROM rpc_messages ORDER BY started_at")


def test_every_message_once_whole_and_paired(
    standin: Standin, watched: Run, tmp_path: Path
) -> None:
    ledger = tmp_path / "mcp.jsonl"
    seen = watched(standin("echo", plain=True), python("mcp_client.py", str(ledger)))
    assert seen.exit_code == 0, seen.stderr
    asked, answered = entries(ledger), entries(tmp_path / "mcp.jsonl.server")
    found = messages(seen)
    assert sorted(row["size_bytes"] for row in found) == sorted(
        entry["bytes"] for entry in asked + answered
    )
    assert max(row["size_bytes"] for row in found) > 1_500_000
    by_direction = {
        way: [row for row in found if row["direction"] == way] for way in ("to_server", "to_client")
    }
    assert [row["size_bytes"] for row in by_direction["to_server"]] == [
        entry["bytes"] for entry in asked
    ]
    assert [row["size_bytes"] for row in by_direction["to_client"]] == [
        entry["bytes"] for entry in answered
    ]
    requests = [row for row in found if row["kind"] == "request"]
    assert [row["rpc_id"] for row in requests] == list(range(1, 8))
    assert all(row["answered_by"] and row["duration_ms"] > 0 for row in requests)
    assert {row["transport"] for row in found} == {"pipe"}
    pids = {row["pid"]: row["exe"] for row in seen.rows("SELECT pid, exe FROM processes")}
    ends = {(row["writer_pid"], row["reader_pid"]) for row in found}
    assert len(ends) == 2
    assert all(pid in pids for pair in ends for pid in pair)
    assert seen.health("channel", "lost_bytes") == 0
    assert not seen.calls


def test_unix_sockets_of_a_node_client(standin: Standin, watched: Run, tmp_path: Path) -> None:
    ledger = tmp_path / "server.jsonl"
    command = [node(), PROGRAMS / "mcp_client.mjs", sys.executable]
    seen = watched(
        standin("echo", plain=True), [*command, str(PROGRAMS / "mcp_server.py"), str(ledger)]
    )
    assert (seen.exit_code, seen.stdout) == (0, "ok\n"), seen.stderr
    found = messages(seen)
    sent = [row for row in found if row["direction"] == "to_client"]
    assert [row["size_bytes"] for row in sent] == [entry["bytes"] for entry in entries(ledger)]
    assert {row["transport"] for row in found} == {"unix"}
    assert [row["method"] for row in found if row["kind"] == "request"] == [
        "initialize",
        "tools/list",
    ]
    assert all(row["writer_pid"] and row["reader_pid"] for row in found)


def test_other_json_on_pipes_is_left_alone(standin: Standin, tmp_path: Path) -> None:
    """The program writes on until the collector has asked the kernel to ignore the pipe."""
    script = (
        "import json, os, subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import sys; print(len(sys.stdin.read()))'],"
        " stdin=subprocess.PIPE, text=True)\n"
        "n = 0\n"
        "while n < 20_000 or not os.path.exists(sys.argv[1]):\n"
        "    p.stdin.write(json.dumps({'row': n, 'text': 'x' * 5000}) + chr(10)); p.stdin.flush()\n"
        "    n += 1\n"
        "p.stdin.close(); p.wait()\n"
    )
    store, enough = tmp_path / "store.db", tmp_path / "enough"
    observer = subprocess.Popen(
        [UNDERGLASS, "run", "--db", store, "--", sys.executable, "-c", script, enough],
        env=environment(standin("echo", plain=True)),
        stdout=subprocess.PIPE,
        text=True,
    )
    seen = Watched(store, 0, "", "")

    def ignored() -> bool:
        try:
            return seen.health("channel", "channels_ignored") == 1
        except UnderglassError:
            return False  # the collector does not answer yet

    wait_for(ignored, "the collector asks the kernel to ignore the pipe")
    enough.touch()
    characters = int(observer.communicate(timeout=60)[0])
    assert observer.returncode == 0
    assert not messages(seen)
    told = {
        counter: seen.health("channel", counter)
        for counter in ("captured_bytes", "ignored_bytes", "lost_bytes")
    }
    assert told["ignored_bytes"] > 0
    assert sum(told.values()) == characters, told
