"""What analysis keeps in the store: current, once, and as first found."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.analyst import Analyst, Pace, analyse
from analysis.live import LiveAnalyst
from analysis.steps import Finding
from collector.rows import Batch, FileEventRow, SessionRow
from collector.store import Store
from collector.store_errors import StoreWriteFailed
from tests.analysis.test_findings import call_row, process_row, tool_row, write


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "s.db") as store:
        yield store


def rows(store: Store, sql: str) -> list[tuple[Any, ...]]:
    with store.cursor() as cursor:
        return cursor.execute(sql).fetchall()


def repeats(count: int, session_id: str = "a") -> Batch:
    return Batch(
        calls=[call_row(n, session_id, None) for n in range(1, count + 2)],
        tool_calls=[tool_row(n, session_id, "cat x", "one") for n in range(1, count + 1)],
    )


def test_a_finding_that_grows_stays_the_same_and_is_told_once(store: Store) -> None:
    told: list[Finding] = []
    analyst = Analyst(store, told.append)
    write(store, "a", [], [])
    seen = []
    for count in range(1, 7):
        store.write(repeats(count))
        analyst.analyse_stale()
        seen.append(rows(store, "SELECT finding_id, kind, count, found_ns FROM finding"))
    assert [[(kind, number) for _, kind, number, _ in each] for each in seen] == [
        *([], []), [("repeat", 3)], [("repeat", 4)], [("repeat", 5)], [("repeat", 6)],
    ]  # fmt: skip
    assert len({(finding_id, found_ns) for ((finding_id, _, _, found_ns),) in seen[2:]}) == 1
    assert [(one.kind, one.count) for one in told] == [("repeat", 3)]


def test_what_was_found_before_is_remembered_by_the_store(store: Store) -> None:
    write(store, "a", [], [])
    store.write(repeats(3))
    analyse(store)
    before = rows(store, "SELECT finding_id, found_ns FROM finding")
    store.write(repeats(4))
    told: list[Finding] = []
    analyse(store, told.append)
    assert rows(store, "SELECT finding_id, found_ns FROM finding") == before
    assert told == []


def test_only_what_was_written_is_analysed(store: Store) -> None:
    for name in ("a", "b"):
        write(store, name, [], [])
    assert set(store.stale_sessions()) == {"a", "b"}
    assert analyse(store) == 2
    assert store.stale_sessions() == {}
    store.write(repeats(3, "b"))
    assert set(store.stale_sessions()) == {"b"}
    assert analyse(store) == 1
    assert analyse(store) == 0
    store.mark_all_stale()
    assert analyse(store) == 2


def test_rows_written_while_a_session_is_analysed_keep_it_stale(store: Store) -> None:
    write(store, "a", [], [])
    marks = store.stale_sessions()
    store.write(repeats(3))
    Analyst(store).analyse(marks)
    assert set(store.stale_sessions()) == {"a"}


def test_stale_sessions_outlive_the_process(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.db") as store:
        write(store, "a", [], [])
    with Store.open(tmp_path / "s.db") as store:
        assert set(store.stale_sessions()) == {"a"}
        analyse(store)
    with Store.open(tmp_path / "s.db") as store:
        assert store.stale_sessions() == {}


def test_a_session_that_is_gone_takes_its_findings_with_it(store: Store) -> None:
    write(store, "a", [], [])
    store.write(repeats(3))
    analyse(store)
    assert rows(store, "SELECT count(*) FROM finding") == [(1,)]
    store.transact(
        lambda connection: (
            [
                connection.execute(f"DELETE FROM {table} WHERE session_id = 'a'")
                for table in ("session", "llm_call", "tool_call")
            ]
            and connection.execute("INSERT INTO stale_session VALUES ('a')")
        )
    )
    analyse(store)
    assert rows(store, "SELECT count(*) FROM finding") == [(0,)]
    assert store.stale_sessions() == {}


def test_sub_agents_are_analysed_with_their_parent(store: Store) -> None:
    write(store, "a", [], [])
    store.write(Batch(sessions=[SessionRow("b", "read", None, None, "a", 10, 2)]))
    assert analyse(store) == 1
    store.write(repeats(3, "b"))
    analyse(store)
    assert rows(store, "SELECT session_id, scope FROM finding") == [("b", "b")]


def test_a_loop_is_told_at_once_and_stays_the_same_finding(store: Store) -> None:
    told: list[Finding] = []
    analyst = Analyst(store, told.append)
    write(store, "a", [], [])
    store.write(repeats(2))
    assert analyst.raise_alarms(["a"], 0) == 0
    store.write(repeats(3))
    assert analyst.raise_alarms(["a"], 0) == 1
    assert analyst.raise_alarms(["a"], 0) == 0
    before = rows(store, "SELECT finding_id, count, found_ns FROM finding")
    analyst.analyse_stale()
    assert rows(store, "SELECT finding_id, count, found_ns FROM finding") == before
    assert len(told) == 1
    store.write(repeats(5))
    analyst.raise_alarms(["a"], 0)
    analyst.analyse_stale()
    ((finding_id, count, found_ns),) = rows(
        store, "SELECT finding_id, count, found_ns FROM finding"
    )
    assert [(finding_id, 3, found_ns)] == before
    assert count == 5


def test_the_live_analyst_finds_before_it_is_closed(store: Store) -> None:
    found = threading.Event()
    live = LiveAnalyst(store, lambda _: found.set())
    write(store, "a", [], [])
    store.write(repeats(3))
    live.nudge()
    assert found.wait(30)
    store.write(repeats(4))
    live.nudge()
    live.close()
    assert live.failure is None
    assert rows(store, "SELECT count FROM finding") == [(4,)]


def test_sessions_that_go_on_elsewhere_are_left_to_others(store: Store) -> None:
    store.write(Batch(sessions=[SessionRow(one, "read", None, None, None, 1, 1) for one in "ab"]))
    live = LiveAnalyst(store)
    live.close(but=["b"])
    assert set(store.stale_sessions()) == {"b"}
    stopped = LiveAnalyst(store)
    stopped.nudge()
    stopped.stop()
    assert analyse(store) <= 1
    assert not store.stale_sessions()


def test_a_store_that_cannot_be_written_is_told_and_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, "a", [], [])
    store.write(repeats(3))

    def refuse(*_: object) -> None:
        raise StoreWriteFailed(store.path, "no room")

    with monkeypatch.context() as patch:
        patch.setattr(store, "derive", refuse)
        live = LiveAnalyst(store)
        live.close()
        assert live.failure is not None
        assert "no room" in live.failure
    assert set(store.stale_sessions()) == {"a"}
    assert analyse(store) == 1


def test_the_pace_leaves_most_of_the_processor_alone() -> None:
    now = [100.0]
    pace = Pace(share=0.1, clock=lambda: now[0])
    assert pace.wait_s == 0
    pace.took(0.5)
    assert pace.wait_s == pytest.approx(4.5)
    now[0] += 10
    assert pace.wait_s == 0


def test_hostile_rows_are_analysed(store: Store) -> None:
    """Times that run backwards, empty names, results without requests."""
    write(store, "a", [], [])
    odd = [replace(tool_row(n, "a", "x", "y"), requested_ns=-n, name="", result_ns=-5 * n)
           for n in range(5)]  # fmt: skip
    calls = [replace(call_row(n, "a", "nowhere"), ended_ns=-1, started_ns=9 - n) for n in range(9)]
    store.write(Batch(calls=calls, tool_calls=odd))
    analyse(store)
    assert store.stale_sessions() == {}


def test_what_a_process_did_makes_its_session_stale(store: Store) -> None:
    write(store, "a", [], [])
    worker = process_row(11, 10, "sh -c x", 1000, "a")
    store.write(Batch(processes=[worker]))
    analyse(store)
    assert store.stale_sessions() == {}
    touched = FileEventRow(
        "e1", "k1", worker.process_key, 11, 5, 5, 1, "open", "read", "/etc/hosts", None, None
    )
    store.write(Batch(file_events=[touched]))
    assert set(store.stale_sessions()) == {"a"}
