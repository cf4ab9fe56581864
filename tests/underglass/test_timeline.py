"""The command `timeline`, on a store with what a session and its sub-agent did."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from analysis.derived import ToolActionRow
from collector.rows import Batch, FileEventRow
from collector.store import Store
from tests.collector.store_rows import process, session, tool_call
from underglass.cli import underglass

S = 1_000_000_000
CHANGED = ToolActionRow("sub", "c1", "t1", "file", "f8", 12 * S, "descendant", "certain")


def touched(number: int, operation: str = "open", access: str | None = "write") -> FileEventRow:
    at_ns = (number + 2) * S
    return FileEventRow(
        file_event_id=f"f{number}",
        capture_id="k1",
        process_key="p1",
        pid=7,
        first_ns=at_ns,
        last_ns=at_ns,
        count=1,
        operation=operation,
        access=access,
        path=f"/srv/{number}",
        new_path=None,
        error=None,
    )


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    path = tmp_path / "store.db"
    with Store.open(path) as store:
        store.write(
            Batch(
                sessions=[session("s1"), session("sub", parent_session_id="s1")],
                processes=[process("p1", session_id="s1", started_ns=S, ended_ns=20 * S)],
                tool_calls=[
                    tool_call("t1", session_id="sub", call_id="c1", requested_ns=9 * S + S // 2)
                ],
                file_events=[
                    *(touched(number) for number in range(6)),
                    touched(6, "unlink", None),
                    touched(8),
                ],
            )
        )

        def insert(connection: duckdb.DuckDBPyConnection) -> None:
            values = [getattr(CHANGED, name) for name in ToolActionRow.__slots__]
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO tool_action VALUES ({marks})", values)

        store.derive(insert, store.stale_sessions())

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(underglass, ["timeline", *arguments, "--db", str(path)])

    return invoke


def test_files_that_follow_each_other_are_folded(run: Callable[..., Result]) -> None:
    said = run("s1").output
    lines = [line for line in said.splitlines() if " file " in line or "files" in line]
    assert [line.partition("file")[2].split() for line in lines] == [
        ["open", "write", "/srv/0"],
        ["open", "write", "/srv/1"],
        ["open", "write", "/srv/2"],
        ["s", "(--kind", "file)"],
        ["open", "write", "/srv/8"],
    ]
    assert "and 4 more files" in said
    whole = run("s1", "--kind", "file").output
    assert "unlink /srv/6" in whole
    assert "more files" not in whole


def test_what_a_sub_agents_tool_call_caused_stands_below_it(run: Callable[..., Result]) -> None:
    rows = json.loads(run("s1", "--json").output)["timeline"]
    causes = {row["id"]: row["tool_call_id"] for row in rows if row["kind"] == "file"}
    assert causes == {**{f"f{number}": None for number in range(7)}, "f8": "t1"}
    (line,) = [line for line in run("s1").output.splitlines() if "/srv/8" in line]
    assert "   file  " in line
