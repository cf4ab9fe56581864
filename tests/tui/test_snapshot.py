"""Looking at a store, and what an empty view says about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from analysis.columns import CALLS
from analysis.reading import Reader
from analysis.reading_place import ReadingPlace
from collector.rows import Batch, HealthRow
from collector.store import Store
from collector.store_errors import QueryFailed, StoreLocked, StoreMissing
from tests.collector.store_rows import START_NS, call, capture, coverage
from tests.tui.stage import SECOND, demo_batch, health, make_store
from tui.call_questions import CallQuestion
from tui.conversation import entries
from tui.empty import empty_text
from tui.snapshot import Answer, Losses, Snapshot, StoreFeed, losses
from tui.table_page import TableQuestion
from tui.view import Question, Scope

CALLS_ASKED = TableQuestion(CALLS)


def take(path: Path) -> Snapshot:
    found = list(StoreFeed(ReadingPlace(path), paced=False).take(None))
    assert isinstance(found[0], Snapshot)
    return found[0]


def answers(feed: StoreFeed, question: Question | None = CALLS_ASKED) -> list[Any]:
    return [seen.value if isinstance(seen, Answer) else seen for seen in feed.take(question)]


def test_a_file_is_read_again_only_when_it_changed(tmp_path: Path) -> None:
    path = make_store(tmp_path / "x.db", demo_batch())
    feed = StoreFeed(ReadingPlace(path))
    page, snapshot = answers(feed)
    assert page.total == 10
    assert (snapshot.source, snapshot.totals.calls, snapshot.finding_count) == ("file", 10, 2)
    assert answers(feed) == []
    (other,) = answers(feed, TableQuestion(CALLS, "s2"))
    assert other.total == 2, "another question, and the same store: the answer alone"
    with Store.open(path) as store:  # the feed does not hold the file
        store.write(Batch(calls=[call("later", started_ns=START_NS + 99 * SECOND)]))
    (page,) = answers(feed)
    assert page.rows[0]["call_id"] == "later"


def test_a_snapshot_is_paid_for_before_the_next(tmp_path: Path) -> None:
    now = 0.0
    path = make_store(tmp_path / "x.db", demo_batch())
    feed = StoreFeed(ReadingPlace(path), clock=lambda: now)
    with Store.open(path) as store:
        place = _Live(store)
        feed.place = place
        assert [type(seen) for seen in feed.take(CALLS_ASKED)] == [Answer, Snapshot]
        assert [type(seen) for seen in feed.take(CALLS_ASKED)] == [Answer]
        now = 2.0
        store.write(Batch(health=[HealthRow("k1", "openssl", "captured_events", "", 1300)]))
        seen = list(feed.take(CALLS_ASKED))[1]
        assert isinstance(seen, Snapshot)
        assert seen.events_per_s == 50.0, "100 in two seconds"
        assert place.opened == 3


@dataclass
class _Live:
    """The store as its collector answers for it."""

    store: Store
    opened: int = 0

    @contextmanager
    def open(self) -> Iterator[Reader]:
        self.opened += 1
        yield Reader.of_store(self.store)

    def describe(self, source: str) -> str:
        return source


def test_a_store_that_is_in_use_without_a_service_says_so(tmp_path: Path) -> None:
    feed = StoreFeed(ReadingPlace(tmp_path / "x.db"))
    with pytest.raises(StoreMissing):
        answers(feed)
    with Store.open(tmp_path / "x.db"), pytest.raises(StoreLocked):
        answers(feed)
    assert len(answers(feed)) == 2


def test_a_question_that_is_refused_is_answered(demo: Path) -> None:
    feed = StoreFeed(ReadingPlace(demo))
    refused, snapshot = feed.take(TableQuestion(CALLS, where="nosuch:1"))
    assert isinstance(refused, Answer)
    assert "no column 'nosuch' in Calls" in str(refused.why)
    assert "columns: " in str(refused.hint)
    assert isinstance(snapshot, Snapshot), "all else is known"


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
    feed = StoreFeed(ReadingPlace(demo))
    for question in (CallQuestion("tool", "toolu_4"), CallQuestion("call", "c4")):
        assert feed.ask(question).detail.call["call_id"] == "c4"
    with pytest.raises(QueryFailed):
        feed.ask(CallQuestion("tool", "no such"))


def test_new_messages_are_unfolded_and_results_named(demo: Path) -> None:
    found = entries(StoreFeed(ReadingPlace(demo)).ask(CallQuestion("call", "c4")).detail)
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
    feed = StoreFeed(ReadingPlace(tmp_path / "x.db"))
    found = entries(feed.ask(CallQuestion("call", "c4")).detail)
    assert {part.text for entry in found for part in entry.parts} == {"The content was not stored."}


def test_what_an_empty_view_says(tmp_path: Path) -> None:
    batch = Batch(captures=[capture()], health=health(), coverage=[coverage()])
    ended = take(make_store(tmp_path / "x.db", batch))
    everything = Scope()

    def said(name: str, scope: Scope, snapshot: Snapshot, **more: Any) -> tuple[str, str]:
        return empty_text(name, name.title(), scope, snapshot, **more)

    assert said("tools", everything, ended)[0] == "The capture ended without an LLM call"
    quiet = replace(ended, source="collector pid 1")
    title, advice = said("tools", everything, quiet)
    assert title == "No tools yet: waiting for the agent's first LLM call"
    assert "1 TLS stack is hooked; 1,200 events were captured." in advice
    assert said("tools", Scope("s1"), quiet)[0] == "No tools of this session"
    assert said("rpc", Scope("s1"), quiet, of_session=False)[0].startswith("No rpc yet")
    narrowed = Scope(where="x")
    assert said("tools", narrowed, quiet, hidden=3)[0] == "All 3 rows are hidden by the filter"
    assert said("tools", narrowed, quiet, hidden=1)[0] == "The only row is hidden by the filter"
    assert said("time", narrowed, quiet)[0] == "Everything is hidden by the filter"
    assert said("tools", narrowed, quiet, hidden=0)[0].startswith("No tools yet")
    blind = replace(quiet, hooked=0)
    assert said("calls", everything, blind)[0] == "No TLS stack is hooked"
    assert "No watched process holds" in said("calls", everything, blind)[1]
    assert said("health", everything, blind)[0].startswith("No health yet")
    alone = take(make_store(tmp_path / "y.db", batch, Batch(calls=[call("c1")])))
    assert said("tools", everything, alone) == (
        "No tools yet",
        "They appear here as they are captured.",
    )
    assert said("findings", everything, alone)[0] == "No findings"


def test_stacks_that_are_not_seen_are_named_until_there_is_a_call(tmp_path: Path) -> None:
    batch = Batch(
        captures=[capture()],
        coverage=[
            coverage(),
            coverage(process_key="a", stack="go", status="on_trial"),
            coverage(process_key="b", stack="unknown", path=None, status="unseen"),
            *(coverage(process_key=f"c{n}", stack="rustls", status="not_hooked") for n in range(9)),
        ],
    )
    snapshot = take(make_store(tmp_path / "x.db", batch))
    assert (snapshot.hooked, snapshot.not_hooked_count) == (2, 10)
    assert snapshot.not_hooked[0]["status"] == "unseen", "those that are not seen first"
    assert len(snapshot.not_hooked) == 8, "and not all of them"
    seen = take(make_store(tmp_path / "x.db", Batch(calls=[call("c1")])))
    assert (seen.hooked, seen.not_hooked) == (0, ())
