"""The MCP example programs, unwatched: what their ledgers say is what went through the pipes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).with_name("programs")


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_client_and_server_agree(tmp_path: Path) -> None:
    ledger = tmp_path / "mcp.jsonl"
    done = subprocess.run(
        [sys.executable, PROGRAMS / "mcp_client.py", ledger],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "7 requests answered\n"), done.stderr
    asked = entries(ledger)
    answered = entries(tmp_path / "mcp.jsonl.server")
    calls = [entry["id"] for entry in asked if entry["method"] == "tools/call"]
    ids = [entry["id"] for entry in asked if entry["id"] is not None]
    assert ids == list(range(1, 8)) == [entry["id"] for entry in answered if entry["id"]]
    assert len(calls) == sum(entry["method"] == "notifications/progress" for entry in answered)
    assert max(entry["bytes"] for entry in asked) > 1_500_000
    assert sum(entry["bytes"] > 1_500_000 for entry in answered) == 2


def test_the_servers_ledger_is_what_it_writes(tmp_path: Path) -> None:
    ledger = tmp_path / "server.jsonl"
    requests = [
        {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
        {"jsonrpc": "2.0", "id": "two", "method": "tools/call", "params": {"name": "fail"}},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}},
    ]
    done = subprocess.run(
        [sys.executable, PROGRAMS / "mcp_server.py", ledger],
        input="".join(json.dumps(request) + "\n" for request in requests).encode(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    lines = done.stdout.splitlines(keepends=True)
    assert [json.loads(line).get("id") for line in lines] == [1, None, "two"]
    assert [(entry["bytes"], entry["sha256"]) for entry in entries(ledger)] == [
        (len(line), hashlib.sha256(line).hexdigest()) for line in lines
    ]
