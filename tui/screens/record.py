"""One row with everything that is known of it, and what a finding rests on.

In: a row of a table. Out: the screen of a call, when a piece of evidence leads to one.
"""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from analysis.cells import one_line, printable
from analysis.table_layout import Column, Row, Table
from tui.screens.call import CallScreen
from tui.widgets.health_line import HealthLine


class RecordScreen(Screen[None]):
    """Every column by name, then the evidence."""

    DEFAULT_CSS = """
    RecordScreen VerticalScroll { height: 1fr; padding: 0 1; }
    RecordScreen OptionList { height: auto; max-height: 50%; border: none; padding: 0; }
    RecordScreen OptionList:focus { border: none; }
    RecordScreen #evidence { padding: 0 1; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "app.pop_screen", "Back"),
        Binding("j", "move('down')", "Down", show=False),
        Binding("k", "move('up')", "Up", show=False),
        Binding("g", "move('first')", "First", show=False),
        Binding("G", "move('last')", "Last", show=False),
    ]

    def __init__(self, table: Table, row: Row) -> None:
        super().__init__()
        self._table = table
        self.row = row
        self._evidence = row.get("evidence", ())

    def compose(self) -> ComposeResult:
        """The record above its evidence."""
        with VerticalScroll(can_focus=not self._evidence):
            yield Static(record_content(self._table, self.row), markup=False)
        if self._evidence:
            yield Static("Evidence: Enter opens the call", id="evidence", markup=False)
            yield OptionList(
                *(
                    Option(Content(f"{each['kind']:<8} {one_line(each['note'])}"))
                    for each in self._evidence
                )
            )
        yield HealthLine()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Keys go to the evidence, else to the record."""
        self.query_one(OptionList if self._evidence else VerticalScroll).focus()

    def action_move(self, where: str) -> None:
        """Vim keys do what arrow keys do."""
        if self._evidence:
            options = self.query_one(OptionList)
            getattr(options, f"action_{'cursor_' if where in ('up', 'down') else ''}{where}")()
        else:
            names = {"first": "home", "last": "end"}
            scroll = self.query_one(VerticalScroll)
            getattr(scroll, f"action_scroll_{names.get(where, where)}")()

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        """Show the call that the evidence belongs to."""
        evidence = self._evidence[message.option_index]
        if evidence["kind"] == "process":
            self.notify("A process has no messages; 5 Processes lists it.")
        else:
            self.app.push_screen(CallScreen(evidence["kind"], evidence["id"]))


def record_content(table: Table, row: Row) -> Content:
    """A line a column: its name, its value in full, what it means."""
    parts: list[str | tuple[str, str]] = []
    for column in table.columns:
        parts.append((f"{column.label:>14}  ", "$text-muted"))
        parts.append((printable(_whole(column, row)) or "–", "bold"))
        parts.append((f"  {column.description}\n", "$text-muted"))
    return Content.assemble(*parts)


def _whole(column: Column, row: Row) -> str:
    """The value uncut where it is text, else as the table shows it."""
    value = column.value(row)
    if isinstance(value, str) and not column.key.endswith("_at"):
        return value
    if isinstance(value, list) and value:
        return " ".join(str(each) for each in value)
    return column.cell(row).text
