"""The main screen: views, filter, evidence, mouse, palette, colours and sizes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tui.stage import WIDE, Stage, play
from tui.keys import KEYS
from tui.screens.call import CallScreen
from tui.screens.choice import ChoiceScreen
from tui.screens.record import RecordScreen
from tui.views import VIEWS
from tui.widgets.filter_input import FilterText


def test_numbers_choose_views(demo: Path) -> None:
    async def script(stage: Stage) -> None:
        for number, view in enumerate(VIEWS, 1):
            text = await stage.press(str(number))
            assert stage.main.name_shown == view.name
            assert (view.name, view.label) == (stage.view.NAME, stage.view.LABEL)
            assert not stage.main.stale, "it was answered"
            assert "Traceback" not in text
            assert all(len(line) <= WIDE[0] for line in stage.lines)
            assert stage.main.focused is not None
        await stage.press("ctrl+c")
        assert stage.app._exit

    play(demo, script, WIDE)


def test_completion_history_and_what_is_wrong_with_a_filter(demo: Path) -> None:
    async def script(stage: Stage) -> None:
        await stage.filter("status:error")
        await stage.filter("model:gpt")
        await stage.press("slash")
        text = stage.main.query_one(FilterText)
        await stage.press("up")
        assert text.value == "status:error"
        await stage.press("down", "down")
        assert text.value == ""
        await stage.press(*"co", "tab")
        assert text.value == "cost"
        await stage.press("tab")
        assert text.value == "cost:"
        await stage.press("tab")
        assert text.value == "cost_usd:", "pressed again: the next name"
        screen = await stage.press("escape", "slash", *"nosuch:1")
        assert "no column 'nosuch' in Calls" in screen, "beside what one types"
        assert len(stage.keys("call_id")) == 10, "what was there stays"
        screen = await stage.press("enter")
        assert "no column 'nosuch'" in stage.lines[2]
        await stage.press("escape")
        assert "no column" not in stage.text

    play(demo, script, first="calls")


def test_a_finding_leads_to_its_evidence(demo: Path) -> None:
    async def script(stage: Stage) -> None:
        assert stage.keys("kind") == ["policy_denied", "error_repeat"]
        text = await stage.press("enter")
        assert isinstance(stage.app.screen, RecordScreen)
        assert "A policy refused bash" in text
        await stage.press("y")
        assert json.loads(stage.app.clipboard)["evidence"][0]["kind"] == "tool"
        await stage.press("enter")
        screen = stage.app.screen
        assert isinstance(screen, CallScreen)
        assert (screen.kind, screen.key) == ("tool", "toolu_7")
        assert "claude-sonnet-4-5" in stage.text
        await stage.press("escape", "escape", "j", "enter", "G", "k", "g", "j", "enter")
        screen = stage.app.screen
        assert isinstance(screen, CallScreen)
        assert (screen.kind, screen.key) == ("tool", "toolu_2")
        await stage.press("escape")
        await stage.app.open_evidence("process", "4300-9")
        await stage.settle()
        assert "shop/check.py" in stage.text
        await stage.press("j", "k", "G", "g", "backspace")
        await stage.app.open_evidence("file", "no such")
        await stage.settle()
        assert "The store holds no such row." in stage.notes
        await stage.app.open_evidence("session", "s1")
        await stage.settle()
        assert stage.main.name_shown == "calls"
        assert len(stage.keys("call_id")) == 8

    play(demo, script, first="findings")


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
        assert stage.main.name_shown == "tools"
        await stage.pilot.click("#views", offset=(stage.lines[1].index("0…"), 0))
        await stage.settle()
        assert isinstance(stage.app.screen, ChoiceScreen)

    play(demo, script, first="calls")


def test_the_palette_names_views_tables_and_actions(demo: Path) -> None:
    async def script(stage: Stage) -> None:
        commands = {
            command.title: command for command in stage.app.get_system_commands(stage.app.screen)
        }
        labels = {KEYS[name].label for name in ("sort", "filter", "export", "help", "follow")}
        assert labels <= set(commands)
        assert {f"View: {view.label}" for view in VIEWS} <= set(commands)
        assert "(key s)" in str(commands["Sort"].help)
        commands["Reverse"].callback()
        await stage.settle()
        assert stage.rows.sorting.reverse
        commands["View: Tools"].callback()
        await stage.settle()
        assert stage.main.name_shown == "tools"
        commands["Table: Agents"].callback()
        await stage.settle()
        assert stage.main.name_shown == "agents"
        await stage.press("ctrl+p")
        assert stage.app.screen is not stage.app._main
        await stage.press("escape")
        assert stage.main.name_shown == "agents"

    play(demo, script, first="calls")


def test_no_color_leaves_only_grey(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def script(stage: Stage) -> None:
        assert stage.app.no_color
        red, green, blue = stage.colour_of("error")
        assert red == green == blue

    play(demo, script, first="calls")


def test_narrow_screens_keep_what_matters_most(demo: Path) -> None:
    async def script(stage: Stage) -> None:
        always = {"started_at", "model", "status", "input_tokens", "output_tokens", "cost_usd"}
        assert always <= set(stage.rows.visible_columns)
        narrow = len(stage.rows.visible_columns)
        page = stage.rows.page
        assert " 1Overview 2Calls" in stage.lines[1]
        await stage.resize(200, 50)
        assert len(stage.rows.visible_columns) > narrow
        assert stage.rows.page is page, "the rows stay, only the columns change"
        assert " 1 Overview  2 Calls" in stage.text
        await stage.resize(40, 12)
        assert all(len(line) <= 40 for line in stage.lines)
        assert "started_at" in stage.rows.visible_columns

    play(demo, script, first="calls")
