"""Long tables by pages: what is read of the store, and what the widget makes of it."""

from __future__ import annotations

from pathlib import Path

from analysis.columns import CALLS, FINDINGS, TABLES, TOOLS
from analysis.reading import Reader
from analysis.reading_place import ReadingPlace
from collector.rows import Batch
from collector.store import Store
from tests.collector.store_rows import START_NS, call, capture, session
from tests.tui.stage import SECOND, Stage, play
from tui.snapshot import StoreFeed
from tui.table_page import (
    PAGE_ROWS,
    RecordQuestion,
    RowCount,
    Sorting,
    TablePage,
    TableQuestion,
    page_offset,
)
from tui.views import TABLE_NAMES

CALLS_MADE = 1300


def _call_batch(first: int, count: int) -> Batch:
    return Batch(
        calls=[
            call(
                f"c{n:05}", session_id=f"s{n % 2}", started_ns=START_NS + n * SECOND,
                ended_ns=START_NS + (n + 1) * SECOND, input_tokens=n % 7,
            )
            for n in range(first, first + count)
        ]
    )  # fmt: skip


def _fill(path: Path) -> Path:
    with Store.open(path) as store:
        store.write(Batch(captures=[capture()], sessions=[session("s0"), session("s1")]))
        store.write(_call_batch(0, CALLS_MADE))
    return path


def test_pages_of_a_long_table(tmp_path: Path) -> None:
    feed = StoreFeed(ReadingPlace(_fill(tmp_path / "x.db")))
    first: TablePage = feed.ask(TableQuestion(CALLS))
    assert (len(first.rows), first.total, first.offset) == (PAGE_ROWS, CALLS_MADE, 0)
    assert first.row(0) == first.rows[0]
    assert first.keys[0] == ("c01299",)
    assert first.row(PAGE_ROWS) is None
    middle: TablePage = feed.ask(TableQuestion(CALLS, offset=600))
    assert middle.key(600) == ("c00699",)
    assert middle.place(("c00699",)) == 600
    assert middle.place(("c01299",)) is None
    beyond: TablePage = feed.ask(TableQuestion(CALLS, where="input:3", offset=900))
    assert beyond.total == 186, "fewer than before: the last of them"
    assert beyond.offset == 0
    of_session: TablePage = feed.ask(TableQuestion(CALLS, "s1", sorting=Sorting(None, True)))
    assert of_session.keys[0] == ("c00001",)
    assert of_session.total == CALLS_MADE // 2
    nothing: TablePage = feed.ask(TableQuestion(CALLS, where="model:nosuch"))
    assert (nothing.total, nothing.hidden) == (0, CALLS_MADE)
    by_tokens: TablePage = feed.ask(TableQuestion(CALLS, sorting=Sorting("input_tokens")))
    assert by_tokens.rows[0]["input_tokens"] == 6


def test_every_table_has_a_page(demo: Path) -> None:
    feed = StoreFeed(ReadingPlace(demo))
    totals = {name: feed.ask(TableQuestion(TABLES[name])).total for name in TABLE_NAMES}
    expected = {"sessions": 2, "agents": 2, "processes": 2, "coverage": 1}
    assert totals == dict.fromkeys(TABLE_NAMES, 0) | expected


def test_the_screen_asks_for_another_page_before_it_comes_to_the_end() -> None:
    page = TablePage(500, ({},) * PAGE_ROWS, total=10_000)
    assert page_offset(page, 700, 40) == 500, "enough above and below"
    assert page_offset(page, 950, 40) == 700
    assert page_offset(page, 520, 40) == 250
    assert page_offset(page, 0, 40) == 0
    assert page_offset(page, 700, 450) == page_offset(
        TablePage(650, page.rows, total=10_000), 700, 450
    )
    end = TablePage(9_500, ({},) * PAGE_ROWS, total=10_000)
    assert page_offset(end, 9_960, 40) == 9_500, "there is nothing below"


def test_counting_is_paid_for_before_the_next_count(tmp_path: Path) -> None:
    from analysis.listed import Narrowed

    now = 0.0
    with Store.open(tmp_path / "x.db") as store:
        reader = Reader.of_store(store)
        store.write(_call_batch(0, 10))
        count = RowCount(clock=lambda: now)
        assert count.total(reader, CALLS, Narrowed(), 5) == 10
        store.write(_call_batch(10, 10))
        assert count.total(reader, CALLS, Narrowed(), 5) == 10, "young enough"
        assert count.total(reader, CALLS, Narrowed(), 15) == 15, "never less than was seen"
        assert count.total(reader, CALLS, Narrowed(where="input:3"), 0) == 3, "another filter"
        now = 2.0
        assert count.total(reader, CALLS, Narrowed(where="input:3"), 0) == 3
        assert count.total(reader, CALLS, Narrowed(), 5) == 20


def test_a_record_has_all_fields(demo: Path) -> None:
    feed = StoreFeed(ReadingPlace(demo))
    row = feed.ask(TableQuestion(TOOLS)).rows[0]
    assert isinstance(row["arguments"], str), "cut for the table"
    record = feed.ask(RecordQuestion.of_row(TOOLS, row))
    assert record["arguments"] == {"command": "rm -rf shop"}
    finding = feed.ask(TableQuestion(FINDINGS)).rows[0]
    evidence = feed.ask(RecordQuestion.of_row(FINDINGS, finding))["evidence"]
    assert evidence[0]["id"] == "toolu_7"
    assert feed.ask(RecordQuestion(CALLS, (("call_id", "no such"),))) is None


def test_scrolling_through_many_rows_while_more_come(tmp_path: Path) -> None:
    path = _fill(tmp_path / "x.db")

    async def script(stage: Stage) -> None:
        rows = stage.rows
        assert f"Calls: {CALLS_MADE:,}" in stage.lines[2]
        await stage.press("G")
        assert rows.cursor == CALLS_MADE - 1
        assert rows.current is not None, "its page was read"
        assert rows.current["call_id"] == "c00000"
        assert "…  " not in stage.lines[-4]
        for _ in range(20):
            await stage.press("pageup")
        at = CALLS_MADE - 1 - 20 * (rows.room - 1)
        assert (rows.cursor, rows.current and rows.current["call_id"]) == (
            at,
            f"c{CALLS_MADE - 1 - at:05}",
        )
        assert len(rows.page.rows) <= PAGE_ROWS, "no more than a page is kept"
        line = rows.cursor - rows.first_line
        with Store.open(path) as store:
            store.write(_call_batch(CALLS_MADE, 30))
        await stage.look()
        assert rows.cursor == at + 30
        assert rows.current is not None
        assert rows.current["call_id"] == f"c{CALLS_MADE - 1 - at:05}", "the cursor keeps its row"
        assert rows.cursor - rows.first_line == line, "and the row its line"
        await stage.press("g")
        assert rows.current is not None
        assert rows.current["call_id"] == f"c{CALLS_MADE + 29:05}"
        with Store.open(path) as store:
            store.write(_call_batch(CALLS_MADE + 30, 1))
        await stage.look()
        assert (rows.cursor, rows.current["call_id"]) == (0, f"c{CALLS_MADE + 30:05}"), "followed"
        await stage.press("f")
        with Store.open(path) as store:
            store.write(_call_batch(CALLS_MADE + 31, 1))
        await stage.look()
        assert (rows.cursor, rows.current["call_id"]) == (1, f"c{CALLS_MADE + 30:05}"), "pinned"
        await stage.press("g")
        table = rows.region
        for _ in range(20):
            rows.scroll_relative(y=60, animate=False)
            await stage.settle()
        assert rows.first_line > 1000
        assert rows.page.row(rows.first_line) is not None, "the wheel reads on, too"
        assert rows.region == table
        assert not rows.following

    play(path, script, first="calls")
