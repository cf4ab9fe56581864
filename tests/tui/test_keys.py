"""Every key of `tui.keys`, one check each: a key without a check fails."""

from __future__ import annotations

import json
import stat
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.tui.stage import Stage, play
from tui.keys import KEYS
from tui.screens.call import CallScreen
from tui.screens.choice import ChoiceScreen
from tui.screens.help import HelpScreen
from tui.settings import USUAL_INTERVAL_S, Settings
from tui.views import TABLE_NAMES, VIEWS
from tui.widgets.filter_input import FilterInput

TESTS = Path(__file__).parent
DOCUMENT = TESTS.parents[1] / "docs" / "dashboard.md"
Check = Callable[[Stage, str], Awaitable[None]]


async def opens_a_call(stage: Stage, key: str) -> None:
    assert stage.rows.current is not None
    wanted = stage.rows.current["call_id"]
    await stage.press(key)
    assert isinstance(stage.app.screen, CallScreen)
    assert stage.app.screen.key == wanted


async def goes_back(stage: Stage, key: str) -> None:
    await stage.press("0", "1")
    assert stage.main.name_shown == "sessions"
    await stage.press("enter")
    assert stage.main.name_shown == "calls"
    assert stage.keys("call_id") == ["d2", "d1"]
    assert "session s2 ›" in stage.lines[2]
    await stage.filter("status:ok")
    assert stage.keys("call_id") == ["d1"]
    await stage.press(key)
    assert stage.keys("call_id") == ["d2", "d1"], "first out of the filter"
    await stage.press(key)
    assert stage.main.name_shown == "sessions", "then out of the session"
    assert len(stage.keys("session_id")) == 2
    await stage.press(key)
    assert stage.main.name_shown == "calls", "then to the view before"
    assert len(stage.keys("call_id")) == 10


async def moves_down(stage: Stage, key: str) -> None:
    await stage.press(key, key)
    assert stage.rows.cursor == 2
    assert not stage.rows.following


async def moves_up(stage: Stage, key: str) -> None:
    await stage.press("j", "j", key)
    assert stage.rows.cursor == 1
    await stage.press(key, key)
    assert stage.rows.cursor == 0
    assert stage.rows.following, "at the top it follows again"


async def moves_a_page(stage: Stage, key: str) -> None:
    down = key in ("pagedown", "ctrl+d")
    await stage.press(*([] if down else ["G"]), key)
    assert stage.rows.cursor == (9 if down else 0), "all rows fit the screen"


async def moves_to_the_end(stage: Stage, key: str) -> None:
    await stage.press("j", key)
    assert stage.rows.cursor == (9 if KEYS["bottom"].keys.find(key) >= 0 else 0)


async def offers_tables(stage: Stage, key: str) -> None:
    for number, name in ((3, TABLE_NAMES[2]), (9, TABLE_NAMES[8])):
        await stage.press(key)
        assert isinstance(stage.app.screen, ChoiceScreen)
        await stage.press(str(number))
        assert stage.main.name_shown == name
        assert stage.main.table is not None
        assert stage.lines[2].startswith(f" {stage.main.table.label}: ")
    await stage.press(key, "j", "j", "k", "G", "g", "enter")
    assert stage.main.name_shown == "sessions"
    await stage.press(key, "q")
    assert stage.main.name_shown == "sessions"


async def filters(stage: Stage, key: str) -> None:
    await stage.press(key, *"rat")
    assert stage.keys("call_id") == ["c6"], "while one types"
    await stage.press("escape")
    assert len(stage.keys("call_id")) == 10
    text = await stage.filter("status:error")
    assert stage.keys("call_id") == ["c6"]
    assert not stage.main.query_one(FilterInput).display
    assert "Calls: 1" in text
    assert "/status:error" in text
    await stage.press("p")
    assert stage.app.feed.paused, "keys are commands again"
    await stage.press("p", key, "escape")
    assert len(stage.keys("call_id")) == 10


async def sorts(stage: Stage, key: str) -> None:
    seen = []
    while stage.rows.sorting.column != "cost_usd":
        await stage.press(key)
        seen.append(str(stage.rows.sorting.column))
    assert seen == list(stage.rows.visible_columns[: len(seen)])
    costs = stage.keys("cost_usd")
    known = [cost for cost in costs if cost is not None]
    assert known == sorted(known, reverse=True)
    assert costs[len(known) :] == [None, None, None], "unknown costs come last"
    assert "cost↓" in stage.lines[3]
    assert "by cost" in stage.lines[2]
    for _ in range(len(stage.rows.visible_columns) - len(seen) + 1):
        await stage.press(key)
    assert stage.rows.sorting.column is None, "after the last column by time again"


async def reverses(stage: Stage, key: str) -> None:
    newest = stage.keys("call_id")
    await stage.press(key)
    assert stage.keys("call_id") == newest[::-1]
    assert "oldest first" in stage.lines[2]
    await stage.press(key)
    assert stage.keys("call_id") == newest


async def follows(stage: Stage, key: str) -> None:
    await stage.press("j", "j")
    assert "following" not in stage.lines[2]
    text = await stage.press(key)
    assert (stage.rows.cursor, stage.rows.following) == (0, True)
    assert "following" in text
    await stage.press(key)
    assert (stage.rows.cursor, stage.rows.following) == (0, False)
    await stage.press(key)


async def pauses(stage: Stage, key: str) -> None:
    assert "09:00:00" in stage.text
    assert "PAUSED" in await stage.press(key)
    await stage.press("3")
    assert len(stage.keys("name")) == 5, "views can be changed while paused"
    assert "PAUSED" not in await stage.press(key)


async def changes_the_interval(stage: Stage, key: str) -> None:
    before = stage.app.feed.interval_s or 0.4
    await stage.press(key)
    after = stage.app.feed.interval_s
    assert after is not None
    assert (after > before) == (key == "minus")
    assert (f"every {after:g} s" in stage.text) == (after != USUAL_INTERVAL_S)


async def maximises(stage: Stage, key: str) -> None:
    lines = stage.rows.size.height
    text = await stage.press(key)
    assert stage.rows.size.height == lines + 4
    assert "undecoded" in text, "the health line stays"
    assert "1Overview" not in text
    await stage.press(key)
    assert stage.rows.size.height == lines


async def copies(stage: Stage, key: str) -> None:
    await stage.press("j", key)
    copied = json.loads(stage.app.clipboard)
    assert (copied["call_id"], copied["api"]) == ("d1", "anthropic.messages"), "all its fields"
    assert any(note.startswith("Copied call d1") for note in stage.notes)


async def exports(stage: Stage, key: str) -> None:
    folder = stage.app.settings.export_dir
    await stage.filter("status:error")
    await stage.press(key, "1")
    await stage.press(key, "2")
    record, table = folder / "call-c6.json", folder / "calls.csv"
    assert json.loads(record.read_text())["error_type"] == "rate_limit_error"
    head, only = table.read_text().splitlines()
    assert head.startswith("call_id,")
    assert only.startswith("c6,")
    assert {stat.S_IMODE(path.stat().st_mode) for path in (record, table)} == {0o600}
    assert f"Written to {record}" in stage.notes
    assert f"1 rows in {table}" in stage.notes
    await stage.press(key, "3", "escape")
    assert "<svg" in (folder / "underglass.svg").read_text()


async def pages(stage: Stage, key: str) -> None:
    shown: list[bytes] = stage.app.paged  # type: ignore[attr-defined]
    before = len(shown)
    await stage.press(key)
    assert len(shown) == before + 1
    assert b'"call_id": "d2"' in shown[-1]


async def takes_a_screenshot(stage: Stage, key: str) -> None:
    await stage.press(key)
    drawn = sorted(stage.app.settings.export_dir.glob("*.svg"))[-1]
    assert "claude-sonnet-4-5" in drawn.read_text()
    assert stat.S_IMODE(drawn.stat().st_mode) == 0o600


async def changes_the_theme(stage: Stage, key: str) -> None:
    before = stage.app.theme
    await stage.press(key)
    assert stage.app.theme != before
    stage.app.theme = before


async def helps(stage: Stage, key: str) -> None:
    text = await stage.press(key)
    assert isinstance(stage.app.screen, HelpScreen)
    assert "open: session › calls › messages" in text
    text = await stage.press("G")
    assert "Identifies the call." in text, "columns of the present view"
    await stage.press("g", "j", "k", "ctrl+d", "ctrl+u", "escape")
    assert stage.main.name_shown == "calls"
    await stage.press(key, "q")
    assert stage.main.name_shown == "calls"


async def quits(stage: Stage, key: str) -> None:
    assert stage.app.is_running
    await stage.pilot.press(key)
    assert stage.app._exit


CHECKS: dict[str, Check] = {
    "open": opens_a_call,
    "back": goes_back,
    "down": moves_down,
    "up": moves_up,
    "page_down": moves_a_page,
    "page_up": moves_a_page,
    "top": moves_to_the_end,
    "bottom": moves_to_the_end,
    "tables": offers_tables,
    "filter": filters,
    "sort": sorts,
    "reverse": reverses,
    "follow": follows,
    "pause": pauses,
    "slower": changes_the_interval,
    "faster": changes_the_interval,
    "maximise": maximises,
    "copy": copies,
    "export": exports,
    "pager": pages,
    "screenshot": takes_a_screenshot,
    "theme": changes_the_theme,
    "help": helps,
    "quit": quits,
}


def test_every_key(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER", "pager -R")
    shown: list[bytes] = []

    def run(command: list[str], *, input: bytes, check: bool) -> None:
        assert command == ["pager", "-R"]
        shown.append(input)

    @contextmanager
    def suspend(_app: object) -> Any:
        yield

    monkeypatch.setattr("tui.handing_out.subprocess.run", run)
    monkeypatch.setattr("tui.app.UnderglassApp.suspend", suspend)

    async def script(stage: Stage) -> None:
        stage.app.paged = shown  # type: ignore[attr-defined]
        for name, check in CHECKS.items():
            for key in KEYS[name].keys.split(","):
                while stage.app.screen is not stage.app._main:
                    await stage.press("escape")
                if stage.main.scope.where:
                    await stage.press("escape")
                await stage.press("2", "g")
                await check(stage, key)

    play(demo, script, settings=Settings(export_dir=tmp_path))


def test_every_key_is_documented_and_pressed_in_some_test() -> None:
    documented = DOCUMENT.read_text(encoding="utf-8")
    pressed = "".join(path.read_text(encoding="utf-8") for path in TESTS.glob("test_*.py"))
    for name, key in KEYS.items():
        assert key_row(name) in documented, f"{name} in {DOCUMENT.name}"
        if name not in CHECKS:
            assert any(f'"{each}"' in pressed for each in key.keys.split(",")), name
    for view in VIEWS:
        assert f"| {view.label} | {view.about} |" in documented


def key_row(name: str) -> str:
    """An action's line in the documentation."""
    key = KEYS[name]
    return f"| `{name}` | `{key.keys}` | {key.about} |"


def test_keys_are_the_users(demo: Path) -> None:
    async def script(stage: Stage) -> None:
        assert stage.app.theme == "nord"
        await stage.press("s")
        assert stage.rows.sorting.column is None, "the old key is free"
        await stage.press("x", "n", "n")
        assert stage.rows.sorting.column == stage.rows.visible_columns[0]
        assert stage.rows.cursor == 2
        text = await stage.press("f1")
        assert "x  sort by the next column" in text, "help names the user's"

    keys = {"sort": "x", "down": "n,down", "help": "f1"}
    play(demo, script, first="calls", settings=Settings(theme="nord", keys=keys))
