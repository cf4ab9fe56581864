"""MCP over stdio, real programs under real probes: every message of the programs' own ledgers,
once, whole, tied to both processes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PROGRAMS, Record, Watched, node, python
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


def test_other_json_on_pipes_is_left_alone(standin: Standin, watched: Run) -> None:
    script = (
        "import json, subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import sys; print(len(sys.stdin.read()))'],"
        " stdin=subprocess.PIPE, text=True)\n"
        "for n in range(20_000):\n"
        "    p.stdin.write(json.dumps({'row': n, 'text': 'x' * 5000}) + chr(10)); p.stdin.flush()\n"
        "p.stdin.close(); p.wait()\n"
    )
    seen = watched(standin("echo", plain=True), [sys.executable, "-c", script])
    assert seen.exit_code == 0, seen.stderr
    assert not messages(seen)
    sent = sum(len(json.dumps({"row": n, "text": "x" * 5000})) + 1 for n in range(20_000))
    told = {
        counter: seen.health("channel", counter)
        for counter in ("captured_bytes", "ignored_bytes", "lost_bytes")
    }
    assert told["ignored_bytes"] > 0
    assert sum(told.values()) == sent, told
