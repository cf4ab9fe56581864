"""Help: the keys of what has the focus, and what the columns of the present table mean.

In: the screen below. Out: nothing; any of Esc, `?` and `q` closes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from analysis.table_layout import Table
from tui.keys import KEYS

_OF_COURSE = (
    "scroll_", "page_left", "page_right", "screen.copy_text", "app.focus", "quit",
)  # fmt: skip
FILTER_HELP = """\
  opus "rate limit"            words, in any column of text
  model:opus  model:=gpt-5     in one column; exactly
  cost:>0.1  total:2s..1m      numbers and durations
  time:10m  cost:none          the last ten minutes; not known
  !status:ok                   leave out what fits
"""


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
        Binding("j", "scroll('scroll_down')", "Down", show=False),
        Binding("k", "scroll('scroll_up')", "Up", show=False),
        Binding("ctrl+d", "scroll('page_down')", "Page down", show=False),
        Binding("ctrl+u", "scroll('page_up')", "Page up", show=False),
        Binding("g", "scroll('scroll_home')", "Top", show=False),
        Binding("G", "scroll('scroll_end')", "Bottom", show=False),
    ]

    def __init__(self, below: Screen[object], about: str, table: Table | None) -> None:
        super().__init__()
        self._keys = keys_of(below)
        self._about = about
        self._table = table

    def compose(self) -> ComposeResult:
        """One text to scroll through."""
        with VerticalScroll():
            yield Static(help_content(self._keys, self._about, self._table), markup=False)

    def action_scroll(self, where: str) -> None:
        """Vim keys do what arrow keys do."""
        getattr(self.query_one(VerticalScroll), f"action_{where}")()


def keys_of(screen: Screen[object]) -> list[tuple[str, str]]:
    """The keys that work now, and what each does, those of the focused widget first."""
    found: dict[tuple[str, str], list[str]] = {}
    for key, active in screen.active_bindings.items():
        binding = active.binding
        if binding.system or not (binding.description or binding.tooltip):
            continue
        if binding.id is None and binding.action.startswith(_OF_COURSE):
            continue
        known = KEYS.get(binding.id or "")
        about = known.about if known else binding.tooltip or binding.description
        shown = screen.app.get_key_display(binding.with_key(key))
        found.setdefault((binding.action, about), []).append(shown)
    return [(" ".join(keys), about) for (_, about), keys in found.items()]


def help_content(keys: Sequence[tuple[str, str]], about: str, table: Table | None) -> Content:
    """What is seen, then the keys, then the columns of the table."""
    parts: list[str | tuple[str, str]] = []
    if about:
        parts.append(f"{about}\n\n")
    parts.append(("Keys\n", "bold $text-accent"))
    for shown, meaning in keys:
        parts += [(f"{shown:>13}  ", "bold"), f"{meaning}\n"]
    if table is not None:
        parts.append(("\nFilter\n", "bold $text-accent"))
        parts.append(FILTER_HELP)
        parts.append((f"\nColumns of {table.label}\n", "bold $text-accent"))
        for column in table.columns:
            parts += [(f"{column.label:>13}  ", "bold"), f"{column.description}\n"]
        parts.append(("\nNot every column fits every screen. – means: not known.", "$text-muted"))
    return Content.assemble(*parts)
