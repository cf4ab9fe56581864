"""The messages of a call, under a cursor; only what is on the screen is drawn.

In: `Entry`s. Out: nothing; it scrolls, folds and draws. Parts that were not on the screen yet have
an estimated height; when they come into sight they are laid out, and what is on the screen stays
where it is. So a call with hundreds of long messages opens as fast as a short one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.conversation import Entry
from tui.json_lines import Path, TreeLine
from tui.keys import bind
from tui.part_lines import Drawing, estimated_height, head_line, part_lines

_GUTTER = 3
_STEP_LINES = 3
_DEEPEST = 12


@dataclass(slots=True, eq=False)
class _Part:
    """One part of a message, or (`at` -1) its head. `lines` None: not laid out yet."""

    at: int
    height: int
    lines: list[TreeLine] | None = None
    toggled: set[Path] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class _Message:
    entry: Entry
    unfolded: bool
    head: _Part
    parts: list[_Part]


class ConversationView(ScrollView, can_focus=True):
    """Messages that fold."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"conversation--{word}"
        for word in (
            *("user", "assistant", "system", "tool", "thinking", "call", "error", "warn"),
            *("head", "bold", "italic", "code", "link", "quote", "dim", "cursor"),
            *("key", "string", "number", "word"),
        )
    }
    DEFAULT_CSS = """
    ConversationView {
        height: 1fr;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
        overflow-x: hidden;
        overflow-y: auto;
        & > .conversation--user { color: $text-primary; text-style: bold; }
        & > .conversation--assistant { color: $text-success; text-style: bold; }
        & > .conversation--system { color: $text-muted; text-style: bold; }
        & > .conversation--tool { color: $text-accent; text-style: bold; }
        & > .conversation--thinking { color: $text-muted; text-style: italic; }
        & > .conversation--call { color: $text-accent; text-style: bold; }
        & > .conversation--error { color: $text-error; }
        & > .conversation--warn { color: $text-warning; text-style: bold; }
        & > .conversation--head { color: $text-primary; text-style: bold; }
        & > .conversation--bold { text-style: bold; }
        & > .conversation--italic { text-style: italic; }
        & > .conversation--code { color: $text-secondary; }
        & > .conversation--link { text-style: underline; }
        & > .conversation--quote { color: $text-muted; text-style: italic; }
        & > .conversation--dim { color: $text-muted; }
        & > .conversation--key { color: $text-primary; }
        & > .conversation--string { color: $text-success; }
        & > .conversation--number { color: $text-warning; }
        & > .conversation--word { color: $text-accent; }
        & > .conversation--cursor { color: $accent; text-style: bold; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("down", "move(1)"),
        bind("up", "move(-1)"),
        bind("page_down", "page(1)"),
        bind("page_up", "page(-1)"),
        bind("top", "to(0)"),
        bind("bottom", "to(-1)"),
        bind("fold_message", "fold"),
        bind("fold_messages", "fold_all"),
        bind("deeper", "depth(1)"),
        bind("shallower", "depth(-1)"),
        bind("markdown"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._messages: list[_Message] = []
        self._laid: list[tuple[int, _Part]] = []  # the message, and what of it is shown
        self._offsets: list[int] = [0]
        self._cursor = 0
        self._drawing = Drawing(0, markdown=True)
        self._preparing = False

    # What is shown

    def show(self, entries: Sequence[Entry]) -> None:
        """Show these messages; those that were shown before stay as they are folded."""
        first = not self._messages
        at_end = self.scroll_y >= self.max_scroll_y - 1
        known = self._messages
        self._messages = [
            known[at] if at < len(known) and known[at].entry == entry else self._made(entry, at)
            for at, entry in enumerate(entries)
        ]
        self._cursor = max(0, min(self._cursor, len(entries) - 1))
        growing = bool(entries) and entries[-1].running
        if first:
            unfolded = (at for at, entry in enumerate(entries) if entry.unfolded and not growing)
            self._cursor = next(unfolded, max(0, len(entries) - 1))
        self._lay_out()
        if growing and (first or at_end):
            self.call_after_refresh(self._follow)
        elif first:
            self.call_after_refresh(self._to_top)

    def clear(self) -> None:
        """Show nothing; the next messages are shown as at first."""
        self._messages, self._cursor = [], 0
        self._lay_out()

    @property
    def current(self) -> Entry | None:
        """The message under the cursor."""
        return self._messages[self._cursor].entry if self._messages else None

    @property
    def position(self) -> tuple[int, int]:
        """Which message the cursor is on, from 1, and how many there are."""
        return (self._cursor + 1 if self._messages else 0), len(self._messages)

    @property
    def is_markdown(self) -> bool:
        """Whether texts are drawn as Markdown."""
        return self._drawing.markdown

    @property
    def unfolded(self) -> list[bool]:
        """Of each message whether it is unfolded."""
        return [message.unfolded for message in self._messages]

    def _made(self, entry: Entry, at: int) -> _Message:
        before = self._messages[at] if at < len(self._messages) else None
        growing = before is not None and before.entry.running and entry.running
        unfolded = before.unfolded if before is not None and growing else entry.unfolded
        parts = [_Part(n, 1) for n in range(len(entry.parts))]
        if before is not None and growing:
            for part, old in zip(parts, before.parts, strict=False):
                part.toggled = old.toggled
        return _Message(entry, unfolded, _Part(-1, 1), parts)

    # Keys

    def action_move(self, step: int) -> None:
        """The next or previous message; a long one is scrolled through first."""
        if not self._messages:
            return
        top, height = round(self.scroll_y), self.size.height
        begin, end = self._span(self._cursor)
        if step > 0 and end > top + height:
            self._scroll(top + _STEP_LINES)
        elif step < 0 and begin < top:
            self._scroll(top - _STEP_LINES)
        elif 0 <= self._cursor + step < len(self._messages):
            self._cursor += step
            self._reveal(top=step > 0)
        self.refresh()

    def action_page(self, pages: int) -> None:
        """Scroll by what the screen holds; the cursor goes to the first message on it."""
        if self._messages:
            self._scroll(round(self.scroll_y) + pages * max(1, self.size.height - 1))
            self._prepare()
            found = self._at(round(self.scroll_y))
            at_end = pages > 0 and self.scroll_y >= self.max_scroll_y
            self._cursor = len(self._messages) - 1 if at_end or found is None else found[0]
            self.refresh()

    def action_to(self, at: int) -> None:
        """The first or the last message."""
        if self._messages:
            self._cursor = at % len(self._messages)
            self._reveal(top=True)
            self.refresh()

    def action_fold(self) -> None:
        """Fold or unfold the message."""
        if self._messages:
            message = self._messages[self._cursor]
            message.unfolded = not message.unfolded
            self._lay_out()
            self._reveal(top=False)

    def action_fold_all(self) -> None:
        """Unfold every message; fold them when all are unfolded."""
        unfold = not all(message.unfolded for message in self._messages)
        for message in self._messages:
            message.unfolded = unfold
        self._lay_out()
        self._reveal(top=True)

    def action_depth(self, step: int) -> None:
        """Open or close JSON by one level, in all messages."""
        depth = max(0, min(_DEEPEST, self._drawing.depth + step))
        for message in self._messages:
            for part in message.parts:
                part.toggled.clear()
        self._draw_anew(replace(self._drawing, depth=depth))

    def action_markdown(self) -> None:
        """Texts as Markdown, or as they are."""
        self._draw_anew(replace(self._drawing, markdown=not self._drawing.markdown))

    def on_click(self, event: events.Click) -> None:
        """A click on a head folds the message, one on JSON the object."""
        at = self._at(event.y + round(self.scroll_y))
        if at is None:
            return
        number, part, line = at
        self._cursor = number
        if part.at < 0:
            self.action_fold()
        elif part.lines is not None and (path := part.lines[line].path) is not None:
            part.toggled ^= {path}
            part.lines = None
            self._lay_out()
        self.refresh()

    # Layout

    def on_resize(self) -> None:
        """Lines are broken elsewhere."""
        width = max(10, self.scrollable_content_region.width - _GUTTER)
        if width != self._drawing.width:
            self._draw_anew(replace(self._drawing, width=width))
        else:
            self._prepare()

    def watch_scroll_y(self, old: float, new: float) -> None:
        """What comes into sight is laid out."""
        super().watch_scroll_y(old, new)
        self._prepare()

    def _draw_anew(self, drawing: Drawing) -> None:
        self._drawing = drawing
        for message in self._messages:
            for part in message.parts:
                part.lines = None
        self._lay_out()
        self._reveal(top=False)

    def _lay_out(self) -> None:
        """What is shown of every message, and where."""
        self._laid = []
        for number, message in enumerate(self._messages):
            self._laid.append((number, message.head))
            if message.unfolded:
                for part in message.parts:
                    if part.lines is None:
                        about = message.entry.parts[part.at]
                        part.height = estimated_height(about, self._drawing.width)
                    self._laid.append((number, part))
        self._measure()
        self._prepare()
        self.refresh()

    def _measure(self) -> None:
        self._offsets = [0, *accumulate(part.height for _, part in self._laid)]
        self.virtual_size = Size(self.size.width, self._offsets[-1])

    def _prepare(self) -> None:
        """Lay out what is in sight, and keep it where it is."""
        if self._preparing or not self.size.height or not self._drawing.width:
            return
        self._preparing = True
        try:
            while (at := self._pending()) is not None:
                number, part = self._laid[at]
                before = part.height
                entry = self._messages[number].entry
                growing = entry.running and part.at == len(entry.parts) - 1
                part.lines = part_lines(
                    entry.parts[part.at], self._drawing, part.toggled, growing=growing
                )
                part.height = len(part.lines)
                top = round(self.scroll_y)
                above = self._offsets[at] < top
                self._measure()
                if above and part.height != before:
                    self._scroll(max(self._offsets[at], top + part.height - before))
        finally:
            self._preparing = False

    def _pending(self) -> int | None:
        """The first part in sight that is not laid out."""
        top = round(self.scroll_y)
        at = max(0, bisect_right(self._offsets, top) - 1)
        while at < len(self._laid) and self._offsets[at] < top + self.size.height:
            part = self._laid[at][1]
            if part.at >= 0 and part.lines is None:
                return at
            at += 1
        return None

    def _scroll(self, y: int) -> None:
        self.scroll_to(y=y, animate=False, force=True, immediate=True)

    def _span(self, number: int) -> tuple[int, int]:
        """The lines of a message."""
        begin = next(at for at, (owner, _) in enumerate(self._laid) if owner == number)
        end = begin
        while end < len(self._laid) and self._laid[end][0] == number:
            end += 1
        return self._offsets[begin], self._offsets[end]

    def _reveal(self, *, top: bool) -> None:
        """Scroll so that the message under the cursor is seen: whole, or from its head on."""
        if not self._messages or not self.size.height:
            return
        for _ in range(2):  # what comes into sight may be longer than it was thought to be
            begin, end = self._span(self._cursor)
            first, height = round(self.scroll_y), self.size.height
            if begin < first or (end > first + height and (top or begin >= first + height)):
                fits = end - begin <= height
                self._scroll(end - height if fits and begin >= first else begin)
            self._prepare()
        self.refresh()

    def _to_top(self) -> None:
        """What is new comes first on the screen; what was sent before lies above it."""
        if self._messages:
            self._scroll(self._span(self._cursor)[0])
            self._prepare()
            self.refresh()

    def _follow(self) -> None:
        """Keep the end of a growing answer on the screen."""
        for _ in range(2):  # what comes into sight may be longer than it was thought to be
            self._scroll(self._offsets[-1])
            self._prepare()
        self.refresh()

    def _at(self, y: int) -> tuple[int, _Part, int] | None:
        """The message, the part and the line of it that stand on a line."""
        at = bisect_right(self._offsets, y) - 1
        if not 0 <= at < len(self._laid):
            return None
        number, part = self._laid[at]
        return number, part, y - self._offsets[at]

    # Drawing

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width = self.size.width
        found = self._at(y + round(self.scroll_y))
        if found is None:
            return Strip.blank(width, self.rich_style)
        number, part, line = found
        chosen = number == self._cursor
        base = self.rich_style
        segments = [Segment("▌" if chosen else " ", base + self._word("cursor"))]
        if part.at < 0:
            message = self._messages[number]
            parts = head_line(message.entry, unfolded=message.unfolded)
            if chosen:
                base = base + Style(reverse=self.has_focus)
        else:
            segments.append(Segment("  ", base))
            parts = part.lines[line].line if part.lines and line < len(part.lines) else ()
        segments += [
            Segment(text, base + self._word(word) if word else base) for text, word in parts
        ]
        return Strip(segments).adjust_cell_length(width, base)

    def _word(self, word: str) -> Style:
        style = self.get_component_styles(f"conversation--{word}").partial_rich_style
        return Style(
            color=style.color, bold=style.bold, italic=style.italic, underline=style.underline
        )
