"""`underglass follow` beside a collector that comes, goes and comes again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from analysis.happenings import KINDS, Happening
from collector.query_service import QueryService
from collector.rows import Batch
from collector.store import Store
from tests.collector.store_rows import MS, call, tool_call
from underglass.commands.follow import KINDS as OFFERED
from underglass.commands.follow import line

ENVIRONMENT = os.environ | {"UNDERGLASS_SOCKET": ""}


class Lines:
    """Lines of a stream as they come."""

    def __init__(self, stream: IO[str]) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: IO[str]) -> None:
        for text in stream:
            with self._changed:
                self.lines.append(text.rstrip("\n"))
                self._changed.notify_all()

    def until(self, there: Callable[[list[str]], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: there(self.lines), 30), self.lines


def follow(path: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "underglass", "follow", "--db", path, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


def write_as_owner(path: Path, *batches: Batch) -> None:
    """A collector's life: it owns the store, answers queries, and ends."""
    with Store.open(path) as store:
        service = QueryService(store)
        service.start()
        assert service.wait_until_ready(30)
        for batch in batches:
            store.write(batch)
        service.close()


def test_it_waits_for_a_store_and_lives_through_owners_each_event_once(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    follower = follow(path, "--json")
    assert follower.stdout is not None
    assert follower.stderr is not None
    out, err = Lines(follower.stdout), Lines(follower.stderr)
    err.until(lambda lines: any("no store" in each for each in lines))
    now = time.time_ns()
    asked = tool_call(tool_call_id="t", call_id="a", requested_ns=now + MS, result_ns=None)
    open_call = call(call_id="a", started_ns=now, ended_ns=None, status="running")
    with Store.open(path) as store:
        service = QueryService(store)
        service.start()
        assert service.wait_until_ready(30)
        store.write(Batch(calls=[open_call], tool_calls=[asked]))
        out.until(lambda lines: len(lines) == 2)  # told while the owner lives
        service.close()
    write_as_owner(path, Batch(calls=[call(call_id="b", started_ns=now + 2 * MS)]))
    ended = call(call_id="a", started_ns=now, ended_ns=now + 9 * MS, cost_usd=0.5)
    write_as_owner(path, Batch(calls=[ended]))
    out.until(lambda lines: len(lines) >= 5)
    follower.send_signal(signal.SIGINT)
    assert follower.wait(30) == 130
    told = [json.loads(each) for each in out.lines]
    assert [(each["event"], each["call_id"]) for each in told] == [
        ("call_started", "a"),
        ("tool", "a"),
        ("call_started", "b"),
        ("call_ended", "b"),
        ("call_ended", "a"),
    ]
    assert told[0]["status"] == "running"
    assert (told[4]["status"], told[4]["cost_usd"]) == ("ok", 0.5)
    assert told[1]["arguments"] == {"command": "ls"}
    assert any("now from" in each for each in err.lines)


def test_it_ends_in_time_and_with_whoever_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    write_as_owner(path, Batch(calls=[call(started_ns=time.time_ns())]))
    short = follow(path, "--since", "1h", "--for", "0.1")
    said, errors = short.communicate(timeout=60)
    assert (short.returncode, errors) == (0, "")
    began, ended = said.splitlines()
    assert began.split()[1:] == ["→", "call", "claude-code", "claude-sonnet-4-5"]
    assert ended.split()[1:7] == [
        "←",
        "answer",
        "claude-code",
        "claude-sonnet-4-5",
        "ok",
        "1.20k→80",
    ]
    quiet = follow(path)
    assert quiet.stdout is not None
    quiet.stdout.close()  # nothing is ever written, and yet it ends
    assert quiet.wait(30) == 0
    wrong = follow(path, "--where", "colour:red", "--for", "1")
    _, errors = wrong.communicate(timeout=60)
    assert wrong.returncode == 2
    assert "colour" in errors


def test_each_kind_has_a_line_without_control_characters() -> None:
    assert tuple(KINDS) == OFFERED
    for kind in KINDS.values():
        for event in filter(None, (kind.began, kind.ended)):
            row: dict[str, Any] = dict.fromkeys(_FIELDS)
            row |= {"name": "x\x1b[31m", "title": "a\nb", "path": "/p\x07", "severity": "warning"}
            shown = line(Happening(event, kind.name, 0, row))
            assert "\x1b[31mx" not in shown
            assert "\n" not in shown
            assert "\x07" not in shown


_FIELDS = (
    *("agent", "comm", "model", "request_model", "status", "error_type", "input_tokens"),
    *("output_tokens", "cost_usd", "cost_source", "duration_ms", "name", "arguments", "is_error"),
    *("result_preview", "severity", "kind", "title", "argv", "pid", "exit_code", "signal"),
    *("operation", "access", "path", "error", "address", "port"),
)
