"""One row with everything that is known of it, and what a finding rests on.

In: a `Subject`, or where a row is to be found. Out: the screens that its evidence leads to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from analysis.cells import json_text, one_line, printable
from analysis.columns import FILES, FINDINGS, PROCESSES
from analysis.table_layout import Column, Row, Table
from probes.errors import UnderglassError
from tui.table_page import RecordQuestion
from tui.view import Subject, SubjectKind
from tui.widgets.health_line import HealthLine
from tui.widgets.key_line import KeyLine

if TYPE_CHECKING:
    from tui.app import UnderglassApp

MAX_FIELD_CHARS = 20_000
MAX_EVIDENCE = 500
PLACES: dict[str, tuple[Table, str, SubjectKind]] = {
    "process": (PROCESSES, "process_key", "process"),
    "file": (FILES, "file_event_id", "row"),
    "finding": (FINDINGS, "finding_id", "finding"),
}
"""Evidence that is a row: its table, the field that identifies it, what it is as a subject."""


class RecordScreen(Screen[None]):
    """Every field by name, then the evidence."""

    DEFAULT_CSS = """
    RecordScreen VerticalScroll { height: 1fr; padding: 0 1; }
    RecordScreen OptionList { height: auto; max-height: 50%; border: none; padding: 0; }
    RecordScreen OptionList:focus { border: none; }
    RecordScreen #evidence { padding: 0 1; text-style: bold; }
    RecordScreen OptionList, RecordScreen #evidence { display: none; }
    RecordScreen.evidence OptionList, RecordScreen.evidence #evidence { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "app.pop_screen", "Back"),
        Binding("j", "move('down')", "Down", show=False),
        Binding("k", "move('up')", "Up", show=False),
        Binding("g", "move('first')", "First", show=False),
        Binding("G", "move('last')", "Last", show=False),
    ]

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self._subject = subject
        self._evidence: list[Any] = []

    @classmethod
    def of_evidence(cls, kind: str, key: str) -> RecordScreen:
        """The screen of a row that evidence names."""
        table, field, subject_kind = PLACES[kind]
        return cls(Subject(subject_kind, key, {field: key}, table))

    @property
    def row(self) -> Row:
        """What is known by now."""
        return self._subject.record

    def subject(self) -> Subject:
        """What is shown."""
        return self._subject

    def compose(self) -> ComposeResult:
        """The record above its evidence."""
        with VerticalScroll():
            yield Static("reading…", id="record", markup=False)
        yield Static("Evidence: Enter opens it", id="evidence", markup=False)
        yield OptionList()
        yield HealthLine()
        yield KeyLine()

    def on_mount(self) -> None:
        """Show what is known, and ask for the rest."""
        self.query_one(VerticalScroll).focus()
        question = record_question(self._subject)
        if question is None:
            self._draw(self.row)
        else:
            cast("UnderglassApp", self.app).ask(question, self._loaded)

    def action_move(self, where: str) -> None:
        """Vim keys do what arrow keys do."""
        if self._evidence:
            options = self.query_one(OptionList)
            getattr(options, f"action_{'cursor_' if where in ('up', 'down') else ''}{where}")()
        else:
            names = {"first": "home", "last": "end"}
            scroll = self.query_one(VerticalScroll)
            getattr(scroll, f"action_scroll_{names.get(where, where)}")()

    async def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        """Show what the evidence is."""
        evidence = self._evidence[message.option_index]
        await cast("UnderglassApp", self.app).open_evidence(evidence["kind"], evidence["id"])

    def _loaded(self, row: Row | None, error: UnderglassError | None) -> None:
        if not self.is_mounted:
            return
        if row is not None:
            subject = self._subject
            self._subject = Subject(subject.kind, subject.key, row, subject.table)
        elif error is not None:
            self.notify(one_line(str(error)), severity="warning", markup=False)
        else:
            self.notify("The store holds no such row.", severity="warning")
        self._draw(self.row)

    def _draw(self, row: Row) -> None:
        self.query_one("#record", Static).update(record_content(self._subject.table, row))
        found = row.get("evidence") or ()
        self._evidence = [each for each in found if isinstance(each, dict)][:MAX_EVIDENCE]
        self.set_class(bool(self._evidence), "evidence")
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(
            Option(Content(f"{one_line(each['kind']):<8} {one_line(each['note'])}"))
            for each in self._evidence
        )
        if self._evidence:
            options.highlighted = 0
            options.focus()


def record_question(subject: Subject) -> RecordQuestion | None:
    """What asks for all that is known of a subject; None when its record is all."""
    if subject.kind in PLACES:
        table, field, _ = PLACES[subject.kind]
        return RecordQuestion(table, ((field, subject.key),))
    if subject.table is None or not set(subject.table.identity) <= set(subject.record):
        return None
    return RecordQuestion.of_row(subject.table, subject.record)


def record_content(table: Table | None, row: Row) -> Content:
    """A line a column: its name, its value in full, what it means; then all other fields."""
    parts: list[str | tuple[str, str]] = []
    shown = {"evidence"}
    for column in table.columns if table is not None else ():
        if not all(field in row for field in column.needs):
            continue
        shown.update(column.needs)
        parts.append((f"{column.label:>14}  ", "$text-muted"))
        parts.append((printable(_whole(column, row)) or "–", "bold"))
        parts.append((f"  {column.description}\n", "$text-muted"))
    for field, value in row.items():
        if field not in shown and value is not None:
            text = value if isinstance(value, str) else json_text(value)
            parts.append((f"{one_line(field):>14}  ", "$text-muted"))
            parts.append(f"{printable(_cut(text))}\n")
    return Content.assemble(*parts)


def _whole(column: Column, row: Row) -> str:
    """The value uncut where it is text, else as the table shows it."""
    value = column.value(row)
    if isinstance(value, str) and not column.key.endswith("_at"):
        return _cut(value)
    if isinstance(value, dict):
        return _cut(json_text(value, indented=True))
    if isinstance(value, list) and value:
        return _cut(" ".join(str(each) for each in value))
    return column.cell(row).text


def _cut(text: str) -> str:
    if len(text) <= MAX_FIELD_CHARS:
        return text
    return f"{text[:MAX_FIELD_CHARS]}… {len(text) - MAX_FIELD_CHARS:,} more characters"
