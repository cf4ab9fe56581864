"""`underglass rpc`, messages and calls."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.collector.rpc_wire import PROGRESS, REFUSED, SESSION, event, session, stored, stream

UNDERGLASS = Path(sys.executable).with_name("underglass")


def rpc(store: Path, *arguments: str) -> str:
    command = [str(UNDERGLASS), "rpc", "--db", str(store), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_line_a_message_or_a_line_a_call(tmp_path: Path) -> None:
    answer = stream([event(PROGRESS), event(REFUSED)], SESSION)
    store = stored(tmp_path / "s.db", session(answer).closes())
    found = json.loads(rpc(store, "--json"))
    assert [row["kind"] for row in found] == [
        *("request", "response", "notification", "request", "notification", "error"),
    ]
    initialized, called = json.loads(rpc(store, "--calls", "--json"))
    assert (initialized["method"], initialized["status"]) == ("initialize", "ok")
    assert (called["tool"], called["status"], called["error_code"]) == ("add", "error", -32602)
    assert called["answer_body"] == json.loads(REFUSED)
    lines = rpc(store, "--calls").splitlines()
    assert len(lines) == 3
    assert "tools/call add" in lines[2]
    assert "calculator" in lines[2]
    assert json.loads(rpc(store, "--calls", "--json", "--session", "none")) == []


def test_nothing_stored(tmp_path: Path) -> None:
    store = stored(tmp_path / "s.db")
    assert json.loads(rpc(store, "--calls", "--json")) == []
