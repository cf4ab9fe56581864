"""Timeline, activity and health in the dashboard, key by key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from textual.screen import Screen

from collector.rows import Batch, HealthRow
from collector.store import Store
from tests.acted_store import CAT, acted_batch, acted_store, at
from tests.collector.store_rows import call, capture, coverage, session, tool_call
from tests.tui.stage import NARROW, WIDE, Stage, make_store, play
from tui.screens.call import CallScreen
from tui.screens.record import RecordScreen
from tui.view import Subject
from tui.views.activity import ActivityLines
from tui.views.health import HealthLines
from tui.widgets.gantt_rows import GanttRows

STEPS = 10_000


@pytest.fixture(scope="module")
def acted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return acted_store(tmp_path_factory.mktemp("acted") / "store.db")


def chosen(stage: Stage) -> Subject:
    subject = stage.view.subject()
    assert subject is not None
    return subject


async def opened(stage: Stage, kind: type[Screen[None]]) -> str:
    for _ in range(200):
        if isinstance(stage.app.screen, kind):
            return await stage.still()
        await stage.settle()
    raise AssertionError(f"{stage.app.screen} instead of {kind}")


def test_the_timeline_zooms_pans_and_jumps(acted: Path) -> None:
    async def script(stage: Stage) -> None:
        text = await stage.press("6")
        assert "latest: s1 claude-code" in text
        assert "11.0s in 2 turns" in text
        for part in ("░model", "█output", "▒stall 1.10s", "━tools", "·human 3.50s", "×retry 1.00s"):
            assert part in text
        assert "▒" in stage.lines[6], "the stall of the first call"
        assert all(len(line) <= NARROW[0] for line in stage.lines)
        assert chosen(stage).key == "c1"
        await stage.press("n")
        assert (chosen(stage).kind, chosen(stage).key) == ("tool", "t1")
        await stage.press("n", "N")
        assert chosen(stage).key == "t1", "there and back"
        await stage.press("g", "plus", "plus")
        assert "(w: all)" in stage.text
        await stage.press("G")
        last = stage.view.query_one(GanttRows)
        begin, until = last.window
        assert begin <= at(10_000) <= until, "the axis goes with the cursor"
        row = last.row(last.cursor)
        await stage.press("h", "h", "h", "h", "h")
        assert last.window[1] < begin
        assert last.row(last.cursor) != row, "the cursor goes where one looks"
        await stage.press("l", "right", "left", "minus", "w")
        assert last.window == (at(0), at(11_000))
        assert "(w: all)" not in stage.text
        programs = last.line_count()
        await stage.press("x")
        assert last.line_count() > programs
        await stage.press("x", "g", "n", "enter")
        await opened(stage, CallScreen)
        await stage.press("escape")
        text = await stage.filter("kind:process")
        assert last.line_count() == 1
        assert chosen(stage).kind == "process"
        await stage.press("enter")
        assert "cat notes.txt" in await opened(stage, RecordScreen)
        await stage.press("escape", "escape")
        assert "hidden by the filter" in await stage.filter("nowhere")

    play(acted, script)


def test_ten_thousand_steps_are_a_page_at_a_time(tmp_path: Path) -> None:
    calls = [
        call(
            f"c{number:05}", started_ns=at(number * 10), first_token_ns=at(number * 10 + 3),
            ended_ns=at(number * 10 + 9), chunk_ns=(), first_byte_ns=None,
            status="error" if number == STEPS - 100 else "ok",
        )
        for number in range(STEPS)
    ]  # fmt: skip
    path = tmp_path / "store.db"
    with Store.open(path) as store:
        store.write(Batch(captures=[capture()], sessions=[session("s1")], calls=calls))

    async def script(stage: Stage) -> None:
        await stage.press("6")
        rows = stage.view.query_one(GanttRows)
        assert rows.line_count() == STEPS
        assert "known once the session is analysed" in stage.text
        for key, place in (("G", STEPS - 1), ("g", 0), ("n", STEPS - 100)):
            await stage.press(key)
            assert rows.cursor == place
            assert chosen(stage).key == f"c{place:05}"
            assert rows.page is not None
            assert len(rows.page.rows) <= 300
            assert not [line for line in stage.lines if line.strip() == "…"]
        await stage.press(*["plus"] * 6, "l", "l", "l")
        here = rows.row(rows.cursor)
        begin, until = rows.window
        assert here is not None
        assert here.start_ns <= until
        assert here.stretches[-1].end_ns >= begin
        assert until - begin < (at(STEPS * 10) - at(0)) // 60
        await stage.press("g", "minus", *["l"] * 7)
        assert rows.row(rows.cursor) is not None, "rows beyond the page were loaded"
        assert rows.cursor > 300

    play(path, script)


def test_a_session_that_runs_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    running = call(
        "c9", started_ns=at(100_000), status="running", ended_ns=None, first_token_ns=None,
        complete=False,
    )  # fmt: skip
    batch = acted_batch()
    make_store(path, replace(batch, calls=[*batch.calls, running]))

    async def script(stage: Stage) -> None:
        await stage.press("6")
        assert chosen(stage).key == "c9"
        later = tool_call("t9", call_id="c9", requested_ns=at(101_000), result_ns=None)
        with Store.open(path) as store:
            store.write(Batch(tool_calls=[later]))
        await stage.look()
        assert chosen(stage).key == "t9", "at the end it follows"
        await stage.press("k", "k")
        key = chosen(stage).key
        with Store.open(path) as store:
            store.write(Batch(calls=[call("c0", started_ns=at(1))]))
        await stage.look()
        assert chosen(stage).key == key, "elsewhere it stays with its row"

    play(path, script)


def test_branches_open_close_and_lead_to_the_tool_call(acted: Path) -> None:
    async def script(stage: Stage) -> None:
        text = await stage.press("5")
        tree = stage.view.query_one(ActivityLines)
        assert "Bash cat notes.txt" in text
        assert tree.line_count() == 4
        await stage.press("j", "enter")
        assert tree.line_count() == 5
        text = await stage.press("j", "space", "j", "l")
        assert "▾ cat notes.txt" in text
        assert "␛[2J[bold]odd" in stage.text, "text, not markup and no command to the terminal"
        assert "… 5 more read" in stage.text
        tree.cursor = next(at for at, line in enumerate(tree.lines) if line.kind == "more")
        before = tree.line_count()
        await stage.press("space")
        assert tree.line_count() == before + 4, "five instead of the fold"
        await stage.press("a")
        assert chosen(stage).key == "t1"
        await stage.press("a")
        await opened(stage, CallScreen)
        await stage.press("escape")
        await stage.press("n", "n", "n", "N")
        assert tree.current is not None
        assert tree.current.marked
        await stage.press("g", "j", "h")
        assert tree.line_count() == 4
        await stage.press("h")
        assert tree.cursor == 0, "to what it is part of"
        await stage.press("asterisk")
        assert {line.kind for line in tree.lines} >= {"file", "connection", "own"}
        assert "unasked" in tree.lines[-1].note
        await stage.press("G", "enter")
        assert "tracker.example" in await opened(stage, RecordScreen)
        await stage.press("escape", "asterisk")
        assert tree.line_count() == 4
        await stage.filter("id_rsa")
        assert tree.lines[-1].label.endswith("id_rsa")
        assert tree.lines[-2].key == ("process", CAT)
        assert "hidden by the filter" in await stage.filter("nowhere")
        assert all(len(line) <= WIDE[0] for line in stage.lines)

    play(acted, script, WIDE)


def test_health_says_what_is_missing_and_what_to_do(tmp_path: Path) -> None:
    batch = Batch(
        captures=[capture(ended_ns=at(60_000), command="run -- agent")],
        health=[
            HealthRow("k1", "openssl", "captured_events", "", 1200),
            HealthRow("k1", "openssl", "captured_bytes", "", 900_000),
            HealthRow("k1", "openssl", "lost_bytes", "ring_full", 100_000),
            HealthRow("k1", "http", "undecoded_bytes", "bad_chunk", 12),
            HealthRow("k1", "probe", "attached_probes", "", 6),
        ],
        coverage=[
            coverage(),
            coverage(
                process_key="x", pid=99, program="/opt/odd", stack="unknown", status="unseen",
                path="", detail="no TLS stack found",
            ),
        ],
    )  # fmt: skip
    path = make_store(tmp_path / "store.db", batch)

    async def script(stage: Stage) -> None:
        text = await stage.press("9")
        assert "900k bytes captured, 100,000 bytes and 0 events lost, 1 programs not seen" in text
        assert "fix: UNDERGLASS_RING_KIB=131072" in text
        assert "bad chunk" in text
        assert "▒" in text, "the bar's lost part"
        lines = stage.view.query_one(HealthLines)
        text = await stage.press("G")
        assert text.index("unseen  ") < text.index("hooked  "), "the worst first"
        while lines.items[lines.cursor][0] != "program":
            await stage.press("k")
        assert chosen(stage).record["program"] in ("/opt/odd", "/usr/bin/node")
        at_program = lines.items[lines.cursor]
        with Store.open(path) as store:
            store.write(Batch(health=[HealthRow("k1", "http", "undecoded_bytes", "cut", 9)]))
        await stage.look()
        assert "cut: messages that the end of the capture cut" in stage.text
        assert lines.items[lines.cursor] == at_program, "the cursor stays with its line"
        await stage.press("enter")
        await opened(stage, RecordScreen)

    play(path, script)


def test_an_empty_store_teaches(tmp_path: Path) -> None:
    path = make_store(tmp_path / "store.db")

    async def script(stage: Stage) -> None:
        for key in "569":
            assert "underglass run -- COMMAND" in await stage.press(key)

    play(path, script)
