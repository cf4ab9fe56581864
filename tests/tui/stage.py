"""A store as a capture leaves it, and the dashboard on it under a test's control."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from textual import events
from textual.pilot import Pilot

from analysis.analyst import analyse
from collector.normalisation import arguments_hash, canonical_arguments, result_hash
from collector.rows import Batch, CallRow, ContentRow, HealthRow, MessageNodeRow, ToolCallRow
from collector.store import Store
from tests.collector.store_rows import (
    MS,
    START_NS,
    call,
    capture,
    coverage,
    process,
    session,
    tool_call,
)
from tui.app import UnderglassApp
from tui.screens.main import MainScreen
from tui.settings import Settings
from tui.snapshot import Place
from tui.view import View
from tui.widgets.filter_input import FilterText
from tui.widgets.row_table import RowTable

NARROW = (80, 24)
WIDE = (120, 40)
NOW = datetime.datetime(2025, 10, 9, 9, 0, 0, tzinfo=datetime.UTC)
SECOND = 1000 * MS
FAILURE = "AssertionError: books: 7.0\n\n[exit status 1]"
_CHECK = {"command": "python3 -B shop/check.py"}
_UNKNOWN: dict[str, Any] = {
    "first_byte_ns": None, "first_token_ns": None, "input_tokens": None, "output_tokens": None,
    "cache_read_tokens": None, "cost_usd": None, "cost_source": None, "finish_reason": None,
    "tool_call_count": 0, "chunk_ns": (),
}  # fmt: skip

MESSAGES: tuple[tuple[str, str, Any], ...] = (
    ("system", "system", {"type": "text", "text": "You are a careful engineer."}),
    ("message", "user", {"role": "user", "content": "Why does the build fail?"}),
    (
        "message",
        "assistant",
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "I should run the check."},
                {"type": "text", "text": "I will run the check."},
                {"type": "tool_use", "id": "toolu_3", "name": "bash", "input": _CHECK},
            ],
        },
    ),
    (
        "message",
        "user",
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_3",
                    "content": FAILURE,
                    "is_error": True,
                }
            ],
        },
    ),
    (
        "message",
        "assistant",
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "It fails still. [bold]Again[/bold]\x1b[2J."},
                {"type": "tool_use", "id": "toolu_4", "name": "bash", "input": _CHECK},
            ],
        },
    ),
)


def health(*, lost_events: int = 0, lost_bytes: int = 0, attached: int = 6) -> list[HealthRow]:
    """The counters of a capture."""
    return [
        HealthRow("k1", "openssl", "captured_events", "", 1200),
        HealthRow("k1", "openssl", "captured_bytes", "", 91_258),
        HealthRow("k1", "openssl", "lost_events", "ring_full", lost_events),
        HealthRow("k1", "openssl", "lost_bytes", "ring_full", lost_bytes),
        HealthRow("k1", "stream", "lost_bytes", "gap", lost_bytes),
        HealthRow("k1", "probe", "attached_probes", "", attached),
    ]


def demo_batch(**losses: int) -> Batch:
    """Two agents: one whose check fails again and again, one with a call that still runs."""
    ended_ns = START_NS + 60 * SECOND
    return Batch(
        captures=[capture(ended_ns=ended_ns, command="run -- claude -p 'Mend the build'")],
        sessions=[
            session("s1"),
            session(
                "s2", agent="codex", agent_version="0.5", confidence="inferred",
                root_pid=5151, started_ns=START_NS + 8 * SECOND,
            ),
        ],
        calls=[*map(_shop_call, range(1, 9)), *_codex_calls()],
        tool_calls=[*map(_check, range(2, 6)), _removal()],
        processes=[
            process(),
            process(
                "4300-9", pid=4300, ppid=4242, argv=("python3", "-B", "shop/check.py"),
                started_ns=START_NS + 3 * SECOND, ended_ns=START_NS + 4 * SECOND, exit_code=1,
            ),
        ],
        contents=[
            ContentRow(f"h{at}", kind, role, 100 + at, json.dumps(body))
            for at, (kind, role, body) in enumerate(MESSAGES)
        ],
        nodes=[
            MessageNodeRow(f"n{at}", f"n{at - 1}" if at else None, at, f"h{at}")
            for at in range(len(MESSAGES))
        ],
        health=health(**losses),
        coverage=[coverage(detail="6 functions, 4 entry points")],
    )  # fmt: skip


def _shop_call(number: int) -> CallRow:
    started_ns = START_NS + number * SECOND
    changes: dict[str, Any] = {
        "started_ns": started_ns,
        "first_token_ns": started_ns + 222 * MS,
        "ended_ns": started_ns + (300 + 17 * number) * MS,
        "input_tokens": 3100 + 310 * number,
        "output_tokens": 60 + 37 * number,
        "cache_read_tokens": 0 if number == 1 else 2800 + 300 * number,
        "cost_usd": 0.0031 + 0.0004 * number,
    }
    if number == 6:
        changes |= _UNKNOWN | {
            "status": "error", "http_status": 429, "error_type": "rate_limit_error",
            "error_message": "Too many requests", "ended_ns": started_ns + 2 * MS,
        }  # fmt: skip
    if number == 1:
        changes["input_node"] = "n1"
    if number == 4:
        changes |= {"input_node": "n3", "output_node": "n4"}
    return call(f"c{number}", **changes)


def _codex_calls() -> list[CallRow]:
    asked = {
        "request_model": "gpt-5-codex",
        "session_id": "s2",
        "agent": "codex",
        "provider": "openai",
        "pid": 5151,
    }
    return [
        call(
            "d1", **asked, model="gpt-5-codex", started_ns=START_NS + 9 * SECOND,
            first_token_ns=START_NS + 9900 * MS, ended_ns=START_NS + 13 * SECOND,
            cost_usd=None, cost_source="unpriced",
        ),
        call(
            "d2", **asked, **_UNKNOWN, model=None, status="running",
            started_ns=START_NS + 14 * SECOND, ended_ns=None, complete=False,
        ),
    ]  # fmt: skip


def _check(number: int) -> ToolCallRow:
    """The same check with the same failure; asked by call `number`, answered in the next."""
    return _bash(number, json.dumps(_CHECK), FAILURE)


def _removal() -> ToolCallRow:
    refusal = "Permission to use bash with command rm -rf shop has been denied."
    return _bash(7, '{"command":"rm -rf shop"}', refusal)


def _bash(number: int, arguments: str, result: str) -> ToolCallRow:
    return tool_call(
        f"toolu_{number}",
        call_id=f"c{number}",
        name="bash",
        arguments=canonical_arguments(arguments),
        arguments_hash=arguments_hash(arguments),
        result_preview=result,
        result_hash=result_hash(result),
        is_error=True,
        requested_ns=START_NS + number * SECOND + 250 * MS,
        result_ns=START_NS + (number + 1) * SECOND,
        result_call_id=f"c{number + 1}",
    )


def make_store(path: Path, *batches: Batch) -> Path:
    """A closed store with these rows."""
    with Store.open(path) as store:
        for batch in batches:
            store.write(batch)
        analyse(store)
    return path


class Stage:
    """The running dashboard. Each method returns once all that it caused is on the screen."""

    def __init__(self, app: UnderglassApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    async def press(self, *keys: str) -> str:
        """Press keys one after another; what is then on the screen."""
        for key in keys:
            await self.pilot.press(key)
            await self.settle()
        return self.text

    async def filter(self, text: str) -> str:
        """Paste a filter and keep it."""
        await self.press("slash")
        assert isinstance(self.app.focused, FilterText)
        self.app.focused.value = ""
        self.app.focused.post_message(events.Paste(text))
        return await self.press("enter")

    async def look(self) -> str:
        """Let the dashboard look at the store again."""
        self.app.look()
        await self.settle()
        return self.text

    async def settle(self) -> None:
        """Wait until no worker runs and every message was handled."""
        await self.pilot.pause(0)
        while len(self.app.workers):
            await self.app.workers.wait_for_complete()
            await self.pilot.pause()

    async def resize(self, width: int, height: int) -> None:
        """Give the terminal another size."""
        await self.pilot.resize_terminal(width, height)
        while self.rows.size.width != width:
            await self.pilot.pause()

    async def still(self) -> str:
        """The screen once the footer, too, has followed the focus."""
        await self.pilot.pause()
        await self.pilot.pause()
        return self.text

    @property
    def text(self) -> str:
        """The screen's characters."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(part.text for part in strip).rstrip() for strip in strips)

    @property
    def lines(self) -> list[str]:
        """The screen line by line."""
        return self.text.split("\n")

    @property
    def main(self) -> MainScreen:
        """The views, which must be on the screen."""
        assert isinstance(self.app.screen, MainScreen)
        return self.app.screen

    @property
    def view(self) -> View:
        """The view on the screen."""
        return self.main.view

    @property
    def rows(self) -> RowTable:
        """The table in the view on the screen."""
        return self.view.query_one(RowTable)

    def keys(self, field: str) -> list[Any]:
        """One field of the rows, as they stand on the screen."""
        return [row[field] for row in self.rows.page.rows]

    @property
    def notes(self) -> list[str]:
        """What the dashboard said in passing, the newest last."""
        return [note.message for note in self.app._notifications]

    def colour_of(self, text: str) -> tuple[int, int, int]:
        """Red, green and blue of the first place where the text is drawn."""
        for strip in self.app.screen._compositor.render_strips():
            for part in strip:
                if text in part.text and part.style and part.style.color:
                    triplet = part.style.color.get_truecolor()
                    return triplet.red, triplet.green, triplet.blue
        raise AssertionError(f"{text!r} is not on the screen")


def play(
    path: Path | Place,
    script: Callable[[Stage], Awaitable[None]],
    size: tuple[int, int] = NARROW,
    *,
    first: str = "overview",
    settings: Settings | None = None,
) -> None:
    """Run the dashboard on the store, without a timer and with the clock held, and the script."""

    async def run() -> None:
        chosen = replace(settings or Settings(), interval_s=None)
        app = UnderglassApp(path, settings=chosen, first=first, clock=lambda: NOW)
        app.animation_level = "none"
        async with app.run_test(size=size) as pilot:
            stage = Stage(app, pilot)
            await stage.settle()
            await script(stage)

    asyncio.run(run())
