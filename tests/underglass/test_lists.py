"""Commands that list a table: their options on the terminal, for programs and in a pipe."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from analysis.columns import COVERAGE
from tests.collector import store_rows as row
from tests.collector.store_rows import MS, START_NS
from tests.tui.stage import demo_batch, make_store
from underglass.cli import underglass
from underglass.csv_rows import cell, print_csv
from underglass.list_options import Asked
from underglass.listed_rows import sorted_records
from underglass.settings import LISTS

UNDERGLASS = Path(sys.executable).with_name("underglass")
HOSTILE = '=HYPERLINK("http://evil","x")'


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's rows, and a session of 1,200 calls that came after them."""
    batch = demo_batch()
    batch.sessions.append(row.session("many", agent="codex"))
    batch.calls += [
        row.call(
            f"m{number:04}", session_id="many", started_ns=START_NS + (100 + number) * 1000 * MS,
            ended_ns=START_NS + (100 + number) * 1000 * MS + number * MS, cost_usd=number / 1000,
            model="gpt-5" if number % 2 else HOSTILE, chunk_ns=(),
        )
        for number in range(1200)
    ]  # fmt: skip
    return make_store(tmp_path_factory.mktemp("store") / "s.db", batch)


def run(store: Path, *arguments: str) -> Result:
    return CliRunner().invoke(underglass, [*arguments, "--db", str(store)])


def rows_of(store: Path, *arguments: str) -> list[dict[str, Any]]:
    found = run(store, *arguments)
    assert found.exit_code == 0, found.output
    value: list[dict[str, Any]] = json.loads(found.stdout)
    return value


def test_people_get_the_newest_thousand_with_the_newest_below(store: Path) -> None:
    found = run(store, "calls", "--where", "session:many")
    lines = found.stdout.splitlines()
    assert len(lines) == 1 + 1000
    assert "$1.1990" in lines[-1]
    assert found.stderr == "underglass: the newest 1,000 of 1,200; --limit 0 shows all\n"
    turned = run(store, "calls", "--where", "session:many", "--reverse", "--limit", "3")
    costs = [re.findall(r"\$\S+", line) for line in turned.stdout.splitlines()[1:]]
    assert costs == [["$1.1990"], ["$1.1980"], ["$1.1970"]]
    whole = run(store, "calls", "--where", "session:many", "--limit", "0")
    assert (len(whole.stdout.splitlines()), whole.stderr) == (1201, "")
    assert "\x1b" not in found.stdout


def test_programs_get_all_rows_unless_they_say_how_many(store: Path) -> None:
    found = rows_of(store, "calls", "--json", "--where", "session:many")
    assert [one["call_id"] for one in found] == [f"m{number:04}" for number in range(1200)]
    assert set(found[0]) > {"cost_usd", "http_status", "params"}
    newest = rows_of(store, "calls", "--json", "--limit", "2", "--where", "session:many")
    assert newest == found[-2:]
    dearest = rows_of(store, "calls", "--json", "--limit", "2", "--sort", "cost")
    assert dearest == found[:-3:-1]
    assert rows_of(store, "calls", "--json", "--where", "model:none cost:>9") == []


def test_csv_is_a_table_that_no_spreadsheet_executes(store: Path) -> None:
    found = run(store, "calls", "--csv", "--where", "session:many")
    assert found.stdout_bytes.count(b"\r\n") == 1201
    rows = list(csv.DictReader(io.StringIO(found.stdout_bytes.decode(), newline="")))
    as_json = rows_of(store, "calls", "--json", "--where", "session:many")
    assert list(rows[0]) == list(as_json[0])
    assert len(rows) == 1200
    assert rows[0]["model"] == f"'{HOSTILE}"
    assert (rows[1]["model"], rows[1]["cost_usd"], rows[1]["stream"]) == ("gpt-5", "0.001", "true")
    assert (rows[0]["lost_bytes"], rows[0]["error_type"]) == ("0", "")
    assert json.loads(rows[0]["params"]) == as_json[0]["params"]
    empty = run(store, "calls", "--csv", "--where", "model:nothing")
    assert empty.stdout.rstrip("\r\n").split(",") == list(as_json[0])
    assert run(store, "calls", "--csv", "--json").exit_code == 2


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_formulas_are_made_harmless(text: str) -> None:
    assert cell(text) == f"'{text}"


def test_cells_of_csv(capsys: pytest.CaptureFixture[str]) -> None:
    assert (cell(-1), cell(["=1"]), cell("a\0"), cell(None)) == (-1, '["=1"]', "a\ufffd", None)
    print_csv(["a", "b"], [{"a": 'x "y", z', "b": None}, {"a": "l1\nl2", "b": {"k": [1]}}])
    assert capsys.readouterr().out == 'a,b\r\n"x ""y"", z",\r\n"l1\nl2","{""k"":[1]}"\r\n'


@pytest.mark.parametrize("name", [*LISTS, "coverage", "spend", "context", "health"])
def test_every_list_has_the_same_options(store: Path, name: str) -> None:
    command = underglass.get_command(click.Context(underglass), name)
    assert command is not None
    options = {option for parameter in command.params for option in parameter.opts}
    assert options >= {"--where", "--limit", "--sort", "--reverse", "--json", "--csv", "--watch"}
    refused = run(store, name, "--where", "nosuchcolumn:1")
    assert getattr(refused.exception, "exit_code", 0) == 2
    assert "no column 'nosuchcolumn'" in str(refused.exception)
    for arguments in (("--json",), ("--limit", "1", "--reverse")):
        found = run(store, name, *arguments)
        assert found.exit_code == 0, (arguments, found.output, found.exception)
        if arguments == ("--json",):
            json.loads(found.stdout)


def test_nothing_stored_and_nothing_that_fits_are_told_apart(store: Path) -> None:
    assert run(store, "calls", "--where", "model:zzz").stderr == "nothing is like 'model:zzz'\n"
    assert "watch an agent" not in run(store, "calls", "--session", "none").stderr
    assert run(store, "conflicts").stderr == "no conflicts found\n"


def test_findings_of_all_kinds_or_of_one(store: Path) -> None:
    found = rows_of(store, "findings", "--json")
    assert len({one["kind"] for one in found}) > 1
    loops = rows_of(store, "loops", "--json")
    assert loops
    assert loops == [one for one in found if one in loops]
    kind = loops[0]["kind"]
    assert {one["kind"] for one in rows_of(store, "findings", "--kind", kind, "--json")} == {kind}
    for one in found:
        assert set(one) >= {"session_id", "severity", "first_at", "last_at", "evidence"}
        assert all(set(each) == {"kind", "id", "note", "at", "pid"} for each in one["evidence"])
    wrong = run(store, "findings", "--kind", kind[:-1])
    assert wrong.exit_code == 2
    assert f"did you mean {kind}" in wrong.stderr


def test_spend_of_the_calls_that_fit(store: Path) -> None:
    def spent(*arguments: str) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(run(store, "spend", "--json", *arguments).stdout)
        return value

    whole = spent()
    some = spent("--where", "session:many cost:>1")
    assert some["total"]["calls"] == 199
    assert some["total"]["cost_usd"] == pytest.approx(sum(range(1001, 1200)) / 1000)
    assert {one["cause"] for one in whole["waste"]} > {one["cause"] for one in some["waste"]}
    rows = spent("--sort", "calls", "--limit", "1")
    most = max(one["calls"] for one in whole["rows"])
    assert [one["calls"] for one in rows["rows"]] == [most]
    assert rows["left_out"] == len(whole["rows"]) - 1


def test_records_are_sorted_as_the_database_sorts() -> None:
    records: list[dict[str, Any]] = [
        {"pid": 1, "stack": "b"},
        {"pid": None, "stack": "a"},
        {"pid": 2, "stack": "c"},
    ]
    for asked, order in (
        (Asked(), [1, None, 2]),
        (Asked(reverse=True), [2, None, 1]),
        (Asked(sort="pid"), [2, 1, None]),
        (Asked(sort="pid", reverse=True), [1, 2, None]),
        (Asked(sort="stack"), [None, 1, 2]),
    ):
        assert [one["pid"] for one in sorted_records(COVERAGE, records, asked)] == order


def test_what_does_not_go_together_is_refused(store: Path) -> None:
    for arguments in (
        ("calls", "--watch"),
        ("calls", "--watch", "--csv"),
        ("context", "s1", "--where", "x"),
        ("coverage", "--now", "--where", "x"),
    ):
        assert run(store, *arguments).exit_code == 2, arguments
    assert "underglass follow" in run(store, "calls", "--watch").stderr


def test_watch_prints_json_again_and_again(store: Path) -> None:
    command = [
        str(UNDERGLASS),
        "calls",
        "--watch",
        "0.1",
        "--json",
        "--limit",
        "2",
        "--db",
        str(store),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = [json.loads(child.stdout.readline()) for _ in range(3)]
        child.send_signal(signal.SIGINT)
        assert child.wait(20) == 130
    assert [len(one) for one in lines] == [2, 2, 2]
    assert lines[0] == lines[2]


def test_watch_redraws_in_place_on_a_terminal(store: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"COLUMNS": "80", "LINES": "12", "TERM": "xterm-256color"}
        os.environ.pop("NO_COLOR", None)
        os.execv(UNDERGLASS, ["underglass", "calls", "--watch", "0.1", "--db", str(store)])
    seen = ""
    until = time.monotonic() + 30
    while seen.count("\x1b[H") < 3 and time.monotonic() < until:
        if select.select([terminal], [], [], 0.5)[0]:
            seen += os.read(terminal, 65536).decode(errors="replace")
    os.kill(pid, signal.SIGINT)
    while select.select([terminal], [], [], 5)[0]:
        try:
            seen += os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # the child closed its side
            break
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    os.close(terminal)
    assert seen.index("\x1b[?1049h") < seen.index("\x1b[H")
    assert seen.rstrip().endswith("\x1b[?1049l")
    for frame in seen.split("\x1b[H")[1:3]:
        lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", frame).splitlines()
        assert len(lines) == 11, lines
        assert lines[0].startswith("underglass calls --watch 0.1")
        assert max(map(len, lines)) <= 80
        assert lines[2].startswith("time")
        assert lines[9].endswith("$1.1990")
        assert lines[10].startswith("underglass: the newest 7 of 1,2")
        assert "\x1b[32m" in frame  # colours
