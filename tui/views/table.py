"""A view of any table: filtered, sorted and paged by the database.

In: a `Table` of `analysis.columns`. Out: `table_view`, a class of view for it.
"""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content

from analysis.table_layout import Row, Table
from tui.keys import bind
from tui.messages import PageWanted, RowOpened, SortAsked
from tui.table_page import RowCount, Sorting, TablePage, TableQuestion, page_offset
from tui.view import Scope, Subject, SubjectKind, View
from tui.widgets.row_table import RowTable

_KINDS: dict[str, tuple[SubjectKind, str]] = {
    "sessions": ("session", "session_id"),
    "calls": ("call", "call_id"),
    "tools": ("tool", "tool_call_id"),
    "findings": ("finding", "finding_id"),
    "processes": ("process", "process_key"),
}


class TableView(View):
    """The rows of `TABLE`, of which no more than a page is kept."""

    TABLE: ClassVar[Table]
    DEFAULT_CSS = "TableView { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [bind("sort"), bind("reverse")]

    def __init__(self) -> None:
        super().__init__()
        self.sorting = Sorting()
        self._scope: Scope | None = None
        self._page: TablePage | None = None
        self._count = RowCount()
        self._anew = True

    @property
    def table(self) -> Table:
        """What is listed."""
        return self.TABLE

    @property
    def rows(self) -> RowTable:
        """The widget that draws."""
        return self.query_one(RowTable)

    @property
    def hidden(self) -> int | None:
        """How many rows the filter hides, known when it hides all."""
        return self._page.hidden if self._page is not None else None

    def compose(self) -> ComposeResult:
        """Nothing but the rows."""
        yield RowTable(self.TABLE)

    def on_mount(self) -> None:
        """The caption says whether the newest are followed."""
        self.watch(self.rows, "following", self._followed, init=False)

    def question(self, scope: Scope) -> TableQuestion:
        """The rows around the screen; of another scope or order the first ones."""
        offset = 0
        if scope != self._scope:
            self._anew = True
        elif self._page is not None and not self._anew and not self.rows.following:
            offset = page_offset(self._page, self.rows.first_line, self.rows.room)
        return TableQuestion(
            self.TABLE, scope.session_id, scope.where, self.sorting, offset, self._count
        )

    def show(self, answer: TablePage, scope: Scope) -> None:
        """The rows in place; the cursor stays with its row."""
        if answer.sorting != self.sorting:
            return  # asked before the order was changed
        anew = self._anew
        self._scope, self._page, self._anew = scope, answer, False
        self.rows.show(answer, anew=anew)

    def empty(self) -> bool:
        """Whether no row fits."""
        return self._page is not None and not self._page.total

    def caption(self) -> Content:
        """`Calls: 12,345  by cost, reversed`."""
        parts = [self.LABEL if self._page is None else f"{self.TABLE.label}: {self._page.total:,}"]
        column = self.TABLE.column(self.sorting.column) if self.sorting.column else None
        if column is not None:
            parts.append(f"by {column.label}{', reversed' if self.sorting.reverse else ''}")
        elif self.TABLE.newest:
            parts.append(f"{'oldest' if self.sorting.reverse else 'newest'} first")
        if self.is_mounted and self.rows.following and self.TABLE.newest:
            parts.append("following")
        return Content("  ".join(parts))

    def subject(self) -> Subject | None:
        """The row under the cursor."""
        row = self.rows.current
        return None if row is None else row_subject(self.TABLE, row)

    def action_sort(self) -> None:
        """Sort by the next column on the screen; after the last by time again."""
        keys = (None, *self.rows.visible_columns)
        at = keys.index(self.sorting.column) if self.sorting.column in keys else 0
        self._sort(Sorting(keys[(at + 1) % len(keys)]))

    def action_reverse(self) -> None:
        """Turn the order round."""
        self._sort(Sorting(self.sorting.column, not self.sorting.reverse))

    def on_sort_asked(self, message: SortAsked) -> None:
        """Sort by a column; once more turns it round."""
        message.stop()
        same = message.column == self.sorting.column
        self._sort(Sorting(message.column, same and not self.sorting.reverse))

    def on_row_opened(self, message: RowOpened) -> None:
        """Enter, or two clicks."""
        message.stop()
        subject = self.subject()
        if subject is not None:
            self.post_message(self.Opened(subject))

    def on_page_wanted(self, message: PageWanted) -> None:
        """Scrolled beyond what is there."""
        message.stop()
        self.post_message(self.QuestionChanged())

    def _followed(self) -> None:
        self.post_message(self.QuestionChanged())

    def _sort(self, sorting: Sorting) -> None:
        self.sorting = sorting
        self._anew = True
        self.post_message(self.QuestionChanged())


def row_subject(table: Table, row: Row) -> Subject:
    """What a row of a table is about."""
    kind, field = _KINDS.get(table.name, ("row", ""))
    key = str(row[field]) if field else " ".join(str(row[name]) for name in table.identity)
    return Subject(kind, key, row, table)


@cache
def table_view(table: Table, label: str = "", about: str = "") -> type[TableView]:
    """The class of the view of one table, with another label than the table's if it has one."""
    names: dict[str, Any] = {
        "NAME": table.name,
        "LABEL": label or table.label,
        "ABOUT": about or f"The table {table.name}.",
        "TABLE": table,
        "__module__": __name__,
    }
    return type(f"{table.name.title().replace('_', '')}View", (TableView,), names)
