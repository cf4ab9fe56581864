"""A table that draws only the lines on the screen.

In: rows of a `Table`, in order. Out: `RowOpened` and `SortAsked`. Nothing is kept per cell, so new
rows cost the same whether there are ten or ten thousand; equal rows cost nothing. The cursor stays
with its row when others come and go, and follows the newest while it is at the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from analysis.table_layout import GAP, Fitted, Row, Table, fit
from tui.messages import RowOpened, SortAsked
from tui.row_order import Sorting


class RowTable(ScrollView, can_focus=True):
    """The rows of one table under a header that stays."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "row-table--header",
        "row-table--cursor",
        "row-table--good",
        "row-table--warn",
        "row-table--bad",
        "row-table--dim",
    }
    DEFAULT_CSS = """
    RowTable {
        height: 1fr;
        scrollbar-size-vertical: 1;
        overflow-x: hidden;
        overflow-y: auto;
        & > .row-table--header { text-style: bold; color: $text-muted; background: $panel; }
        & > .row-table--cursor { background: $surface-lighten-1; }
        & > .row-table--good { color: $text-success; }
        & > .row-table--warn { color: $text-warning; }
        & > .row-table--bad { color: $text-error; text-style: bold; }
        & > .row-table--dim { color: $text-muted; }
        &:focus > .row-table--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open"),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False),
        Binding("home,g", "move_to(0)", "Top", show=False),
        Binding("end,G", "move_to(-1)", "Bottom", show=False),
    ]

    cursor: reactive[int] = reactive(0)

    def __init__(self, table: Table, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.table = table
        self.rows: tuple[Row, ...] = ()
        self.sorting = Sorting()
        self._fitted: tuple[Fitted, ...] = ()
        self._keys: list[tuple[Any, ...]] = []

    @property
    def visible_columns(self) -> tuple[str, ...]:
        """Keys of the columns that fit now."""
        return tuple(each.column.key for each in self._fitted)

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self.rows[self.cursor] if 0 <= self.cursor < len(self.rows) else None

    def show(self, table: Table, rows: Sequence[Row], sorting: Sorting) -> None:
        """Show these rows; the cursor stays where it was, by row."""
        if (table, sorting) == (self.table, self.sorting) and tuple(rows) == self.rows:
            return
        other = table is not self.table
        at_top = self.cursor == 0
        before = None if other or not self.current else self._keys[self.cursor]
        self.table, self.rows, self.sorting = table, tuple(rows), sorting
        self._keys = [tuple(row[field] for field in table.identity) for row in self.rows]
        self._measure()
        self.cursor = 0 if other or at_top else self._place(before)
        self._reveal()
        self.refresh()

    def validate_cursor(self, cursor: int) -> int:
        """A row that exists."""
        return max(0, min(cursor, len(self.rows) - 1))

    def watch_cursor(self) -> None:
        """Scroll so that the cursor is seen."""
        self._reveal()
        self.refresh()

    def action_move(self, step: int) -> None:
        """Move the cursor by some rows."""
        self.cursor += step

    def action_page(self, pages: int) -> None:
        """Move the cursor by what the screen holds."""
        self.cursor += pages * max(1, self._room - 1)

    def action_move_to(self, row: int) -> None:
        """Move the cursor to a row; negative from the end."""
        self.cursor = row if row >= 0 else len(self.rows) + row

    def action_open(self) -> None:
        """Say that the row under the cursor was chosen."""
        if self.current is not None:
            self.post_message(RowOpened(self.table, self.current))

    def on_resize(self) -> None:
        """Choose the columns anew."""
        self._measure()
        self._reveal()

    def on_click(self, event: events.Click) -> None:
        """A click on the header sorts; on a row it moves there, twice it opens."""
        if event.y == 0:
            column = self._column_at(event.x)
            if column is not None:
                self.post_message(SortAsked(column))
            return
        row = event.y - 1 + round(self.scroll_y)
        if row < len(self.rows):
            self.cursor = row
            if event.chain == 2:
                self.action_open()

    def render_line(self, y: int) -> Strip:
        """The header, or one row."""
        width = self.size.width
        if y == 0:
            return self._header().adjust_cell_length(
                width, self.get_component_rich_style("row-table--header")
            )
        at = y - 1 + round(self.scroll_y)
        if at >= len(self.rows):
            return Strip.blank(width, self.rich_style)
        base = self.rich_style
        if at == self.cursor:
            base = self.get_component_rich_style("row-table--cursor")
        return Strip(self._segments(self.rows[at], base, at == self.cursor)).adjust_cell_length(
            width, base
        )

    @property
    def _room(self) -> int:
        return max(1, self.size.height - 1)

    def _place(self, key: tuple[Any, ...] | None) -> int:
        """Where the row is now; when it is gone, where it was."""
        if key not in self._keys or self._keys[self.cursor : self.cursor + 1] == [key]:
            return self.cursor
        return self._keys.index(key)

    def _measure(self) -> None:
        width = self.size.width
        self._fitted = fit(self.table.columns, max(1, width - 1)) if width else ()
        self.virtual_size = Size(width, len(self.rows) + 1)

    def _reveal(self) -> None:
        self.scroll_to_region(
            Region(0, self.cursor, 1, 2), animate=False, force=True, immediate=True
        )

    def _header(self) -> Strip:
        style = self.get_component_rich_style("row-table--header")
        parts = []
        for fitted in self._fitted:
            label = fitted.column.label
            if fitted.column.key == self.sorting.column:
                descending = (fitted.column.align == "right") != self.sorting.reverse
                label = f"{label[: fitted.width - 1]}{'↓' if descending else '↑'}"
            parts.append(Segment(_fill(label, fitted) + " " * GAP, style))
        return Strip(parts)

    def _segments(self, row: Row, base: Style, cursor: bool) -> list[Segment]:
        parts = []
        for fitted in self._fitted:
            cell = fitted.column.cell(row)
            style = base
            if cell.style and not (cursor and self.has_focus):
                word = self.get_component_styles(f"row-table--{cell.style}").partial_rich_style
                style = base + Style(color=word.color, bold=word.bold)
            parts.append(Segment(_fill(cell.text, fitted) + " " * GAP, style))
        return parts

    def _column_at(self, x: int) -> str | None:
        start = 0
        for fitted in self._fitted:
            if start <= x < start + fitted.width + GAP:
                return fitted.column.key
            start += fitted.width + GAP
        return None


def _fill(text: str, fitted: Fitted) -> str:
    """The text at exactly the column's width."""
    length = cell_len(text)
    if length > fitted.width:
        return set_cell_size(text, fitted.width - 1) + "…"
    space = " " * (fitted.width - length)
    return space + text if fitted.column.align == "right" else text + space
