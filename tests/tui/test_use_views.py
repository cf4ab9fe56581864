"""Overview, models and contexts in the dashboard: narrow and wide, empty, filtered, live."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from analysis.overview import Overview
from analysis.reading import open_reader
from collector.rows import Batch
from tests.collector import store_rows as row
from tests.tui.stage import SECOND, WIDE, Stage, demo_batch, make_store, play
from tui.views.context import ContextQuestion, ContextView
from tui.views.models import ModelsQuestion, ModelsView
from tui.views.overview import OverviewQuestion, OverviewView


def _overview(stage: Stage) -> OverviewView:
    assert isinstance(stage.view, OverviewView)
    return stage.view


def _family(path: Path) -> Path:
    """The two agents of the demo, and a sub-agent of the first with a hostile name."""
    batch = demo_batch()
    child = row.session(
        "s3", parent_session_id="s1", agent="[red]sub[/red]\x1b[2J", agent_version=None,
        started_ns=row.START_NS + 5 * SECOND,
    )  # fmt: skip
    call = row.call(
        "e1", session_id="s3", agent=None, started_ns=row.START_NS + 5 * SECOND,
        ended_ns=row.START_NS + 6 * SECOND, first_token_ns=row.START_NS + 6 * SECOND,
        model="nobody-knows-it", request_model="nobody-knows-it", provider="elsewhere",
        host="127.0.0.1", cost_usd=None, cost_source="unpriced",
    )  # fmt: skip
    return make_store(
        path, replace(batch, sessions=[*batch.sessions, child], calls=[*batch.calls, call])
    )


def test_the_overview(tmp_path: Path) -> None:
    async def script(stage: Stage) -> None:
        view = _overview(stage)
        assert stage.keys("session_id") == ["s2", "s1", "s3"]
        assert "3 sessions, as they were left: nothing is captured now" in stage.text
        lines = stage.lines
        head = next(at for at, line in enumerate(lines) if line.startswith("agent"))
        s1, s3 = lines[head + 2], lines[head + 3]
        assert s1.startswith("claude-code")
        assert " ended? " in s1  # its tools were never answered, and its process not seen to end
        assert s3.startswith("└ [red]sub[/")  # text, not markup, below its parent
        assert "1.20k" in s3  # tokens alone: nobody knows the window
        assert "%" not in s3
        assert "cut off" in lines[head + 1]  # its call still ran when the capture ended
        assert any(line.startswith("tok/s ") and "errors 1" in line for line in lines)
        assert "bash was called 4 times" in stage.text  # below: the latest findings
        assert all(len(line) <= 80 for line in lines)

        await stage.press("j")
        subject = view.subject()
        assert subject is not None
        assert (subject.kind, subject.key) == ("session", "s1")
        await stage.press("s")  # by agent: unknown order changes, the tree is flat
        assert view.caption().plain.endswith(", by agent")
        assert stage.keys("depth") == [0, 0, 0]
        await stage.press("S")
        names = [str(name) for name in stage.keys("agent")]
        assert names == sorted(names, reverse=True)

        text = await stage.filter("state:ended")
        assert stage.keys("session_id") == ["s1"]
        text = await stage.filter("state:stuck")
        assert "All 3 rows are hidden by the filter" in text

    play(_family(tmp_path / "s.db"), script)


def test_the_overview_is_wide_and_keeps_its_cursor(tmp_path: Path) -> None:
    async def script(stage: Stage) -> None:
        view = _overview(stage)
        assert "Latest findings" in stage.text
        assert "ttft" in stage.text
        await stage.press("j")
        with open_reader(path) as reader:
            answer = OverviewQuestion(None, "").read(reader)
        assert isinstance(answer, Overview)
        newest = replace(answer.states.sessions[0], session_id="new", state="working")
        more = replace(answer.states, sessions=(newest, *answer.states.sessions), live=True)
        scope = stage.main.scope
        view.show(replace(answer, states=more), scope)
        subject = view.subject()
        assert subject is not None
        assert subject.key == "s1"  # still there, a line further down
        assert view.rows.cursor == 2
        assert view.rows.first_line == 0
        assert "1 going on" in view.caption().plain

    path = _family(tmp_path / "s.db")
    play(path, script, (170, 40))


def test_models(demo: Path) -> None:
    async def script(stage: Stage) -> None:
        view = stage.view
        assert isinstance(view, ModelsView)
        assert stage.keys("key") == ["claude-sonnet-4-5", "gpt-5-codex"]
        assert "2 models  24h up to the last call" in stage.text
        assert "cost by model" in stage.text
        assert "● claude-sonnet-4-5" in stage.text
        assert "429" not in stage.text
        for measure in ("cost an hour", "median latency", "p95 latency", "tokens/s", "cache hit"):
            assert f"{measure}" in await stage.press("m")
        assert "cost by model" in await stage.press("m")
        assert "agents  24h" in await stage.press("b")
        text = await stage.press("b")
        assert "2 sessions" in text
        subject = view.subject()
        assert subject is not None
        assert (subject.kind, subject.key) == ("session", "s1")
        assert "1 day" in await stage.press("b")
        assert stage.keys("key") == ["2025-10-09"]
        assert "7d up to" in await stage.press("r")
        assert "all that is stored" in await stage.press("r")
        await stage.press("b")
        await stage.filter("provider:openai")
        assert stage.keys("key") == ["gpt-5-codex"]
        await stage.resize(*WIDE)
        assert "tok/s" in stage.text

    play(demo, script, first="models")


def test_contexts(demo: Path) -> None:
    async def script(stage: Stage) -> None:
        view = stage.view
        assert isinstance(view, ContextView)
        assert stage.keys("session_id") == ["s1"]
        assert "Contexts of 1 session" in stage.text
        text = await stage.press("enter")
        assert "2 requests  bars: shares of the largest request" in text
        assert "▓ system" in text
        assert "sent again" in text
        subject = view.subject()
        assert subject is not None
        assert (subject.kind, subject.key) == ("call", "c4")  # it begins at the last
        assert "bash" in text or "tool results" in text
        await stage.press("k")
        assert view.subject() != subject
        assert "of the model's window" in await stage.press("m")
        assert "×2" in await stage.press("b")  # one turn of two requests
        assert "Contexts of 1 session" in await stage.press("escape")
        assert "hidden by the filter" in await stage.filter("agent:nobody")
        assert "Contexts of 1 session" in await stage.press("escape")  # the screen's own, now
        assert stage.main.scope.where == ""

    play(demo, script, first="context")


def test_what_is_asked_is_read_without_a_screen(demo: Path) -> None:
    with open_reader(demo) as reader:
        one = ContextQuestion("s1", "").read(reader)
        assert [row["call_id"] for row in one.rows] == ["c1", "c4"]
        assert ContextQuestion("s1", "") == ContextQuestion("s1", "")
        none = ContextQuestion("s2", "").read(reader)
        assert none.rows == ()
        use = ModelsQuestion("model", 3600, "s2", "").read(reader)
        assert [row["key"] for row in use.rows] == ["gpt-5-codex"]
        assert use.rows[0]["cost_usd"] is None  # no price is known, which is not 0


def test_nothing_is_stored(tmp_path: Path) -> None:
    async def script(stage: Stage) -> None:
        assert "underglass run -- COMMAND" in stage.text
        for key in ("8", "7", "1"):
            assert "Nothing was captured yet" in await stage.press(key)

    play(make_store(tmp_path / "e.db", Batch()), script)
