"""Snapshots of a store, and what an empty table says about them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.columns import CALLS, FINDINGS, TOOLS
from collector.rows import Batch, HealthRow
from collector.store import Store
from collector.store_errors import QueryFailed, StoreLocked, StoreMissing
from tests.collector.store_rows import START_NS, call, capture, coverage
from tests.tui.stage import SECOND, demo_batch, health, make_store
from tui import snapshot as snapshots
from tui.conversation import entries
from tui.empty import empty_text
from tui.snapshot import Losses, Rows, Snapshot, StoreFeed, Window, losses


def take(path: Path, window: Window | None = None) -> Snapshot:
    feed = StoreFeed(path)
    feed.take(Window("health"))
    feed.look_for_findings()
    found = feed.take(window or Window())
    assert found is not None
    return found


def test_a_file_is_read_again_only_when_it_changed(tmp_path: Path) -> None:
    path = make_store(tmp_path / "x.db", demo_batch())
    feed = StoreFeed(path)
    first = feed.take(Window())
    assert first is not None
    assert first.source == "file"
    assert first.totals.calls == 10
    assert feed.take(Window()) is None
    assert feed.take(Window("tools")) is not None, "another window"
    with Store.open(path) as store:  # the feed does not hold the file
        store.write(Batch(calls=[call("later", started_ns=START_NS + 99 * SECOND)]))
    again = feed.take(Window())
    assert again is not None
    assert again.totals.calls == 11
    assert again.rows.rows[0]["call_id"] == "later"


def test_a_window_holds_the_newest_rows_and_knows_how_many_there_are(demo: Path) -> None:
    rows = take(demo, Window("calls", max_rows=3)).rows
    assert [row["call_id"] for row in rows.rows] == ["d2", "d1", "c8"]
    assert rows.total == 10
    inside = take(demo, Window("calls", "s2")).rows
    assert [row["call_id"] for row in inside.rows] == ["d2", "d1"]
    assert inside.total == 2
    assert take(demo, Window("findings", "s2")).rows == Rows("findings")
    assert take(demo, Window("findings", "s1", 1)).rows.total == 2


def test_a_store_that_is_in_use_without_a_service_says_so(tmp_path: Path) -> None:
    feed = StoreFeed(tmp_path / "x.db")
    with pytest.raises(StoreMissing):
        feed.take(Window())
    with Store.open(tmp_path / "x.db"), pytest.raises(StoreLocked):
        feed.take(Window())
    assert feed.take(Window()) is not None


def test_findings_wait_until_the_last_look_is_paid_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_store(tmp_path / "x.db", demo_batch())
    now = 0.0
    looks = []

    def slow(reader: object) -> list[object]:
        nonlocal now
        looks.append(now)
        now += 2.0
        return []

    monkeypatch.setattr(snapshots, "findings", slow)
    feed = StoreFeed(path, clock=lambda: now)
    assert not feed.findings_due, "nothing was seen yet"
    first = feed.take(Window())
    assert first is not None
    assert first.finding_count is None, "the first screen does not wait for them"
    assert feed.findings_due
    feed.look_for_findings()
    assert not feed.findings_due
    second = feed.take(Window())
    assert second is not None
    assert second.finding_count == 0
    make_store(path, Batch(calls=[call("later")]))
    assert feed.take(Window()) is not None
    assert not feed.findings_due, "too early to look again"
    now = 100.0
    assert feed.findings_due
    feed.look_for_findings()
    assert looks == [0.0, 100.0]
    assert feed.take(Window()) is not None
    assert feed.take(Window()) is None


def test_findings_that_cannot_be_known_are_not_zero(
    demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(reader: object) -> list[object]:
        raise QueryFailed("too many rows")

    monkeypatch.setattr(snapshots, "findings", refuse)
    seen = take(demo, Window("findings"))
    assert seen.finding_count is None
    assert empty_text(FINDINGS, seen, "") == ("Findings are not known", "too many rows")


def test_losses_are_counted_where_they_happen() -> None:
    rows = tuple(
        {"source": row.source, "counter": row.counter, "cause": row.cause, "value": row.value}
        for row in [
            *health(lost_events=3, lost_bytes=500),
            HealthRow("k1", "process", "lost_events", "ring_full", 2),
            HealthRow("k1", "openssl", "truncated_bytes", "call_too_long", 70),
            HealthRow("k1", "http", "undecoded_bytes", "malformed", 9),
        ]
    )
    assert losses(rows) == Losses(1200, 5, 570, 9)
    assert losses(()) == Losses(None, None, None, None)


def test_a_call_is_found_by_its_tool_calls(demo: Path) -> None:
    feed = StoreFeed(demo)
    assert feed.call("tool", "toolu_4").call["call_id"] == "c4"
    assert feed.call("call", "c4").call["call_id"] == "c4"
    with pytest.raises(QueryFailed):
        feed.call("tool", "no such")


def test_new_messages_are_unfolded_and_results_named(demo: Path) -> None:
    found = entries(StoreFeed(demo).call("call", "c4"))
    assert [(entry.role, entry.place, entry.unfolded) for entry in found] == [
        ("system", "sent", False),
        ("user", "sent", False),
        ("assistant", "sent", False),
        ("user", "sent", True),
        ("assistant", "answer", True),
        ("tool", "came back later", True),
    ]
    assert found[3].parts[0].title == "bash"


def test_messages_without_content_say_so(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.db", content=False) as store:
        store.write(demo_batch())
    found = entries(StoreFeed(tmp_path / "x.db").call("call", "c4"))
    assert {part.text for entry in found for part in entry.parts} == {"The content was not stored."}


def test_what_an_empty_table_says(tmp_path: Path) -> None:
    batch = Batch(captures=[capture()], health=health(), coverage=[coverage()])
    quiet = replace(
        take(make_store(tmp_path / "x.db", batch), Window("tools")), source="collector pid 1"
    )
    title, advice = empty_text(TOOLS, quiet, "")
    assert title == "No tools yet: waiting for the agent's first LLM call"
    assert "1 TLS stack is hooked; 1,200 events were captured." in advice
    narrowed = replace(quiet, window=Window("tools", "s1"))
    assert empty_text(TOOLS, narrowed, "")[0] == "No tools of this session"
    hidden = replace(quiet, rows=Rows("tools", ({},), 1))
    assert empty_text(TOOLS, hidden, "x")[0] == "All 1 rows are hidden by the filter"
    alone = take(make_store(tmp_path / "y.db", batch, Batch(calls=[call("c1")])), Window("tools"))
    assert empty_text(TOOLS, alone, "") == (
        "No tools yet",
        "They appear here as they are captured.",
    )
    assert empty_text(FINDINGS, alone, "")[0] == "No loops and no escalations"
    blind = replace(quiet, hooked=0)
    assert empty_text(CALLS, blind, "")[0] == "No TLS stack is hooked"
    assert "No watched process holds" in empty_text(CALLS, blind, "")[1]


def test_coverage_shows_what_is_not_seen_first(tmp_path: Path) -> None:
    batch = Batch(
        captures=[capture()],
        coverage=[
            coverage(),
            coverage(process_key="a", stack="go", status="on_trial"),
            coverage(process_key="b", stack="unknown", path=None, status="unseen"),
            coverage(process_key="c", stack="rustls", status="not_hooked"),
        ],
    )
    snapshot = take(make_store(tmp_path / "x.db", batch), Window("coverage"))
    assert [row["status"] for row in snapshot.rows.rows] == [
        "unseen",
        "not_hooked",
        "on_trial",
        "hooked",
    ]
    assert snapshot.hooked == 2
    assert [row["status"] for row in snapshot.not_hooked] == ["unseen", "not_hooked"]
