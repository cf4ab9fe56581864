"""A page of lines that cannot be changed: a diff, an HTTP exchange.

In: from a subclass, a title and lines of (text, style word). Out: nothing; Esc goes back. Lines
longer than the screen is wide are broken.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.app import ComposeResult, SuspendNotSupported
from textual.binding import BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from analysis.cells import one_line, printable
from tui.keys import bind
from tui.text_lines import Line, Part, wrapped
from tui.widgets.health_line import HealthLine
from tui.widgets.key_line import KeyLine
from tui.widgets.line_list import LineList

MAX_LINES = 20_000


class PageLines(LineList):
    """The lines."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"line-list--{word}" for word in ("added", "removed", "added_word", "removed_word", "name")
    }
    DEFAULT_CSS = """
    PageLines {
        scrollbar-gutter: stable;
        & > .line-list--added { color: $text-success; }
        & > .line-list--removed { color: $text-error; }
        & > .line-list--added_word { color: $success; text-style: bold; }
        & > .line-list--removed_word { color: $error; text-style: bold; }
        & > .line-list--name { color: $text-primary; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Line] = []
        self._broken: list[Line] = []
        self._broken_at = 0

    def show(self, lines: Iterable[Line]) -> None:
        """Show these, from the first on."""
        self._lines = list(lines)
        self._broken_at = 0
        self._break()
        self.lines_changed(0)

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join("".join(text for text, _ in line) for line in self._lines)

    def line_count(self) -> int:
        """How many lines there are on a screen this wide."""
        return len(self._broken)

    def line_parts(self, at: int, width: int) -> Sequence[Part]:
        """A line."""
        return self._broken[at]

    def on_resize(self) -> None:
        """Break the lines for the new width."""
        self._break()
        super().on_resize()

    def _break(self) -> None:
        width = self.scrollable_content_region.width
        if not width or width == self._broken_at:
            return
        self._broken_at = width
        self._broken = []
        for line in self._lines:
            if len(self._broken) >= MAX_LINES:
                self._broken.append((("… the rest with v, in the pager", "warn"),))
                break
            text = line[0][0] if line else ""
            indent = min(len(text) - len(text.lstrip()), width // 2) if line else 0
            self._broken += wrapped(line, width, (), ((" " * indent, ""),))


class LinesScreen(Screen[None]):
    """A title above lines."""

    DEFAULT_CSS = """
    LinesScreen #title { height: auto; max-height: 3; padding: 0 1; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "app.pop_screen"),
        bind("copy"),
        bind("pager"),
    ]

    def compose(self) -> ComposeResult:
        """Title, lines, health."""
        yield Static("reading…", id="title", markup=False)
        yield PageLines()
        yield HealthLine()
        yield KeyLine()

    def show(self, title: str, lines: Iterable[Line]) -> None:
        """Show these, when the screen is still there."""
        if self.is_mounted:
            self.query_one(PageLines).show(lines)
            self.say(title)

    def say(self, title: str, style: str = "bold $text-primary") -> None:
        """Another title."""
        if self.is_mounted:
            self.query_one("#title", Static).update(Content.assemble((one_line(title), style)))

    def action_copy(self) -> None:
        """All of it, to the terminal's clipboard."""
        text = self.query_one(PageLines).text
        self.app.copy_to_clipboard(text)
        self.notify(f"Copied {len(text):,} characters.")

    def action_pager(self) -> None:
        """All of it, in the user's pager."""
        page(self, self.query_one(PageLines).text)


def page(screen: Screen[None], text: str) -> None:
    """A text in $PAGER, or `less`; the dashboard waits."""
    pager = shlex.split(os.environ.get("PAGER") or "less")
    try:
        with screen.app.suspend():
            subprocess.run(pager, input=printable(text).encode("utf-8", "replace"), check=False)
    except (OSError, SuspendNotSupported) as error:
        why = str(error) or "this terminal cannot be handed over"
        screen.notify(f"{' '.join(pager)}: {why}", severity="warning", markup=False)
