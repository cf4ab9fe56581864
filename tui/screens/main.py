"""The tables: one numbered view at a time, narrowed to a session, filtered, sorted.

In: the app's `feed`. Out: `app.look(...)` when another window into the store is wanted, and the
screens of one call or one record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from analysis.cells import one_line
from analysis.columns import CALLS, SESSIONS, TOOLS
from analysis.table_layout import Table
from tui.empty import empty_text
from tui.messages import FilterChanged, RowOpened, SortAsked, ViewAsked
from tui.row_order import Sorting, filtered, ordered, parse_filter, unknown_fields
from tui.screens.call import CallScreen
from tui.screens.record import RecordScreen
from tui.snapshot import Snapshot, Window
from tui.state import VIEWS, FeedState
from tui.widgets.filter_input import FilterInput
from tui.widgets.health_line import HealthLine
from tui.widgets.row_table import RowTable
from tui.widgets.view_bar import ViewBar

if TYPE_CHECKING:
    from tui.app import UnderglassApp


class MainScreen(Screen[None]):
    """Views, the table of one of them, and the health line."""

    DEFAULT_CSS = """
    MainScreen {
        #caption { height: 1; padding: 0 1; color: $text-muted; text-wrap: nowrap;
                   text-overflow: ellipsis; }
        #empty { height: 1fr; padding: 1 2; display: none; }
        &.empty RowTable { display: none; }
        &.empty #empty { display: block; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter"),
        Binding("s", "sort", "Sort"),
        Binding("S", "reverse", "Reverse", show=False),
        Binding("escape", "back", "Back"),
        *(Binding(str(n), f"view({n})", v.label, show=False) for n, v in enumerate(VIEWS, 1)),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._window = Window()
        self._sorting: dict[str, Sorting] = {}
        self._filter = ""

    @property
    def table(self) -> Table:
        """The table on the screen."""
        return next(view for view in VIEWS if view.name == self._window.table)

    def compose(self) -> ComposeResult:
        """From the totals down to the keys."""
        yield ViewBar()
        yield Static("", id="caption", markup=False)
        yield FilterInput()
        yield RowTable(self.table)
        yield Static("", id="empty", markup=False)
        yield HealthLine()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Follow the app's feed."""
        self.query_one(RowTable).focus()
        self.watch(self.app, "feed", self._feed_changed)

    def action_view(self, number: int) -> None:
        """Show a numbered view, of the same session."""
        self._go(VIEWS[number - 1], self._window.session_id)

    def action_filter(self) -> None:
        """Type a filter."""
        self.query_one(FilterInput).open(self._filter)

    def action_sort(self) -> None:
        """Sort by the next column on the screen; after the last by time again."""
        keys = (None, *self.query_one(RowTable).visible_columns)
        at = keys.index(self._sort.column) if self._sort.column in keys else 0
        self._set_sorting(Sorting(keys[(at + 1) % len(keys)]))

    def action_reverse(self) -> None:
        """Turn the order round."""
        self._set_sorting(Sorting(self._sort.column, not self._sort.reverse))

    def action_back(self) -> None:
        """Out of the filter, else out of the session."""
        if self._filter:
            self.query_one(FilterInput).close("")
        elif self._window.session_id is not None:
            self._go(SESSIONS, None)

    def on_filter_changed(self, message: FilterChanged) -> None:
        """Show what fits the filter."""
        self._filter = message.text
        self._draw()

    def on_sort_asked(self, message: SortAsked) -> None:
        """Sort by a column; once more turns it round."""
        same = message.column == self._sort.column
        self._set_sorting(Sorting(message.column, same and not self._sort.reverse))

    def on_view_asked(self, message: ViewAsked) -> None:
        """A click on a view's name."""
        self.action_view(message.number)

    def on_row_opened(self, message: RowOpened) -> None:
        """One step deeper: session, its calls, a call's messages."""
        if message.table is SESSIONS:
            self._go(CALLS, message.row["session_id"])
        elif message.table in (CALLS, TOOLS):
            self.app.push_screen(CallScreen("call", message.row["call_id"]))
        else:
            self.app.push_screen(RecordScreen(message.table, message.row))

    @property
    def _sort(self) -> Sorting:
        return self._sorting.get(self._window.table, Sorting())

    def _set_sorting(self, sorting: Sorting) -> None:
        self._sorting[self._window.table] = sorting
        self._draw()

    def _go(self, table: Table, session_id: str | None) -> None:
        window = Window(table.name, session_id)
        if window != self._window:
            self._window = window
            if self._filter:
                self.query_one(FilterInput).close("")
            self._draw()
            cast("UnderglassApp", self.app).look(window)

    def _feed_changed(self, feed: FeedState) -> None:
        if feed.snapshot is not None and feed.snapshot.window == self._window:
            self._draw()

    def _draw(self) -> None:
        """Rows that fit the window; none while those of another one are all there is."""
        feed = cast("UnderglassApp", self.app).feed
        table = self.table
        self.query_one(ViewBar).show(table)
        snapshot = feed.snapshot
        if snapshot is None or snapshot.window != self._window:
            self.query_one("#caption", Static).update("reading…")
            return
        terms = parse_filter(self._filter)
        rows = ordered(filtered(snapshot.rows.rows, terms, table), self._sort, table)
        self.query_one(RowTable).show(table, rows, self._sort)
        unknown = unknown_fields(terms, table)
        self.query_one("#caption", Static).update(self._caption(snapshot, len(rows), unknown))
        self.set_class(not rows, "empty")
        if not rows:
            title, advice = empty_text(table, snapshot, self._filter)
            self.query_one("#empty", Static).update(
                Content.assemble((title, "bold $text-accent"), "\n\n", advice)
            )
        elif not self.query_one(FilterInput).display and self.focused is None:
            self.query_one(RowTable).focus()

    def _caption(self, snapshot: Snapshot, shown: int, unknown: tuple[str, ...]) -> Content:
        """Which rows these are: of which session, how many, filtered and sorted how."""
        parts: list[str | tuple[str, str]] = []
        if self._window.session_id is not None and self.table.has_session:
            session = one_line(self._window.session_id)[:20]
            parts.append((f"session {session} › ", "bold $text-accent"))
        rows = snapshot.rows
        parts.append(f"{self.table.label}: {rows.total:,}")
        if rows.total > len(rows.rows):
            parts.append(f", newest {len(rows.rows):,}")
        if self._filter:
            hidden = len(rows.rows) - shown
            parts.append((f"  /{one_line(self._filter)}", "bold $text-warning"))
            parts.append(f" shows {shown:,}, hides {hidden:,}")
        if unknown:
            names = ", ".join(column.label for column in self.table.columns)
            parts.append((f"  no column {one_line(unknown[0])}; columns: {names}", "$text-error"))
        column = self.table.column(self._sort.column) if self._sort.column else None
        if column is not None:
            parts.append(f"  by {column.label}{', reversed' if self._sort.reverse else ''}")
        elif self.table.newest:
            parts.append(f"  {'oldest' if self._sort.reverse else 'newest'} first")
        return Content.assemble(*parts)
