"""One call: what it was, and its messages.

In: the id of a call, or of a tool call in it. Out: nothing; Esc goes back. The call is read in a
thread, and again for as long as it runs: its answer grows on the screen.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from analysis.call_export import call_json, curl_command
from analysis.cells import UNKNOWN, day_and_clock, duration, moment, one_line
from analysis.columns import CALLS
from analysis.raw_http import RawPlace
from analysis.reading import CallDetail, Message, RunningAnswer
from analysis.request_diff import message_text
from analysis.table_layout import Row
from probes.errors import UnderglassError
from tui.call_questions import (
    CallAnswer,
    CallKey,
    CallQuestion,
    RawQuestion,
    RunningQuestion,
)
from tui.conversation import Entry, entries, running_entries
from tui.export import private_file
from tui.keys import bind
from tui.screens.call_pages import DiffScreen, RawScreen
from tui.screens.choice import Choice, ChoiceScreen
from tui.screens.lines import page
from tui.state import FeedState
from tui.view import Subject
from tui.widgets.conversation_view import ConversationView
from tui.widgets.health_line import HealthLine
from tui.widgets.key_line import KeyLine

if TYPE_CHECKING:
    from tui.app import UnderglassApp

_HEAD = (
    "status", "duration_ms", "ttft_ms", "input_tokens", "output_tokens", "cache_read_tokens",
    "cost_usd", "finish_reason", "error_type", "lost_bytes",
)  # fmt: skip
_EXPORTS = (
    Choice("json", "JSON", "the call with everything in it"),
    Choice("curl", "curl", "a command that sends the request again"),
    Choice("text", "text", "this message"),
    Choice("svg", "SVG", "of the screen"),
)


class CallScreen(Screen[None]):
    """A call's head and its conversation."""

    DEFAULT_CSS = """
    CallScreen #head { height: auto; max-height: 6; padding: 0 1; background: $panel; }
    CallScreen #none { padding: 1; display: none; }
    CallScreen.none #none { display: block; }
    CallScreen.none ConversationView { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "app.pop_screen"),
        Binding("backspace", "app.pop_screen", "Back", show=False),
        bind("diff"),
        bind("http"),
        bind("previous_call", "beside(-1)"),
        bind("next_call", "beside(1)"),
        bind("copy"),
        bind("export"),
        bind("pager"),
    ]

    def __init__(self, kind: CallKey, key: str) -> None:
        super().__init__()
        self.kind: CallKey = kind
        self.key = key
        self._answer: CallAnswer | None = None
        self._stored: tuple[Sequence[Message], tuple[Entry, ...]] | None = None
        self._asking = False
        self._in_flight = True

    def compose(self) -> ComposeResult:
        """Head, messages, health."""
        yield Static("reading…", id="head", markup=False)
        yield ConversationView()
        yield Static("No messages of this call were stored.", id="none", markup=False)
        yield HealthLine()
        yield KeyLine()

    def on_mount(self) -> None:
        """Read the call, and again when the store was looked at while it runs."""
        self.query_one(ConversationView).focus()
        self._read()
        self.watch(self.app, "feed", self._looked_at, init=False)

    @property
    def detail(self) -> CallDetail | None:
        """The call, once it was read."""
        return None if self._answer is None else self._answer.detail

    def subject(self) -> Subject | None:
        """The call."""
        detail = self.detail
        if detail is None:
            return None
        return Subject("call", str(detail.call["call_id"]), detail.call, CALLS)

    # Reading

    def _looked_at(self, _feed: FeedState) -> None:
        if self._in_flight:
            self._read()

    def _read(self) -> None:
        if self._asking:
            return
        self._asking = True
        asked = self.kind, self.key
        known = self._answer
        question = CallQuestion(*asked) if known is None else RunningQuestion(known)

        def done(answer: CallAnswer | None, error: UnderglassError | None) -> None:
            self._asking = False
            if not self.is_mounted:
                return
            if (self.kind, self.key) != asked:
                self._read()  # another call was chosen meanwhile
            elif answer is not None:
                self._show(answer)
            elif self._answer is None:
                why = Content.assemble((one_line(str(error)), "bold $text-error"))
                self.query_one("#head", Static).update(why)

        cast("UnderglassApp", self.app).ask(question, done, asker=self)

    def _show(self, answer: CallAnswer) -> None:
        detail = answer.detail
        self._answer = answer
        self._in_flight = detail.call["status"] == "running"
        now = cast("UnderglassApp", self.app).feed.checked_at
        self.query_one("#head", Static).update(head_content(detail.call, detail.running, now))
        if self._stored is None or self._stored[0] is not detail.messages:
            self._stored = detail.messages, entries(replace(detail, running=None))
        found = (*self._stored[1], *running_entries(detail.running))
        self.set_class(not found, "none")
        self.query_one(ConversationView).show(found)

    # Keys

    def action_beside(self, step: int) -> None:
        """The call before or after it in its session."""
        if self._answer is None:
            return
        beside = self._answer.beside
        key = beside.previous if step < 0 else beside.following
        if key is None:
            where = "first" if step < 0 else "last"
            self.notify(f"This is the {where} call of its session.")
            return
        self.kind, self.key = "call", key
        self._answer, self._in_flight = None, True
        self.query_one(ConversationView).clear()
        self._read()

    def action_diff(self) -> None:
        """What its request says that the one before did not."""
        if self._answer is None:
            return
        beside = self._answer.beside
        before = beside.continues or beside.previous
        if before is None:
            self.notify("This is the first call of its session.")
        else:
            self.app.push_screen(DiffScreen(before, str(self._answer.detail.call["call_id"])))

    def action_http(self) -> None:
        """Its HTTP exchange."""
        if self.detail is not None:
            self.app.push_screen(RawScreen(self.detail.call))

    def action_copy(self) -> None:
        """The text of the message under the cursor, to the terminal's clipboard."""
        text = self._message_text()
        if text is not None:
            self.app.copy_to_clipboard(text)
            self.notify(f"Copied the message: {len(text):,} characters.")

    def action_pager(self) -> None:
        """The message under the cursor, all of it, in the user's pager."""
        text = self._message_text()
        if text is not None:
            page(self, text)

    def action_export(self) -> None:
        """Choose what to write to a file."""
        if self.detail is not None:
            self.app.push_screen(ChoiceScreen("Export", _EXPORTS), self._export)

    def _message_text(self) -> str | None:
        entry = self.query_one(ConversationView).current
        if entry is None:
            self.notify("No message is selected.", severity="warning")
            return None
        return message_text(entry.body)

    def _export(self, what: str | None) -> None:
        detail = self.detail
        if what is None or detail is None:
            return
        name = f"call-{detail.call['call_id']}"
        if what == "svg":
            self.call_after_refresh(self.app.run_action, "screenshot")
        elif what == "json":
            self._write(name, ".json", call_json(detail) + "\n")
        elif what == "text":
            self._write(name, ".txt", self._message_text() or "")
        else:
            self._export_curl(detail, name)

    def _export_curl(self, detail: CallDetail, name: str) -> None:
        """With raw data, which is looked through in a thread, it is exact."""

        def find(place: RawPlace) -> None:
            found = None
            try:
                if place.path is not None:
                    from collector.raw_exchange import find_exchange

                    found = find_exchange(place.path, place.wanted)
            except (UnderglassError, OSError):
                pass  # it is rebuilt then, and says so
            self.app.call_from_thread(self._write, name, ".sh", curl_command(detail, found))

        def placed(place: RawPlace | None, error: UnderglassError | None) -> None:
            if place is None:
                self.notify(one_line(str(error)), severity="error", markup=False)
            else:
                self.run_worker(lambda: find(place), thread=True)

        question = RawQuestion(str(detail.call["call_id"]))
        cast("UnderglassApp", self.app).ask(question, placed, asker=self)

    def _write(self, stem: str, suffix: str, text: str) -> None:
        folder: Path = cast("UnderglassApp", self.app).settings.export_dir
        try:
            path = private_file(folder, stem, suffix)
            path.write_text(text, encoding="utf-8", errors="replace")
        except OSError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self.notify(f"Written to {path}", markup=False)


def head_content(
    call: Row, running: RunningAnswer | None = None, now: datetime.datetime | None = None
) -> Content:
    """Two lines: which call, and its numbers by name; of a running one how fast it answers."""
    shown: Any = cast("Any", call["model"] or call["request_model"])
    parts: list[str | tuple[str, str]] = [
        (one_line(shown or "unknown model"), "bold $text-primary"),
        f"  {day_and_clock(call['started_at']).text}",
        (f"  {one_line(call['agent'] or '')} pid {call['pid']}  {call['call_id']}", "$text-muted"),
        "\n",
    ]
    styles = {"good": "$text-success", "warn": "$text-warning", "bad": "bold $text-error"}
    for key in _HEAD:
        column = CALLS.column(key)
        assert column is not None
        cell = column.cell(call)
        quiet = cell == UNKNOWN and (call["status"] == "running" or key == "error_type")
        if quiet or (key == "lost_bytes" and cell.text == "0"):
            continue
        parts.append((f"{column.label} ", "$text-muted"))
        parts.append((f"{cell.text}  ", styles.get(cell.style, "")))
    if call["status"] == "running":
        parts += _progress(call, running, now)
    if call["error_message"]:
        parts.append((f"\n{one_line(call['error_message'])}", "$text-error"))
    return Content.assemble(*parts)


def _progress(
    call: Row, running: RunningAnswer | None, now: datetime.datetime | None
) -> list[str | tuple[str, str]]:
    """For how long it runs, and how many tokens a second it says; both as of the last look."""
    began = moment(call["started_at"])
    parts: list[str | tuple[str, str]] = []
    if began is not None and now is not None and now > began:
        elapsed_ms = (now - began).total_seconds() * 1000
        parts += [("elapsed ", "$text-muted"), f"{duration(elapsed_ms).text}  "]
    if running is None or running.output_tokens is None:
        return parts
    parts += [("said ", "$text-muted"), f"~{running.output_tokens:,} tokens  "]
    told = moment(running.updated_at)
    if told is not None and began is not None and call["ttft_ms"] is not None:
        seconds = (told - began).total_seconds() - call["ttft_ms"] / 1000
        if seconds > 0:
            parts.append(f"~{running.output_tokens / seconds:.0f} tok/s  ")
    return parts
