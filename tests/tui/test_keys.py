"""Every key, on a narrow and on a wide screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.stage import NARROW, WIDE, Stage, play
from tui.screens.call import CallScreen
from tui.screens.help import HelpScreen
from tui.screens.main import MainScreen
from tui.screens.record import RecordScreen
from tui.state import VIEWS
from tui.widgets.filter_input import FilterInput
from tui.widgets.message_view import MessageView

sizes = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "120x40"])


@sizes
def test_numbers_choose_views(demo: Path, size: tuple[int, int]) -> None:
    async def script(stage: Stage) -> None:
        assert stage.main.table.name == "calls"
        expected = {"sessions": 2, "calls": 10, "tools": 5, "findings": 2, "processes": 2}
        for number, view in enumerate(VIEWS, 1):
            await stage.press(str(number))
            assert stage.main.table is view
            assert len(stage.rows.rows) == expected.get(view.name, len(stage.rows.rows)) > 0
            assert f"{view.label}: {len(stage.rows.rows)}" in stage.lines[2]
            assert all(len(line) <= size[0] for line in stage.lines)

    play(demo, script, size)


@sizes
def test_enter_drills_down_and_escape_comes_back(demo: Path, size: tuple[int, int]) -> None:
    async def script(stage: Stage) -> None:
        await stage.press("1", "j")
        assert stage.rows.current is not None
        assert stage.rows.current["session_id"] == "s1"
        await stage.press("enter")
        assert stage.main.table.name == "calls"
        assert stage.keys("call_id") == [f"c{n}" for n in range(8, 0, -1)]
        assert "session s1 ›" in stage.lines[2]
        await stage.press("j", "j", "j", "j", "enter")
        screen = stage.app.screen
        assert isinstance(screen, CallScreen)
        assert screen.key == "c4"
        await stage.press("escape")
        assert stage.rows.current["call_id"] == "c4"
        await stage.press("escape")
        assert stage.main.table.name == "sessions"
        assert len(stage.rows.rows) == 2

    play(demo, script, size)


@sizes
def test_vim_keys_move_the_cursor(demo: Path, size: tuple[int, int]) -> None:
    async def script(stage: Stage) -> None:
        positions = []
        for key in (
            "j",
            "j",
            "k",
            "G",
            "j",
            "k",
            "g",
            "k",
            "pagedown",
            "home",
            "down",
            "up",
            "end",
        ):
            await stage.press(key)
            positions.append(stage.rows.cursor)
        assert positions == [1, 2, 1, 9, 9, 8, 0, 0, 9, 0, 1, 0, 9]

    play(demo, script, size)


@sizes
def test_filter_words_fields_and_inverse(demo: Path, size: tuple[int, int]) -> None:
    async def script(stage: Stage) -> None:
        await stage.press("slash", *"rat")
        assert stage.keys("call_id") == ["c6"], "while one types"
        await stage.press("escape")
        assert len(stage.rows.rows) == 10
        text = await stage.filter("status:error")
        assert stage.keys("call_id") == ["c6"]
        assert not stage.main.query_one(FilterInput).display
        assert "/status:error shows 1, hides 9" in text
        await stage.press("s", "p")
        assert stage.app.feed.paused, "keys are commands again"
        await stage.press("escape")
        assert len(stage.rows.rows) == 10
        await stage.filter("!claude codex")
        assert set(stage.keys("call_id")) == {"d1", "d2"}
        await stage.press("slash", "escape")
        assert len(stage.rows.rows) == 10
        text = await stage.filter("nocolumn:x")
        assert "no column nocolumn" in text

    play(demo, script, size)


@sizes
def test_s_sorts_by_each_column_and_capital_s_reverses(demo: Path, size: tuple[int, int]) -> None:
    async def script(stage: Stage) -> None:
        newest = stage.keys("call_id")
        await stage.press("S")
        assert stage.keys("call_id") == newest[::-1]
        await stage.press("S", "s")
        assert stage.rows.sorting.column == "started_at"
        seen = ["started_at"]
        while stage.rows.sorting.column != "cost_usd":
            await stage.press("s")
            seen.append(str(stage.rows.sorting.column))
        assert seen == list(stage.rows.visible_columns[: len(seen)])
        costs = stage.keys("cost_usd")
        known = [cost for cost in costs if cost is not None]
        assert known == sorted(known, reverse=True)
        assert costs[len(known) :] == [None, None, None], "unknown costs come last"
        await stage.press("S")
        assert stage.keys("cost_usd")[: len(known)] == sorted(known)
        assert stage.keys("cost_usd")[len(known) :] == [None, None, None]
        assert "cost↑" in stage.lines[3]

    play(demo, script, size)


@sizes
def test_p_pauses_and_goes_on(tmp_path: Path, demo: Path, size: tuple[int, int]) -> None:
    async def script(stage: Stage) -> None:
        assert "09:00:00" in stage.text
        text = await stage.press("p")
        assert "PAUSED" in text
        await stage.press("3")
        assert stage.rows.rows, "views can be changed while paused"
        text = await stage.press("p")
        assert "PAUSED" not in text

    play(demo, script, size)


@sizes
def test_question_mark_explains_keys_and_columns(demo: Path, size: tuple[int, int]) -> None:
    async def script(stage: Stage) -> None:
        text = await stage.press("question_mark")
        assert isinstance(stage.app.screen, HelpScreen)
        assert "filter: words that must all fit" in text
        text = await stage.press("G")
        assert "Identifies the call." in text, "columns of the present view"
        await stage.press("g", "j", "k", "escape")
        assert isinstance(stage.app.screen, MainScreen)
        await stage.press("question_mark", "q")
        assert isinstance(stage.app.screen, MainScreen)

    play(demo, script, size)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_quits(demo: Path, key: str) -> None:
    async def script(stage: Stage) -> None:
        assert stage.app.is_running
        await stage.pilot.press(key)
        assert stage.app._exit

    play(demo, script)


@sizes
def test_a_finding_leads_to_its_evidence(demo: Path, size: tuple[int, int]) -> None:
    async def script(stage: Stage) -> None:
        await stage.press("4")
        assert stage.keys("kind") == ["policy_denied", "error_repeat"]
        text = await stage.press("enter")
        assert isinstance(stage.app.screen, RecordScreen)
        assert "A policy refused bash" in text
        await stage.press("enter")
        screen = stage.app.screen
        assert isinstance(screen, CallScreen)
        assert (screen.kind, screen.key) == ("tool", "toolu_7")
        assert "claude-sonnet-4-5" in stage.lines[0]
        await stage.press("escape", "escape", "j", "enter", "G", "k", "g", "j", "enter")
        screen = stage.app.screen
        assert isinstance(screen, CallScreen)
        assert (screen.kind, screen.key) == ("tool", "toolu_2")

    play(demo, script, size)


@sizes
def test_messages_fold_and_unfold(demo: Path, size: tuple[int, int]) -> None:
    async def script(stage: Stage) -> None:
        await stage.filter("call_id:c4")
        await stage.press("enter")
        views = list(stage.app.screen.query(MessageView))
        assert [view.unfolded for view in views] == [False, False, False, True, True, True]
        assert views[3].has_focus
        assert "result bash (error)" in stage.text
        assert "It fails still. [bold]Again[/bold]␛[2J." in stage.text, "neither markup nor codes"
        assert '"command": "python3 -B shop/check.py"' in stage.text
        await stage.press("g", "enter")
        assert views[0].unfolded
        assert "You are a careful engineer." in stage.text
        await stage.press("space")
        assert not views[0].unfolded
        await stage.press("a")
        assert all(view.unfolded for view in views)
        await stage.press("j", "j")
        assert "thinking" in stage.text
        assert "I should run the check." in stage.text
        await stage.press("a")
        assert not any(view.unfolded for view in views)
        await stage.press("G")
        assert views[-1].has_focus
        await stage.press("k")
        assert views[-2].has_focus

    play(demo, script, size)


def test_the_mouse_sorts_moves_opens_and_changes_views(demo: Path) -> None:
    async def script(stage: Stage) -> None:
        table = stage.rows
        at = stage.lines[3].index("model")
        await stage.pilot.click(table, offset=(at, 0))
        await stage.settle()
        assert table.sorting.column == "model"
        await stage.pilot.click(table, offset=(at, 0))
        await stage.settle()
        assert table.sorting.reverse
        await stage.pilot.click(table, offset=(2, 3))
        await stage.settle()
        assert table.cursor == 2
        await stage.pilot.click(table, offset=(2, 3), times=2)
        await stage.settle()
        assert isinstance(stage.app.screen, CallScreen)
        await stage.press("escape")
        await stage.pilot.click("#views", offset=(stage.lines[1].index("Tools"), 0))
        await stage.settle()
        assert stage.main.table.name == "tools"

    play(demo, script)


def test_the_palette_names_views_and_actions(demo: Path) -> None:
    async def script(stage: Stage) -> None:
        names = {command.title for command in stage.app.get_system_commands(stage.app.screen)}
        assert {"Pause", "Filter", "Sort", "Reverse", "Quit"} <= names
        assert {view.label for view in VIEWS} <= names
        await stage.press("ctrl+p")
        assert not isinstance(stage.app.screen, MainScreen)
        await stage.press("escape")
        assert isinstance(stage.app.screen, MainScreen)

    play(demo, script)


def test_no_color_leaves_only_grey(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def script(stage: Stage) -> None:
        assert stage.app.no_color
        red, green, blue = stage.colour_of("error")
        assert red == green == blue

    play(demo, script)


def test_narrow_screens_keep_what_matters_most(demo: Path) -> None:
    async def script(stage: Stage) -> None:
        always = {"started_at", "model", "status", "input_tokens", "output_tokens", "cost_usd"}
        assert always <= set(stage.rows.visible_columns)
        narrow = len(stage.rows.visible_columns)
        rows = stage.rows.rows
        await stage.resize(160, 30)
        assert len(stage.rows.visible_columns) > narrow
        assert stage.rows.rows is rows, "the rows stay, only the columns change"
        await stage.resize(40, 12)
        assert all(len(line) <= 40 for line in stage.lines)
        assert "started_at" in stage.rows.visible_columns

    play(demo, script)
