"""Whole screens as text, with the clock held. `UPDATE_SCREENSHOT=1` draws them anew."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.analyst import analyse
from collector.query_service import QueryService
from collector.rows import Batch
from collector.store import Store
from tests.collector.store_rows import MS, START_NS, call, capture, coverage
from tests.tui.stage import NARROW, SECOND, WIDE, Stage, demo_batch, health, make_store, play
from tui.empty import START
from tui.table_page import PAGE_ROWS

PICTURES = Path(__file__).parent / "pictures"
SCREENSHOT = Path(__file__).parents[2] / "docs" / "screenshot.svg"
UPDATE = os.environ.get("UPDATE_SCREENSHOT") == "1"

sizes = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "120x40"])


def check(name: str, size: tuple[int, int], text: str) -> None:
    picture = PICTURES / f"{name}-{size[0]}x{size[1]}.txt"
    if UPDATE:
        picture.write_text(text + "\n", encoding="utf-8")
    assert picture.read_text(encoding="utf-8") == text + "\n"


def picture_of(
    path: Path,
    name: str,
    size: tuple[int, int],
    script: Callable[[Stage], Awaitable[None]] | None = None,
) -> None:
    async def draw(stage: Stage) -> None:
        if script is not None:
            await script(stage)
        check(name, size, await stage.still())

    play(path, draw, size, first="calls")


@sizes
def test_calls_and_a_call(demo: Path, size: tuple[int, int]) -> None:
    async def script(stage: Stage) -> None:
        check("calls", size, await stage.still())
        await stage.press("0", "1", "j")
        check("sessions", size, await stage.still())
        await stage.press("enter", "j", "j", "j", "j", "enter")

    picture_of(demo, "call", size, script)


@sizes
def test_filtered_out(demo: Path, size: tuple[int, int]) -> None:
    async def script(stage: Stage) -> None:
        text = await stage.filter("no such thing")
        assert "All 10 rows are hidden by the filter" in text

    picture_of(demo, "filtered-out", size, script)


@sizes
def test_empty_store(tmp_path: Path, size: tuple[int, int]) -> None:
    async def script(stage: Stage) -> None:
        assert "Nothing was captured yet" in stage.text
        assert all(line in stage.text for line in START.splitlines())
        assert "lost – (– B)  undecoded – B" in stage.text, "not known is not 0"

    picture_of(make_store(tmp_path / "empty.db"), "empty", size, script)


@sizes
def test_ten_thousand_sessions(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "many.db"
    with Store.open(path) as store:
        store.write(Batch(captures=[capture(ended_ns=START_NS + SECOND)]))
        store.transact(_many_sessions)

    async def script(stage: Stage) -> None:
        await stage.press("0", "1")
        assert "Sessions: 10,000" in stage.lines[2]
        assert len(stage.rows.page.rows) == PAGE_ROWS
        await stage.press("G")
        assert stage.rows.current is not None
        assert stage.rows.current["session_id"] == "s00000"

    picture_of(path, "ten-thousand-sessions", size, script)


def _many_sessions(connection: Any) -> None:
    connection.execute(
        f"""
        INSERT INTO session BY NAME SELECT
            's' || lpad(n::TEXT, 5, '0') AS session_id, 'read' AS confidence,
            'claude-code' AS agent, 1000 + n AS root_pid,
            {START_NS} + n * {SECOND} AS started_ns
        FROM range(10000) AS r(n)
        """
    )


@sizes
def test_lost_events(tmp_path: Path, size: tuple[int, int]) -> None:
    path = make_store(tmp_path / "lossy.db", demo_batch(lost_events=3, lost_bytes=40_960))

    async def script(stage: Stage) -> None:
        assert "LOST 3 (41.0k B)" in stage.lines[-2], "kernel loss, counted once"
        red, green, blue = stage.colour_of("LOST")
        assert red > 2 * max(green, blue) or red - max(green, blue) > 60

    picture_of(path, "lost-events", size, script)


def _not_hooked() -> Batch:
    return Batch(
        captures=[capture()],
        health=health(),
        coverage=[coverage(path="/usr/bin/claude", status="not_hooked", detail="BoringSSL inside")],
    )


def _no_probes() -> Batch:
    return Batch(captures=[capture()], health=health(attached=0))


def _waiting() -> Batch:
    return Batch(captures=[capture()], health=health(), coverage=[coverage()])


@pytest.mark.parametrize(
    ("name", "batch", "said"),
    [
        ("not-hooked", _not_hooked(), "No TLS stack is hooked"),
        ("no-probes", _no_probes(), "The probes did not attach"),
        ("without-call", _waiting(), "The capture ended without an LLM call"),
    ],
)
def test_why_there_are_no_calls(tmp_path: Path, name: str, batch: Batch, said: str) -> None:
    async def script(stage: Stage) -> None:
        assert said in stage.text
        text = await stage.press("9")
        assert "Nothing was captured" not in text, "what was counted is there all the same"
        await stage.press("2")

    picture_of(make_store(tmp_path / "store.db", batch), name, NARROW, script)


def _late_call(call_id: str, seconds: int) -> Batch:
    started_ns = START_NS + seconds * SECOND
    times = {"first_token_ns": started_ns + 250 * MS, "ended_ns": started_ns + SECOND}
    return Batch(calls=[call(call_id, started_ns=started_ns, **times)])


def _serve(store: Store) -> QueryService:
    service = QueryService(store)
    service.start()
    assert service.wait_until_ready(20)
    return service


def test_a_collector_that_vanishes_and_one_that_comes(tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    store = Store.open(path)
    live = demo_batch()
    live.captures = [capture(ended_ns=None)]
    store.write(live)
    analyse(store)
    service = _serve(store)

    async def script(stage: Stage) -> None:
        line = stage.lines[-2]
        assert f"live pid {os.getpid()}" in line
        assert "6 probes" in line
        assert "ev/s" in line
        store.write(_late_call("c9", 100))
        await stage.look()
        assert stage.keys("call_id")[0] == "c9", "the newest on top"
        assert stage.rows.cursor == 0, "and followed"
        await stage.press("j")
        store.write(_late_call("c10", 200))
        await stage.look()
        assert stage.keys("call_id")[0] == "c10"
        assert stage.rows.cursor == 2, "the cursor stays with its row"
        service.close()
        await stage.look()
        assert "collector gone, retrying" in stage.lines[-2]
        assert "collector gone, retrying" in stage.notes
        assert stage.keys("call_id")[0] == "c10", "what was seen stays on the screen"
        red, green, blue = stage.colour_of("collector gone")
        assert red > max(green, blue)
        stage.app.clear_notifications()
        check("collector-gone", NARROW, await stage.still())
        again = _serve(store)
        await stage.look()
        assert f"live pid {os.getpid()}" in stage.lines[-2]
        assert any("again" in note for note in stage.notes), "and says so"
        again.close()
        store.close()
        await stage.look()
        assert stage.lines[-2].startswith(" file")
        assert "capture cut off" in stage.lines[-2], "it never said that it ended"
        assert any(f"the file {path}" in note for note in stage.notes)
        path.rename(path.with_suffix(".gone"))
        await stage.look()
        assert "store gone, retrying" in stage.lines[-2]
        make_store(path, demo_batch())
        await stage.look()
        assert "Calls: 10" in stage.text, "another store in its place"
        assert stage.app.feed.problem is None

    play(path, script, first="calls")


def test_the_screenshot_in_the_readme_is_of_this_dashboard(demo: Path) -> None:
    async def script(stage: Stage) -> None:
        stage.app.theme = "textual-dark"
        await stage.press("j", "j")
        await stage.still()
        if UPDATE:
            drawn = stage.app.export_screenshot(title="underglass top")
            local = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
            SCREENSHOT.write_text(local, encoding="utf-8")
        shown = html.unescape(SCREENSHOT.read_text(encoding="utf-8")).replace("\xa0", " ")
        assert "underglass top" in shown
        assert "//cdn" not in shown, "it loads nothing from elsewhere"
        strips = stage.app.screen._compositor.render_strips()
        parts = (part.text for strip in strips for part in strip)
        for word in (word for text in parts for word in text.split()):
            assert word in shown, f"UPDATE_SCREENSHOT=1 draws {SCREENSHOT.name} anew"

    play(demo, script, (110, 26))
