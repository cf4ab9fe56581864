"""The line in which a filter is typed.

In: keys, the columns that may be named, and what is wrong with the filter. Out: `FilterChanged` at
each change; Enter keeps the filter, Esc drops it, Tab completes a column's name, up and down go
through earlier filters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Static

from analysis.cells import one_line
from analysis.table_layout import Table
from tui.messages import FilterChanged

MOST_KEPT = 100
_WORD = re.compile(r"(?:^|(?<=\s))!?([A-Za-z][A-Za-z_.]*)$")


class FilterText(Input):
    """The text itself."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "drop", "Clear"),
        Binding("tab", "complete", "Column"),
        Binding("up", "earlier(-1)", "Earlier"),
        Binding("down", "earlier(1)", "Later", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(
            placeholder="word  column:word  cost:>0.1  !status:ok  time:10m   Tab: columns",
            select_on_focus=False,
        )
        self.names: tuple[str, ...] = ()
        self._kept: list[str] = []
        self._at = 0
        self._offered: tuple[str, tuple[str, ...]] = ("", ())

    def keep(self, text: str) -> None:
        """Remember a filter that was used."""
        if text:
            self._kept = [*(each for each in self._kept if each != text), text][-MOST_KEPT:]
        self._at = len(self._kept)

    def action_drop(self) -> None:
        """Leave without a filter."""
        assert isinstance(self.parent, FilterInput)
        self.parent.close("")

    def action_earlier(self, step: int) -> None:
        """An earlier filter, or a later one; after the last an empty one."""
        before = self.value
        self._at = max(0, min(len(self._kept), self._at + step))
        if step < 0 < self._at < len(self._kept) and self._kept[self._at] == before:
            self._at -= 1
        self.value = self._kept[self._at] if self._at < len(self._kept) else ""
        self.cursor_position = len(self.value)

    def action_complete(self) -> None:
        """The column's name as far as it is clear; pressed again, each name that it may be."""
        before, after = self.value[: self.cursor_position], self.value[self.cursor_position :]
        shown, names = self._offered
        if names and before.endswith(f"{shown}:"):
            chosen = names[(names.index(shown) + 1) % len(names)]
            self._put(before[: -len(shown) - 1], f"{chosen}:", after)
            self._offered = (chosen, names)
            return
        word = _WORD.search(before)
        begun = word[1].lower() if word else ""
        if word is None and before and not before.endswith((" ", "!")):
            return
        found = tuple(name for name in self.names if name.startswith(begun))
        if not found:
            return
        head = before[: len(before) - len(begun)]
        common = _common(found)
        if len(found) > 1 and len(common) > len(begun):
            self._put(head, common, after)
            return
        self._put(head, f"{found[0]}:", after)
        self._offered = (found[0], found)

    def _put(self, head: str, text: str, after: str) -> None:
        self.value = head + text + after
        self.cursor_position = len(head + text)


class FilterInput(Horizontal):
    """Hidden until `/` is pressed. What is wrong with the filter stands beside it."""

    DEFAULT_CSS = """
    FilterInput { display: none; height: 1; }
    FilterInput FilterText { width: 1fr; height: 1; border: none; padding: 0; }
    FilterInput FilterText:focus { border: none; }
    FilterInput Static { width: auto; height: 1; }
    FilterInput #slash { padding: 0 0 0 1; color: $text-accent; text-style: bold; }
    FilterInput #wrong { max-width: 60%; padding: 0 1; color: $text-error; text-wrap: nowrap;
                         text-overflow: ellipsis; }
    """

    def compose(self) -> ComposeResult:
        """The text, and what is wrong with it."""
        yield Static("/", id="slash", markup=False)
        yield FilterText()
        yield Static("", id="wrong", markup=False)

    @property
    def text(self) -> FilterText:
        """Where one types."""
        return self.query_one(FilterText)

    def open(self, text: str, table: Table | None) -> None:
        """Show the line with the filter as it is."""
        self.text.names = column_names(table)
        self.text.value = text
        self.text.cursor_position = len(text)
        self.text.keep(text)
        self.display = True
        self.text.focus()

    def close(self, text: str) -> None:
        """Hide the line; the filter is `text` from now on."""
        self.text.keep(text)
        self.display = False
        self.text.value = text
        self.say(None)
        self.post_message(FilterChanged(text))

    def say(self, wrong: str | None) -> None:
        """What is wrong with the filter, if anything is."""
        self.query_one("#wrong", Static).update(Content(one_line(wrong or "")))

    def on_input_changed(self, message: Input.Changed) -> None:
        """Filter while typing."""
        message.stop()
        if self.display:
            self.post_message(FilterChanged(message.value))

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Leave with the filter."""
        message.stop()
        self.close(message.value)


def column_names(table: Table | None) -> tuple[str, ...]:
    """What a filter may name: labels, then fields that no label names."""
    if table is None:
        return ()
    labels = (column.label.lower().replace(" ", "_") for column in table.columns)
    fields = (field for column in table.columns for field in column.needs)
    return tuple(dict.fromkeys((*labels, *fields)))


def _common(names: Sequence[str]) -> str:
    """What all of them begin with."""
    shortest = min(names, key=len)
    size = 0
    while size < len(shortest) and len({name[size] for name in names}) == 1:
        size += 1
    return shortest[:size]
