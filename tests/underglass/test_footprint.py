"""The command `footprint`, on a store with rows that analysis left there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from analysis.derived import FootprintRow
from collector.rows import Batch
from collector.store import Store
from tests.collector.store_rows import session
from underglass.cli import underglass

ROWS = [
    FootprintRow("s1", "read", "/srv/.env", 1, 0, 1, 2, "environment_file", False, None),
    FootprintRow("s1", "read", "/usr/lib/**", 9, 0, 1, 2, None, False, "9 files"),
    FootprintRow("s1", "written", "/srv/out", 2, 1, 1, 2, None, True, "denied: EACCES"),
    FootprintRow("s1", "program", "/usr/bin/git", 3, 0, 1, 2, None, True, None),
    FootprintRow("s1", "host", "api.example:443", 1, 0, 1, 2, None, None, "tcp"),
    FootprintRow("sub", "written", "/srv/out", 5, 0, 0, 9, None, None, None),
    FootprintRow("other", "written", "/srv/other", 5, 0, 0, 9, None, None, None),
]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    path = tmp_path / "store.db"
    with Store.open(path) as store:
        children = [session("sub", parent_session_id="s1"), session("other")]
        store.write(Batch(sessions=[session("s1"), *children, session("stranger")]))

        def insert(connection: duckdb.DuckDBPyConnection) -> None:
            for row in ROWS:
                values = [getattr(row, name) for name in FootprintRow.__slots__]
                marks = ", ".join("?" * len(values))
                connection.execute(f"INSERT INTO footprint_entry VALUES ({marks})", values)

        store.derive(insert, store.stale_sessions())

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(underglass, ["footprint", *arguments, "--db", str(path)])

    return invoke


def test_sections_of_what_was_touched(run: Callable[..., Result]) -> None:
    said = run("s1").output.splitlines()
    assert said == [
        "files read (2)",
        "      1  /srv/.env  [environment_file], not asked for by a tool call",
        "      9  /usr/lib/**  9 files",
        "",
        "files written (1)",
        "      7  /srv/out  1 failed, denied: EACCES",
        "",
        "programs (1)",
        "      3  /usr/bin/git",
        "",
        "hosts (1)",
        "      1  api.example:443  tcp",
    ]


def test_as_json(run: Callable[..., Result]) -> None:
    rows = json.loads(run("s1", "--json").output)
    assert {row["session_id"] for row in rows} == {"s1"}
    (written,) = [row for row in rows if row["kind"] == "written"]
    assert (written["count"], written["failed"], written["asked"]) == (7, 1, True)
    assert (written["first_ns"], written["last_ns"]) == (0, 9)


@pytest.mark.parametrize("form", ["json", "claude", "srt", "bwrap"])
def test_profiles(run: Callable[..., Result], form: str) -> None:
    done = run("s1", "--profile", form)
    assert done.exit_code == 0
    assert "/srv" in done.output
    if form != "bwrap":
        assert json.loads(done.output)


def test_the_beginning_of_an_id_must_name_one_session(run: Callable[..., Result]) -> None:
    assert "/srv/other" in run("oth").output
    assert run("s").exit_code != 0
    assert run("unknown").exit_code != 0
    assert "nothing is known" in run("stranger").stderr
