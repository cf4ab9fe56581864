"""Lines with a cursor, of which only those on the screen are drawn.

In: from a subclass, how many lines there are and the parts of one: text, and a word of style that
is a component class (`line-list--WORD`). Out: `LineOpened` and `CursorMoved`. Nothing is kept per
line, so ten thousand cost what a screen of them does. The timeline, the activity tree and the
health page are such lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.keys import bind

Part = tuple[str, str]
"""Printable text without line breaks, and a word of style; "" is none."""


class LineList(ScrollView, can_focus=True):
    """Lines under a cursor. Subclasses say what stands on them."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"line-list--{word}"
        for word in (
            *("cursor", "good", "warn", "bad", "dim", "head"),
            *("queue", "generation", "stall", "retry", "tools", "human", "process"),
        )
    }
    DEFAULT_CSS = """
    LineList {
        height: 1fr;
        scrollbar-size-vertical: 1;
        overflow-x: hidden;
        overflow-y: auto;
        & > .line-list--cursor { background: $surface-lighten-1; }
        & > .line-list--good { color: $text-success; }
        & > .line-list--warn { color: $text-warning; }
        & > .line-list--bad { color: $text-error; text-style: bold; }
        & > .line-list--dim { color: $text-muted; }
        & > .line-list--head { color: $text-accent; text-style: bold; }
        & > .line-list--queue { color: $primary; }
        & > .line-list--generation { color: $success; }
        & > .line-list--stall { color: $error; }
        & > .line-list--retry { color: $error; text-style: bold; }
        & > .line-list--tools { color: $warning; }
        & > .line-list--human { color: $secondary; }
        & > .line-list--process { color: $text-muted; }
        &:focus > .line-list--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("open"),
        bind("down", "move(1)"),
        bind("up", "move(-1)"),
        bind("page_down", "page(1)"),
        bind("page_up", "page(-1)"),
        bind("top", "move_to(0)"),
        bind("bottom", "move_to(-1)"),
    ]

    cursor: reactive[int] = reactive(0)

    class LineOpened(Message):
        """Enter, or a double click, on the line under the cursor."""

    class CursorMoved(Message):
        """The cursor stands on another line, or other lines are on the screen."""

    def line_count(self) -> int:
        """How many lines there are."""
        raise NotImplementedError

    def line_parts(self, at: int, width: int) -> Sequence[Part]:
        """What stands on a line; more than `width` is cut."""
        raise NotImplementedError

    @property
    def visible_lines(self) -> range:
        """The lines on the screen."""
        first = round(self.scroll_y)
        return range(first, min(self.line_count(), first + max(1, self.size.height)))

    def lines_changed(self, cursor: int | None = None) -> None:
        """Draw anew; with the cursor on that line, scrolled as before where it can be."""
        self.virtual_size = Size(self.size.width, self.line_count())
        self.cursor = self.cursor if cursor is None else cursor
        self._reveal()
        self.refresh()

    def show_around(self, line: int) -> None:
        """Move the cursor; when it leaves the screen, with more below it than above."""
        near = line in self.visible_lines
        self.cursor = line
        if not near and self.size.height:
            top = max(0, self.cursor - self.size.height // 4)
            self.scroll_to(y=top, animate=False, force=True, immediate=True)

    def validate_cursor(self, cursor: int) -> int:
        """A line that exists."""
        return max(0, min(cursor, self.line_count() - 1))

    def watch_cursor(self) -> None:
        """Scroll so that the cursor is seen."""
        self._reveal()
        self.refresh()
        self.post_message(self.CursorMoved())

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Other lines are seen."""
        super().watch_scroll_y(old, new)
        if round(old) != round(new):
            self.post_message(self.CursorMoved())

    def action_move(self, step: int) -> None:
        """Move the cursor by some lines."""
        self.cursor += step

    def action_page(self, pages: int) -> None:
        """Move the cursor by what the screen holds."""
        self.cursor += pages * max(1, self.size.height - 1)

    def action_move_to(self, line: int) -> None:
        """Move the cursor to a line; negative from the end."""
        self.cursor = line if line >= 0 else self.line_count() + line

    def action_open(self) -> None:
        """Say that the line under the cursor was chosen."""
        if self.line_count():
            self.post_message(self.LineOpened())

    def on_resize(self) -> None:
        """The cursor stays in sight."""
        self.lines_changed()

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor, a double one opens."""
        line = event.y + round(self.scroll_y)
        if line < self.line_count():
            self.cursor = line
            if event.chain == 2:
                self.action_open()

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width = self.size.width
        at = y + round(self.scroll_y)
        if at >= self.line_count():
            return Strip.blank(width, self.rich_style)
        chosen = at == self.cursor
        base = self.get_component_rich_style("line-list--cursor") if chosen else self.rich_style
        plain = chosen and self.has_focus
        segments = [
            Segment(text, base if plain or not word else base + self._word(word))
            for text, word in self.line_parts(at, width)
        ]
        return Strip(segments).adjust_cell_length(width, base)

    def _word(self, word: str) -> Style:
        style = self.get_component_styles(f"line-list--{word}").partial_rich_style
        return Style(color=style.color, bold=style.bold)

    def _reveal(self) -> None:
        if self.size.height:
            self.scroll_to_region(
                Region(0, self.cursor, 1, 1), animate=False, force=True, immediate=True
            )


def cut(text: str, width: int) -> str:
    """The text at exactly that many cells; the end of one that is longer is `…`."""
    if width < 1:
        return ""
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    return set_cell_size(text, width)
