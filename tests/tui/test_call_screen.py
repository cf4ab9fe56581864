"""The screen of one call: every key, its answer while it comes, and how fast it opens."""

from __future__ import annotations

import datetime
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from collector.decoding import decode
from collector.raw_data import raw_directory
from collector.recording import RecordingReader, RecordingWriter
from collector.redaction import Redactor
from collector.rows import (
    Batch,
    CallRow,
    ContentRow,
    MessageNodeRow,
    RunningAnswerRow,
)
from collector.store import Store
from probes.events import ConnectionKey
from tests.collector.store_rows import START_NS, call, capture, session
from tests.frames import (
    AGENT,
    API_KEY,
    INFO,
    SALT,
    STARTED_NS,
    Wire,
    ask,
    streamed_answer,
    user,
)
from tests.tui.stage import NARROW, NOW, SECOND, WIDE, Stage, make_store, play
from tui.screens.call import CallScreen
from tui.screens.call_pages import DiffScreen, RawScreen
from tui.screens.choice import ChoiceScreen
from tui.settings import Settings
from tui.text_lines import line_length
from tui.widgets.conversation_view import ConversationView
from underglass.cli import underglass

LOOKED: list[datetime.datetime] = []
MARKDOWN = "## A heading\n\nSome **bold** text and `code`.\n\n- item one\n- item two\n\n"


def conversation(stage: Stage) -> ConversationView:
    return stage.app.screen.query_one(ConversationView)


async def opened(stage: Stage, call_id: str) -> CallScreen:
    """The screen of a call."""
    stage.app.push_screen(CallScreen("call", call_id))
    await stage.settle()
    screen = stage.app.screen
    assert isinstance(screen, CallScreen)
    return screen


def test_every_key(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(stage: Stage) -> None:
        await opened(stage, "c4")
        view = conversation(stage)
        assert view.unfolded == [False, False, False, True, True, True]
        assert "claude-sonnet-4-5" in stage.lines[0]
        assert "▾ user  sent" in stage.text
        assert all(len(line) <= NARROW[0] for line in stage.lines)
        assert view.position == (4, 6)  # what is new
        assert [await moved(stage, key) for key in "jjkGg"] == [5, 6, 5, 6, 1]
        await stage.press("space")
        assert view.unfolded[0]
        assert "You are a careful engineer." in stage.text
        await stage.press("enter")
        assert not view.unfolded[0]
        await stage.press("a")
        assert all(view.unfolded)
        await stage.press("a")
        assert not any(view.unfolded)
        await stage.press("G", "k", "space")
        assert "▾ calls bash {1 key}" in stage.text
        await stage.press("left", "left")
        assert "▸ calls bash {1 key}" in stage.text
        await stage.press("right")
        assert "command: python3 -B shop/check.py" in stage.text
        assert view.is_markdown
        await stage.press("m")
        assert not view.is_markdown
        assert "It fails still. [bold]Again[/bold]␛[2J." in stage.text
        await stage.press("y")
        assert "It fails still." in stage.app.clipboard
        await stage.press("v")
        assert any("cannot be handed over" in note or "less" in note for note in stage.notes)

        await stage.press("right_square_bracket")
        screen = stage.app.screen
        assert isinstance(screen, CallScreen)
        assert screen.key == "c5"
        await stage.press("left_square_bracket", "left_square_bracket")
        assert (screen.key, screen.subject().key) == ("c3", "c3")
        await stage.press(*["left_square_bracket"] * 3)
        assert screen.key == "c1"
        assert stage.notes[-1] == "This is the first call of its session."
        await stage.press(*["right_square_bracket"] * 3)
        await stage.press("d")
        assert isinstance(stage.app.screen, DiffScreen)
        assert stage.app.screen.question.before == "c1"  # whose messages it goes on from
        assert "What c4 says that c1 did not" in stage.lines[0]
        assert "… 1 message unchanged" in stage.text
        assert "+ 3 user" in stage.text or await stage.press("ctrl+d")
        await stage.press("y", "escape", "h")
        assert "AssertionError" in stage.app.clipboard
        assert isinstance(stage.app.screen, RawScreen)
        assert "no raw data of its capture was kept" in stage.text
        assert "underglass run --keep-raw" in stage.text
        await stage.press("escape", "e")
        assert isinstance(stage.app.screen, ChoiceScreen)
        await stage.press("1", "e", "2", "e", "3")
        folder = tmp_path / "out"
        assert json.loads((folder / "call-c4.json").read_text())["call_id"] == "c4"
        assert "rebuilt from the store" in (folder / "call-c4.sh").read_text()
        assert (folder / "call-c4.txt").exists()
        await stage.press("question_mark")
        assert "fold or unfold the message" in stage.text
        await stage.press("escape", "escape")
        assert stage.app.screen is stage.app._main

    (tmp_path / "out").mkdir()
    monkeypatch.setenv("PAGER", "less")
    play(demo, script, NARROW, settings=Settings(export_dir=tmp_path / "out"))


async def look(stage: Stage) -> None:
    """Let the dashboard look at the store again, a little later."""
    later = NOW + datetime.timedelta(seconds=1 + len(LOOKED))
    LOOKED.append(later)
    stage.app._clock = lambda: later
    await stage.look()


async def moved(stage: Stage, key: str) -> int:
    await stage.press(key)
    return conversation(stage).position[0]


def message(at: int, text: str) -> tuple[ContentRow, MessageNodeRow]:
    role = "assistant" if at % 2 else "user"
    body = json.dumps({"role": role, "content": [{"type": "text", "text": text}]})
    return (
        ContentRow(f"h{at}", "message", role, len(body), body),
        MessageNodeRow(f"n{at}", f"n{at - 1}" if at else None, at, f"h{at}"),
    )


def test_two_hundred_long_messages_open_at_once(tmp_path: Path) -> None:
    text = (MARKDOWN * 100)[:5000]
    rows = [message(at, f"message {at}\n{text}") for at in range(200)]
    batch = Batch(
        captures=[capture()],
        sessions=[session("s1")],
        calls=[call("c1", input_node="n199", output_node=None)],
        contents=[content for content, _ in rows],
        nodes=[node for _, node in rows],
    )

    async def script(stage: Stage) -> None:
        screen = await opened(stage, "c1")
        view = conversation(stage)
        answer = screen._answer
        assert answer is not None
        took = []
        for _ in range(5):
            view.clear()
            began = time.perf_counter()
            screen._show(answer)
            await stage.pilot.pause(0)
            took.append(time.perf_counter() - began)
        assert min(took) < 0.3
        began = time.perf_counter()
        view.action_fold_all()
        assert time.perf_counter() - began < 0.3
        for key in ("G", "k", "k", "pageup", "ctrl+u", "j", "g", "pagedown"):
            await stage.press(key)
            laid = sum(part.lines is not None for _, part in view._laid if part.at >= 0)
            assert laid < 20  # only what was on the screen
        assert view.show_vertical_scrollbar
        assert not any(
            part.lines and max(line_length(line) for line, _ in part.lines) > 76
            for _, part in view._laid
        )  # beside the scroll bar
        await stage.press("G")
        last = view.position[0]
        assert last == 200
        assert "message 199" in stage.text
        for _ in range(12):  # upwards into what was never laid out, nothing jumps
            before = [line for line in stage.lines[4:10] if line.strip()]
            view.scroll_to(y=view.scroll_y - 2, animate=False, immediate=True)
            await stage.pilot.pause(0)
            text = stage.text
            assert all(line.strip(" ▌▂▃▄▅▆▇█") in text for line in before)

    play(make_store(tmp_path / "long.db", batch), script)


def test_a_running_answer_grows_and_then_is_a_message(tmp_path: Path) -> None:
    content, node = message(0, "Go on.")
    running = call(
        "c1", status="running", ended_ns=None, complete=False, input_node="n0", output_node=None,
        capture_id="k1", output_tokens=None, first_token_ns=START_NS + SECOND, chunk_ns=(),
    )  # fmt: skip

    def so_far(text: str, tokens: int, seconds: int) -> RunningAnswerRow:
        body = [{"role": "assistant", "content": [{"type": "text", "text": text}]}]
        return RunningAnswerRow("c1", json.dumps(body), tokens, START_NS + seconds * SECOND)

    path = tmp_path / "s.db"

    def write(*batches: Batch) -> None:
        with Store.open(path) as store:
            for batch in batches:
                store.write(batch)

    first: dict[str, Any] = {
        "captures": [capture(ended_ns=None)],
        "sessions": [session("s1")],
        "calls": [running],
        "contents": [content],
        "nodes": [node],
    }

    async def script(stage: Stage) -> None:
        await opened(stage, "c1")
        view = conversation(stage)
        assert "assistant  answering" in stage.text
        assert "▌  The first words▌" in stage.lines
        assert "said ~3 tokens" in stage.text
        assert "~3 tok/s" in stage.text
        assert "elapsed 6m40s" in stage.text
        await stage.press("G", "m")
        lines = "\n".join(f"line {n}" for n in range(60))
        write(Batch(running_answers=[so_far(lines, 200, 5)]))
        await look(stage)
        assert "line 59▌" in stage.text  # it follows the end
        assert "~50 tok/s" in stage.text
        assert not view.is_markdown
        answer, answer_node = message(1, lines)
        ended = replace(
            running,
            status="ok",
            ended_ns=START_NS + 9 * SECOND,
            output_node="n1",
            output_tokens=210,
        )
        gone = RunningAnswerRow("c1", None, None, START_NS)
        write(Batch(calls=[ended], contents=[answer], nodes=[answer_node], running_answers=[gone]))
        await look(stage)
        assert "answering" not in stage.text
        assert "59▌" not in stage.text
        assert view.position[1] == 2

    write(Batch(**first), Batch(running_answers=[so_far("The first words", 3, 2)]))
    play(path, script)


def test_the_http_exchange_is_read_from_raw_data(tmp_path: Path) -> None:
    path, call_id = kept(tmp_path / "s.db")

    async def script(stage: Stage) -> None:
        await opened(stage, call_id)
        await stage.press("h")
        assert isinstance(stage.app.screen, RawScreen)
        assert f"HTTP exchange of {call_id}" in stage.lines[0]
        assert "POST /v1/messages HTTP/1.1" in stage.text
        assert API_KEY.decode() not in stage.text
        await stage.press("y", "escape", "e", "2")
        assert "event: message_start" in stage.app.clipboard
        assert "as it was sent" in (tmp_path / f"call-{call_id}.sh").read_text()

    play(path, script, WIDE, settings=Settings(export_dir=tmp_path))


def test_the_command_line_shows_the_same(tmp_path: Path) -> None:
    path, call_id = kept(tmp_path / "s.db")

    def run(*arguments: str) -> Result:
        command = underglass.get_command(click.Context(underglass), arguments[0])
        assert command is not None
        options = ["--db", str(path)]
        return CliRunner().invoke(command, [*arguments[1:], *options], standalone_mode=False)

    raw = run("show", call_id, "--raw")
    assert raw.return_value == 0
    assert "POST /v1/messages HTTP/1.1" in raw.output
    assert "event: message_start" in raw.output
    assert "as it was sent" in run("show", call_id, "--curl").output
    assert json.loads(run("show", call_id, "--json").output)["call_id"] == call_id
    assert "good morning" in run("show", call_id).output
    assert isinstance(run("show", call_id, "--raw", "--curl").exception, click.UsageError)
    alone = run("diff", call_id).exception
    assert "is the first call of its session" in str(alone)
    assert "the two requests are equal" in run("diff", call_id, call_id).output
    assert json.loads(run("diff", call_id, call_id, "--json").output)["messages"]
    for raw_file in raw_directory(path).iterdir():
        raw_file.unlink()
    without = run("show", call_id, "--raw")
    assert without.return_value == 1
    assert "is gone" in without.output
    assert "rebuilt from the store" in run("show", call_id, "--curl").output


def kept(path: Path) -> tuple[Path, str]:
    """A store of one call whose raw data was kept, and the call's id."""
    redactor = Redactor(SALT)
    raw_directory(path).mkdir()
    raw = raw_directory(path) / f"{INFO.capture_id}.uglass"
    writer = RecordingWriter(raw, INFO)
    wire = Wire(ConnectionKey(AGENT, STARTED_NS, 0x7F00_1000, 1), 1_000_000)
    headers = [f"Authorization: Bearer {API_KEY.decode()}"]
    wire.sends(ask([user("hello")], headers, stream=True))
    wire.receives(streamed_answer(["good ", "morning"]))
    for frame in wire.closes().frames:
        writer.add(redactor.frame(frame))
    writer.close()
    told: list[CallRow] = []

    def write(batch: Batch) -> None:
        batch.captures = [replace(row, raw_path=str(raw)) for row in batch.captures]
        told.extend(batch.calls)
        store.write(batch)

    with Store.open(path) as store:
        decode(RecordingReader(raw), redactor, write, version="0")
    return path, told[0].call_id
