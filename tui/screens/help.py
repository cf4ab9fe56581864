"""Help: the keys, and what the columns of the present table mean.

In: the table on the screen below. Out: nothing; any of Esc, `?` and `q` closes it.
"""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from analysis.table_layout import Table
from tui.state import VIEWS

KEYS = (
    (f"1 … {len(VIEWS)}", ", ".join(view.label.lower() for view in VIEWS)),
    ("Enter", "open: session › calls › messages; a finding's evidence"),
    ("Esc", "back: out of a call, the filter, the session"),
    ("j k ↓ ↑", "down, up          g G  top, bottom          PgUp PgDn  a page"),
    ("/", "filter: words that must all fit, such as  status:error !opus"),
    ("s S", "sort by the next column, reverse; or click on a column's name"),
    ("p", "pause and go on"),
    ("Space  a", "in a call: fold a message, fold all"),
    ("Ctrl+P", "all commands and themes"),
    ("?  q", "this help, quit"),
)


class HelpScreen(ModalScreen[None]):
    """Lies over the screen that it explains."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen VerticalScroll {
        width: 78; max-width: 100%; height: auto; max-height: 90%; padding: 0 1;
        background: $surface; border: round $primary;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "Close"),
        Binding("j", "scroll('down')", "Down", show=False),
        Binding("k", "scroll('up')", "Up", show=False),
        Binding("g", "scroll('home')", "Top", show=False),
        Binding("G", "scroll('end')", "Bottom", show=False),
    ]

    def __init__(self, table: Table | None) -> None:
        super().__init__()
        self._table = table

    def compose(self) -> ComposeResult:
        """One text to scroll through."""
        with VerticalScroll():
            yield Static(help_content(self._table), markup=False)

    def action_scroll(self, where: str) -> None:
        """Vim keys do what arrow keys do."""
        getattr(self.query_one(VerticalScroll), f"action_scroll_{where}")()


def help_content(table: Table | None) -> Content:
    """Keys first, then the columns of the table."""
    parts: list[str | tuple[str, str]] = [("Keys\n", "bold $text-accent")]
    for keys, meaning in KEYS:
        parts += [(f"{keys:>9}  ", "bold"), f"{meaning}\n"]
    if table is not None:
        parts.append((f"\nColumns of {table.label}\n", "bold $text-accent"))
        for column in table.columns:
            parts += [(f"{column.label:>13}  ", "bold"), f"{column.description}\n"]
        parts.append(("\nNot every column fits every screen. – means: not known.", "$text-muted"))
    return Content.assemble(*parts)
