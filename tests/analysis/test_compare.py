"""Sets of sessions compared, in stores of made-up sessions."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from analysis.analyst import TABLES
from analysis.compare import COUNTED_LOOPS, OUTCOMES, Compared, Comparison, compare
from analysis.derived import FindingRow, OutcomeRow
from analysis.intervals import share
from analysis.loops import LOOP_KINDS
from analysis.reading import open_reader
from analysis.session_sets import SessionSet, parse_set, sql_set
from collector.rows import Batch, CallRow
from collector.store import Store
from collector.store_errors import QueryFailed
from probes.errors import UnderglassError
from tests.collector.store_rows import MS, START_NS, call, session
from underglass.commands.compare import command

DAY_NS = 86_400 * 10**9
NOW_NS = START_NS + 100 * DAY_NS


def outcome_row(session_id: str, outcome: str = "completed", **changes: Any) -> OutcomeRow:
    row = OutcomeRow(
        session_id=session_id,
        outcome=outcome,
        reason="made",
        wall_ns=2000 * MS,
        calls=2,
        failed_calls=0,
        tool_calls=4,
        failed_tool_calls=1,
        human_escalations=0,
        cost_usd=0.02,
        unpriced_calls=0,
        tokens=3000,
        wasted_usd=0.0,
        wasted_tokens=0,
    )
    return replace(row, **changes)


def loop_row(session_id: str, number: int, kind: str = "repeat") -> FindingRow:
    return FindingRow(
        finding_id=f"{session_id}-{number}",
        scope=session_id,
        session_id=session_id,
        kind=kind,
        severity="warning",
        first_ns=START_NS,
        last_ns=START_NS,
        title="made",
        count=3,
        wasted_tokens=None,
        wasted_usd=None,
        waited_ms=None,
        evidence="[]",
        found_ns=START_NS,
    )


class Made:
    """A store under way."""

    def __init__(self) -> None:
        self.batch = Batch()
        self.outcomes: list[OutcomeRow] = []
        self.findings: list[FindingRow] = []

    def add(
        self,
        session_id: str,
        *,
        agent: str = "codex",
        version: str = "1",
        day: int = 0,
        model: str = "gpt-5",
        took_ms: Sequence[int] = (1000, 1200),
        outcome: OutcomeRow | None = None,
        loops: Sequence[str] = (),
        parent: str | None = None,
        **changes: Any,
    ) -> None:
        """One session with a call for each of `took_ms`."""
        started_ns = START_NS + day * DAY_NS
        self.batch.sessions.append(
            replace(
                session(),
                session_id=session_id,
                agent=agent,
                agent_version=version,
                parent_session_id=parent,
                started_ns=started_ns,
            )
        )
        for number, ms in enumerate(took_ms):
            row: CallRow = replace(
                call(),
                call_id=f"{session_id}-{number}",
                session_id=session_id,
                model=model,
                started_ns=started_ns,
                first_token_ns=started_ns + ms * MS // 10,
                ended_ns=started_ns + ms * MS,
                lost_bytes=0,
            )
            self.batch.calls.append(replace(row, **changes))
        if outcome is not None:
            self.outcomes.append(outcome)
        self.findings += [loop_row(session_id, n, kind) for n, kind in enumerate(loops)]

    def write(self, path: Path) -> Path:
        with Store.open(path) as store:
            store.write(self.batch)

            def derive(connection: Any) -> None:
                for name, rows in (("session_outcome", self.outcomes), ("finding", self.findings)):
                    if rows:
                        (table,) = (one for one in TABLES if one.name == name)
                        connection.register("made", table.arrow(rows, content=True))
                        connection.execute(f"INSERT INTO {name} BY NAME FROM made")
                        connection.unregister("made")

            store.derive(derive)
        return path


@pytest.fixture
def compared(tmp_path: Path) -> Callable[..., Comparison]:
    """Compare two sets of a made store."""

    def run(made: Made, a: str | SessionSet, b: str | SessionSet) -> Comparison:
        sets = [parse_set(one, NOW_NS) if isinstance(one, str) else one for one in (a, b)]
        path = tmp_path / "store.db"
        if not path.exists():
            made.write(path)
        with open_reader(path) as reader:
            return compare(reader, *sets)

    return run


def measure(comparison: Comparison, name: str) -> Compared:
    (found,) = (one for one in comparison.measures if one.name == name)
    return found


def two_sets(count: int, failed_b: int) -> Made:
    """`a...` all completed, `failed_b` of `b...` failed; b is slower and loops."""
    made = Made()
    for number in range(count):
        made.add(
            f"a{number}",
            took_ms=[1000 + 10 * number, 1100 + 7 * number],
            outcome=outcome_row(f"a{number}", cost_usd=0.02 + number / 10_000),
        )
        failed = number < failed_b
        made.add(
            f"b{number}",
            version="2",
            took_ms=[3000 + 10 * number, 3100 + 7 * number],
            outcome=outcome_row(
                f"b{number}",
                "failed" if failed else "completed",
                human_escalations=int(failed),
                cost_usd=0.05 + number / 10_000,
            ),
            loops=["repeat", "polling"] if number % 2 else ["repeat", "cycle"],
        )
    return made


def test_differences_that_so_many_sessions_show(compared: Callable[..., Comparison]) -> None:
    found = compared(two_sets(30, 15), "version=1", "version=2")
    assert (found.a.sessions, found.a.ended, found.b.sessions) == (30, 30, 30)
    failed = measure(found, "sessions failed")
    assert (failed.a, failed.b) == (share(0, 30), share(15, 30))
    assert failed.significant
    assert failed.says == "B is higher"
    assert measure(found, "sessions completed").says == "B is lower"
    assert measure(found, "sessions that needed a human").b.value == 0.5
    assert measure(found, "cost per session").significant
    per_task = measure(found, "cost per completed session")
    assert per_task.b.value == pytest.approx((0.05 * 30 + sum(range(30)) / 10_000) / 15)
    loops = measure(found, "loops per session")
    assert (loops.a.value, loops.b.value) == (0.0, 1.5)  # polling is none
    latency = measure(found, "latency, median")
    assert latency.of == "calls"
    assert latency.b.count == 60
    assert 1000 < (latency.difference.low or 0) < (latency.difference.value or 0) < 3000
    assert measure(found, "time to first token, median").a.value == pytest.approx(
        (latency.a.value or 0) / 10
    )
    tools = measure(found, "tool calls that failed")
    assert tools.a.value == 0.25
    assert tools.significant is False
    assert any("by chance alone" in note for note in found.notes)


def test_few_sessions_show_little_and_say_so(compared: Callable[..., Comparison]) -> None:
    found = compared(two_sets(8, 2), "version=1", "version=2")
    failed = measure(found, "sessions failed")
    assert failed.says == "no difference that 8 and 8 sessions could show"
    assert "A has 8 sessions: only large differences can show" in found.notes


def test_two_single_sessions(compared: Callable[..., Comparison]) -> None:
    made = Made()
    made.add("one", took_ms=range(900, 1100, 5), outcome=outcome_row("one"))
    made.add("two", took_ms=range(1900, 2100, 5), outcome=outcome_row("two"))
    found = compared(made, "one", "two")
    assert measure(found, "cost per session").says == "1 and 1 sessions are too few to tell"
    latency = measure(found, "latency, median")  # within the sessions it can be told
    assert latency.significant
    assert (
        measure(found, "latency, 95th percentile").significant is None
    )  # 40 calls: no upper bound
    assert any(note.startswith("A has fewer than 5 sessions") for note in found.notes)


def test_what_is_not_known_is_left_out(compared: Callable[..., Comparison]) -> None:
    made = Made()
    for number in range(6):
        made.add(f"a{number}", status="error" if number == 0 else "ok")
        made.add(
            f"b{number}",
            outcome=outcome_row(
                f"b{number}",
                "running" if number < 2 else "completed",
                cost_usd=1.0,
                unpriced_calls=int(number == 5),
            ),
        )
    found = compared(made, "a", "b")
    assert (found.a.ended, found.b.ended) == (0, 4)
    for name in (*(f"sessions {outcome}" for outcome in OUTCOMES), "loops per session"):
        assert measure(found, name).a.value is None
        assert measure(found, name).says == "not known of A"
    assert measure(found, "sessions completed").b == share(4, 4)
    assert measure(found, "cost per session").b.count == 5  # a partly priced one is not known
    failed = measure(found, "calls that failed")  # counted though nothing was analysed
    assert (failed.a.value, failed.a.count) == (2 / 12, 12)
    assert any("how 6 of 6 sessions of A ended is not known" in note for note in found.notes)


def test_every_loop_but_polling_counts() -> None:
    assert LOOP_KINDS - {"polling"} == COUNTED_LOOPS


def test_shared_sessions_are_noted(compared: Callable[..., Comparison]) -> None:
    found = compared(two_sets(6, 1), "version=1", "all")
    assert any("share 6 of their sessions" in note for note in found.notes)


def members(made: Made, tmp_path: Path, *expressions: str | SessionSet) -> list[list[str]]:
    path = made.write(tmp_path / "sets.db")
    with open_reader(path) as reader:
        return [
            (parse_set(one, NOW_NS) if isinstance(one, str) else one).session_ids(reader)
            for one in expressions
        ]


def test_sets(tmp_path: Path) -> None:
    made = Made()
    made.add("c1", agent="codex", version="1.0", model="gpt-5", day=0)
    made.add("c2", agent="codex", version="1.1", model="gpt-5-mini", day=10)
    made.add("d1", agent="claude-code", version="1.1", model="claude-opus-4-5", day=20, parent="x")
    day = datetime.datetime.fromtimestamp(START_NS // 10**9 + 10 * 86_400, datetime.UTC).date()
    expected = {
        "c1": ["c1"],
        "c": ["c1", "c2"],
        "c1, d": ["c1", "d1"],
        "agent=codex": ["c1", "c2"],
        "agent=codex,agent=claude*": ["c1", "c2", "d1"],
        "agent=codex,version=1.1": ["c2"],
        "model=gpt-5": ["c1"],
        "model=gpt-5*,version=1.1": ["c2"],
        f"{day}..": ["c2", "d1"],
        f"..{day}": ["c1"],
        f"{day}..85d,agent=codex": ["c2"],
        "all": ["c1", "c2", "d1"],
        "main": ["c1", "c2"],
        "main,version=1.1": ["c2"],
    }
    where = sql_set("agent = 'codex' OR tool_calls > 99 -- but not d1")
    found = members(made, tmp_path, *expected, where)
    assert found == [*expected.values(), ["c1", "c2"]]


@pytest.mark.parametrize("text", ["", "c1,,d1", "agent=", "colour=red", "yesterday..", ","])
def test_what_is_no_set(text: str) -> None:
    with pytest.raises(UnderglassError) as error:
        parse_set(text, NOW_NS)
    assert error.value.exit_code == 2


def test_empty_sets_and_bad_sql(tmp_path: Path) -> None:
    path = two_sets(1, 0).write(tmp_path / "store.db")
    with open_reader(path) as reader:
        with pytest.raises(UnderglassError, match="no session in the set agent=nobody"):
            compare(reader, parse_set("all", NOW_NS), parse_set("agent=nobody", NOW_NS))
        with pytest.raises(QueryFailed):
            sql_set("no such column").session_ids(reader)


def test_the_command(tmp_path: Path) -> None:
    path = two_sets(20, 10).write(tmp_path / "store.db")
    run = CliRunner().invoke
    table = run(command, ["version=1", "version=2", "--db", str(path)])
    assert table.exit_code == 0, table.output
    assert "A  version=1  (20 sessions, 20 ended)" in table.output
    assert "+50.0% (+24.3% to +70.1%)" in table.output  # Newcombe, 10/20 less 0/20
    asked = ["--where-a", "agent_version = '1'", "version=2", "--json", "--db", str(path)]
    answer = json.loads(run(command, asked).output)
    assert answer["a"] == {"expression": "where agent_version = '1'", "sessions": 20, "ended": 20}
    (failed,) = (one for one in answer["measures"] if one["name"] == "sessions failed")
    assert failed["significant"] is True
    assert failed["difference"]["value"] == 0.5
    assert run(command, ["version=1", "--db", str(path)]).exit_code == 2
    assert run(command, ["a", "b", "--where-a", "true", "--db", str(path)]).exit_code == 2
