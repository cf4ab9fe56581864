"""One call: what it was, and its messages.

In: the id of a call, or of a tool call in it. Out: nothing; Esc goes back. The messages are read
in a thread, and again for as long as the call runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from analysis.cells import UNKNOWN, day_and_clock, one_line
from analysis.columns import CALLS
from analysis.table_layout import Row
from tui.conversation import Entry, entries
from tui.messages import CallLoaded
from tui.snapshot import CallKey
from tui.state import FeedState
from tui.widgets.health_line import HealthLine
from tui.widgets.message_view import MessageView

if TYPE_CHECKING:
    from tui.app import UnderglassApp

_HEAD = (
    "status", "duration_ms", "ttft_ms", "input_tokens", "output_tokens", "cache_read_tokens",
    "cost_usd", "finish_reason", "error_type", "lost_bytes",
)  # fmt: skip


class CallScreen(Screen[None]):
    """A call's head and its conversation."""

    DEFAULT_CSS = """
    CallScreen #head { height: auto; max-height: 6; padding: 0 1; background: $panel; }
    CallScreen VerticalScroll { height: 1fr; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "app.pop_screen", "Back"),
        Binding("a", "fold_all", "Fold all"),
        Binding("down,j", "next(1)", "Next", show=False),
        Binding("up,k", "next(-1)", "Previous", show=False),
        Binding("g,home", "to(0)", "First", show=False),
        Binding("G,end", "to(-1)", "Last", show=False),
    ]

    def __init__(self, kind: CallKey, key: str) -> None:
        super().__init__()
        self.kind: CallKey = kind
        self.key = key
        self._entries: tuple[Entry, ...] | None = None
        self._in_flight = True

    def compose(self) -> ComposeResult:
        """Head, messages, health."""
        yield Static("reading…", id="head", markup=False)
        yield VerticalScroll(can_focus=False)
        yield HealthLine()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Read the call, and again when the store changed while it runs."""
        self.watch(self.app, "feed", self._feed_changed)

    def _feed_changed(self, _feed: FeedState) -> None:
        if self._in_flight:
            cast("UnderglassApp", self.app).load_call(self)

    async def on_call_loaded(self, message: CallLoaded) -> None:
        """Show the call; messages only when they changed."""
        detail = message.detail
        head = self.query_one("#head", Static)
        if detail is None:
            head.update(Content.assemble((one_line(message.why), "bold $text-error")))
            return
        self._in_flight = detail.call["status"] == "running"
        head.update(head_content(detail.call))
        found = entries(detail)
        if found == self._entries:
            return
        self._entries = found
        scroll = self.query_one(VerticalScroll)
        await scroll.remove_children()
        if not found:
            await scroll.mount(Static("No messages of this call were stored.", markup=False))
            return
        views = [MessageView(entry) for entry in found]
        await scroll.mount_all(views)
        first = next((view for view in views if view.unfolded), views[-1])
        self.call_after_refresh(self._show_first, first)

    def action_next(self, step: int) -> None:
        """The next or previous message; a long one is scrolled through first."""
        views = list(self.query(MessageView))
        at = next((n for n, view in enumerate(views) if view.has_focus), None)
        if at is None:
            self.action_to(0)
            return
        scroll = self.query_one(VerticalScroll)
        view = views[at].region
        ends_below = step > 0 and view.bottom > scroll.region.bottom
        if ends_below or (step < 0 and view.y < scroll.region.y):
            scroll.scroll_relative(y=step * 3, animate=False)
        elif 0 <= at + step < len(views):
            self._focus(views[at + step], top=step > 0)

    def action_to(self, at: int) -> None:
        """The first or the last message."""
        views = list(self.query(MessageView))
        if views:
            self._focus(views[at], top=True)

    def action_fold_all(self) -> None:
        """Unfold every message; fold them when all are unfolded."""
        views = list(self.query(MessageView))
        unfold = not all(view.unfolded for view in views)
        for view in views:
            view.unfolded = unfold

    def _show_first(self, view: MessageView) -> None:
        """What is new comes first on the screen; what was sent before lies above it."""
        view.focus(scroll_visible=False)
        self.query_one(VerticalScroll).scroll_to_widget(view, top=True, animate=False)

    def _focus(self, view: MessageView, *, top: bool) -> None:
        view.focus(scroll_visible=False)
        fits = view.outer_size.height <= self.query_one(VerticalScroll).size.height
        view.scroll_visible(animate=False, top=top and not fits)


def head_content(call: Row) -> Content:
    """Two lines: which call, and its numbers by name."""
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
        if key in ("error_type", "lost_bytes") and (cell == UNKNOWN or cell.text == "0"):
            continue
        parts.append((f"{column.label} ", "$text-muted"))
        parts.append((f"{cell.text}  ", styles.get(cell.style, "")))
    if call["error_message"]:
        parts.append((f"\n{one_line(call['error_message'])}", "$text-error"))
    return Content.assemble(*parts)
