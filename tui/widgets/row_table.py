"""A table of any length that draws only the lines on the screen.

In: `TablePage`s, the rows around the screen. Out: `RowOpened`, `SortAsked`, and `PageWanted` when
it was scrolled to rows that it does not hold. Nothing is kept per cell or row of the table, so a
million rows scroll like ten. The cursor stays with its row when others come and go, and the row
stays in its line; while it follows, it stays at the top, where the newest are.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from analysis.table_layout import GAP, Fitted, Row, Table, fit
from tui.keys import bind
from tui.messages import PageWanted, RowOpened, SortAsked
from tui.table_page import Sorting, TablePage, page_offset


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
        bind("open"),
        bind("down", "move(1)"),
        bind("up", "move(-1)"),
        bind("page_down", "page(1)"),
        bind("page_up", "page(-1)"),
        bind("top", "move_to(0)"),
        bind("bottom", "move_to(-1)"),
        bind("follow"),
    ]

    cursor: reactive[int] = reactive(0, repaint=False)
    following: reactive[bool] = reactive(True, repaint=False)

    def __init__(self, table: Table, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.table = table
        self.page = TablePage()
        self._fitted: tuple[Fitted, ...] = ()
        self._key: tuple[Any, ...] | None = None
        self._styles: dict[str, Style] = {}
        self._drawn: dict[tuple[int, bool], Strip] = {}

    @property
    def visible_columns(self) -> tuple[str, ...]:
        """Keys of the columns that fit now."""
        return tuple(each.column.key for each in self._fitted)

    @property
    def current(self) -> Row | None:
        """The row under the cursor, unless it is still being read."""
        return self.page.row(self.cursor)

    @property
    def sorting(self) -> Sorting:
        """The order of the rows."""
        return self.page.sorting

    @property
    def first_line(self) -> int:
        """The place of the uppermost row on the screen."""
        return max(0, round(self.scroll_y))

    @property
    def room(self) -> int:
        """How many rows the screen holds."""
        return max(1, self.size.height - 1)

    def show(self, page: TablePage, *, anew: bool = False) -> None:
        """Show these rows; `anew` begins at the top."""
        if not anew and page == self.page:
            return
        if anew:
            self.following, self._key = True, None
        place = page.place(self._key)
        self.page = page
        self._measure()
        if self.following:
            self.cursor = 0
            self._key = page.key(0)
            self._scroll(0)
        elif place is not None:
            shift = place - self.cursor
            top = self.first_line
            self.cursor = place
            if shift:
                self._scroll(top + shift)
        else:
            self.cursor = self.validate_cursor(self.cursor)
            self._key = page.key(self.cursor)
        self._redraw()
        self._want()

    def validate_cursor(self, cursor: int) -> int:
        """A row that exists."""
        return max(0, min(cursor, self.page.total - 1))

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Ask for the rows that come into sight."""
        super().watch_scroll_y(old, new)
        if self.following and round(new) > 0:
            self.following = False  # scrolled away with the wheel
        self._want()

    def action_move(self, step: int) -> None:
        """Move the cursor by some rows."""
        self._move(self.cursor + step)

    def action_page(self, pages: int) -> None:
        """Move the cursor by what the screen holds."""
        self._move(self.cursor + pages * max(1, self.room - 1))

    def action_move_to(self, row: int) -> None:
        """Move the cursor to a row; negative from the end."""
        self._move(row if row >= 0 else self.page.total + row)

    def action_follow(self) -> None:
        """Stay at the top as rows come, or stay with this row."""
        self.following = not self.following
        if self.following:
            self._move(0)

    def action_open(self) -> None:
        """Say that the row under the cursor was chosen."""
        if self.current is not None:
            self.post_message(RowOpened())

    def notify_style_update(self) -> None:
        """Another theme, or another focus: colours are looked up again."""
        super().notify_style_update()
        self._styles.clear()
        self._drawn.clear()

    def on_focus(self) -> None:
        """The cursor has other colours."""
        self._styles.clear()
        self._redraw()

    def on_blur(self) -> None:
        """The cursor has other colours."""
        self._styles.clear()
        self._redraw()

    def on_resize(self) -> None:
        """Choose the columns anew."""
        self._measure()
        self._drawn.clear()
        self._reveal()
        self._want()

    def on_click(self, event: events.Click) -> None:
        """A click on the header sorts; on a row it moves there, twice it opens."""
        if event.y == 0:
            column = self._column_at(event.x)
            if column is not None:
                self.post_message(SortAsked(column))
            return
        row = event.y - 1 + self.first_line
        if row < self.page.total:
            self._move(row)
            if event.chain == 2:
                self.action_open()

    def render_line(self, y: int) -> Strip:
        """The header, or one row; a row that is still being read is dots."""
        width = self.size.width
        if y == 0:
            return self._header().adjust_cell_length(width, self._style("header"))
        at = y - 1 + self.first_line
        if at >= self.page.total:
            return Strip.blank(width, self.rich_style)
        drawn = self._drawn.get((at, at == self.cursor))
        if drawn is None:
            base = self._style("cursor" if at == self.cursor else "")
            row = self.page.row(at)
            parts = [Segment("…", base)] if row is None else self._segments(row, base, at)
            drawn = Strip(parts).adjust_cell_length(width, base)
            self._drawn[at, at == self.cursor] = drawn
        return drawn

    def _move(self, row: int) -> None:
        """The cursor is where the user put it: at the top it follows."""
        before, top = self.cursor, self.first_line
        self.cursor = row
        self._key = self.page.key(self.cursor)
        self.following = self.cursor == 0
        self._reveal()
        if self.first_line == top:
            width = self.size.width
            lines = {before - top + 1, self.cursor - top + 1}
            self.refresh(*(Region(0, line, width, 1) for line in lines if line > 0))

    def _redraw(self) -> None:
        self._drawn.clear()
        self.refresh()

    def _style(self, name: str) -> Style:
        """What `row-table--NAME` looks like; nothing is the table itself."""
        found = self._styles.get(name)
        if found is None:
            if not name:
                found = self.rich_style
            elif name in ("header", "cursor"):
                found = self.get_component_rich_style(f"row-table--{name}")
            else:
                found = self.get_component_styles(f"row-table--{name}").partial_rich_style
                found = Style(color=found.color, bold=found.bold)
            self._styles[name] = found
        return found

    def _want(self) -> None:
        if page_offset(self.page, self.first_line, self.room) != self.page.offset:
            self.post_message(PageWanted())

    def _measure(self) -> None:
        width = self.size.width
        self._fitted = fit(self.table.columns, max(1, width - 1)) if width else ()
        size = Size(width, self.page.total + 1)
        if size != self.virtual_size:
            self.virtual_size = size

    def _scroll(self, top: int) -> None:
        if top != self.scroll_y:
            self.scroll_to(y=top, animate=False, force=True, immediate=True)

    def _reveal(self) -> None:
        self.scroll_to_region(
            Region(0, self.cursor, 1, 2), animate=False, force=True, immediate=True
        )

    def _header(self) -> Strip:
        style = self._style("header")
        parts = []
        for fitted in self._fitted:
            label = fitted.column.label
            if fitted.column.key == self.sorting.column:
                label = f"{label[: fitted.width - 1]}{self.sorting.arrow(fitted.column)}"
            parts.append(Segment(_fill(label, fitted) + " " * GAP, style))
        return Strip(parts)

    def _segments(self, row: Row, base: Style, at: int) -> list[Segment]:
        parts = []
        plain = at == self.cursor and self.has_focus
        for fitted in self._fitted:
            cell = fitted.column.cell(row)
            style = base
            if cell.style and not plain:
                style = base + self._style(cell.style)
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
