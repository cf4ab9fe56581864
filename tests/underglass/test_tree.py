"""The command `tree`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from collector.store import Store
from tests.acted_store import acted_store
from underglass.cli import underglass


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Result]:
    path = acted_store(tmp_path_factory.mktemp("tree") / "store.db")

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(underglass, ["tree", *arguments, "--db", str(path)])

    return invoke


def test_the_tree_as_text(run: Callable[..., Result]) -> None:
    said = run().stdout
    lines = said.splitlines()
    assert lines[:3] == [
        "claude-code s1  (2 tool calls, 10-09 08:53:20)",
        "├─ Bash cat notes.txt  (error 2.00s, 2 programs, 10 files, 1 connection)",
        "│  └─ /bin/sh -c cat notes.txt  (exit 0, 1.80s, command)",
    ]
    assert "│        └─ connect files.example:443  (203.0.113.9)" in lines
    assert lines[-1].startswith("      └─ connect tracker.example:443  (unasked")
    assert "\x1b" not in said
    assert run("s1").stdout == said


def test_the_tree_as_json_nests_the_same(run: Callable[..., Result]) -> None:
    (session,) = json.loads(run("--json").stdout)
    bash, read, own = session["children"]
    assert (session["kind"], session["session_id"]) == ("session", "s1")
    assert (bash["tool_call_id"], bash["is_error"], bash["duration_ms"]) == ("t1", True, 2000.0)
    assert [child["kind"] for child in read["children"]] == ["file"]
    assert own["kind"] == "own"
    (shell,) = bash["children"]
    assert shell["started_at"] == "2025-10-09T08:53:22.223456Z"
    assert shell["argv"] == ["/bin/sh", "-c", "cat notes.txt"]


def test_a_filter_and_what_cannot_be_shown(run: Callable[..., Result], tmp_path: Path) -> None:
    assert len(run("--where", "id_rsa").stdout.splitlines()) == 5
    nothing = run("--where", "nowhere")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "nothing fits" in nothing.stderr
    assert run("gone").exception is not None
    with Store.open(tmp_path / "empty.db"):
        pass
    empty = CliRunner().invoke(underglass, ["tree", "--db", str(tmp_path / "empty.db")])
    assert "no session yet" in empty.stderr
