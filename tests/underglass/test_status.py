"""`underglass status`: the dashboard's first view as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.tui.stage import demo_batch, make_store
from underglass.commands.status import command


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("status") / "s.db", demo_batch())


def status(store: Path, *arguments: str) -> str:
    done = CliRunner().invoke(command, ["--db", str(store), *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_table_and_the_sums(store: Path) -> None:
    lines = status(store).splitlines()
    assert lines[0].split()[:3] == ["agent", "session", "state"]
    assert lines[1].startswith("codex 0.5")
    assert "cut off" in lines[1]
    assert lines[2].startswith("claude-code 2.0.1")
    assert "10 calls, 1 open, 1 failed" in lines[4]
    assert lines[4].endswith("nothing is captured now")
    assert any("warning" in line and "bash was called 4 times" in line for line in lines[5:])
    assert "\x1b" not in "".join(lines)


def test_as_json_narrowed_and_filtered(store: Path) -> None:
    told = json.loads(status(store, "--json", "--where", "agent:codex"))
    assert told["live"] is False
    assert told["sessions_stored"] == 2
    (session,) = told["sessions"]
    assert (session["session_id"], session["state"]) == ("s2", "cut_off")
    assert session["open_calls"] == 1
    assert session["cost_usd"] is None
    assert session["last_at"].endswith("Z")
    assert len(told["rates"]["calls"]) == 60
    assert told["findings"][0]["last_at"] >= told["findings"][-1]["last_at"]
    one = json.loads(status(store, "--json", "--session", "s1"))
    assert [each["session_id"] for each in one["sessions"]] == ["s1"]
    assert one["totals"]["calls"] == 8
    rows = status(store, "--csv", "--sort", "calls").splitlines()
    assert len(rows) == 3
    assert rows[0].split(",")[0] == "session_id"
    assert rows[1].startswith("s1,")  # the most calls first
    none = CliRunner().invoke(command, ["--db", str(store), "--where", "state:stuck"])
    assert (none.exit_code, none.stdout) == (0, "")
    assert "none of 2 sessions is like" in none.stderr
