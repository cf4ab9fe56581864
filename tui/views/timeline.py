"""The timeline: one session with its sub-agents as bars over time.

In: a `GanttPage` of `analysis.gantt`: the rows around the cursor. Out: where the time went, an
axis that can be zoomed and moved, and a line for each call, tool call, program, wait and finding.
Without a session it is the one that was active last. Rows that are not loaded yet are asked for as
they come near the screen.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Static

from analysis import cells
from analysis.columns import CALLS, FINDINGS, PROCESSES, TOOLS
from analysis.gantt import TIMELINE, GanttPage, gantt_page
from analysis.reading import Reader
from analysis.table_layout import Table
from tui.gantt_bars import axis, offset
from tui.keys import bind
from tui.view import Question, Scope, Subject, SubjectKind, View
from tui.widgets.gantt_rows import GanttRows, bar_cells, times_content
from tui.widgets.line_list import LineList

_LEAST_SPAN_NS = 1_000_000
_NEAR = 40  # rows; closer to the end of what is loaded, more are asked for
_SUBJECTS: dict[str, tuple[SubjectKind, Table, str]] = {
    "call": ("call", CALLS, "call_id"),
    "tool": ("tool", TOOLS, "tool_call_id"),
    "process": ("process", PROCESSES, "process_key"),
    "finding": ("finding", FINDINGS, "finding_id"),
}


@dataclass(frozen=True, slots=True)
class GanttQuestion:
    """Rows of a session around a row, or around a moment (nanoseconds since the epoch)."""

    session_id: str | None
    where: str
    row: int | None
    at_ns: int | None
    whole: bool

    def read(self, reader: Reader) -> GanttPage | None:
        """In a worker thread."""
        return gantt_page(
            reader,
            self.session_id,
            self.where,
            row=self.row,
            at_ns=self.at_ns,
            whole=self.whole,
            now_ns=time.time_ns(),
        )


class TimelineView(View):
    """Bars of one session over time."""

    NAME = "timeline"
    LABEL = "Time"
    ABOUT = "Where the time of a session went: calls, tools, programs and waits over time."
    DEFAULT_CSS = """
    TimelineView {
        height: 1fr;
        #times { height: 2; padding: 0; text-wrap: nowrap; text-overflow: clip; }
        #axis { height: 1; color: $text-muted; text-wrap: nowrap; text-overflow: clip; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("zoom_in", "zoom(2)"),
        bind("zoom_out", "zoom(-2)"),
        bind("fit"),
        bind("earlier", "pan(-1)"),
        bind("later", "pan(1)"),
        bind("next_mark", "mark(1)"),
        bind("previous_mark", "mark(-1)"),
        bind("programs"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._scope = Scope()
        self._page: GanttPage | None = None
        self._window: tuple[int, int] | None = None  # None: all of the session
        self._around: tuple[int | None, int | None] = (None, None)  # a row, or a moment
        self._seek_ns: int | None = None
        self._key: tuple[str, str] | None = None
        self._follow = False
        self._whole = False

    @property
    def table(self) -> Table | None:
        """What the filter may name."""
        return TIMELINE

    def compose(self) -> ComposeResult:
        """The sum, the axis, the rows."""
        yield Static("", id="times", markup=False)
        yield Static("", id="axis", markup=False)
        yield GanttRows()

    def question(self, scope: Scope) -> Question:
        """The rows around the cursor."""
        if scope != self._scope:
            self._scope = scope
            self._around, self._window, self._key = (None, None), None, None
            self._follow, self._seek_ns = False, None
        return GanttQuestion(scope.session_id, scope.where, *self._around, self._whole)

    def show(self, answer: GanttPage | None, scope: Scope) -> None:
        """Draw the rows; the cursor stays with its row, or at the end while the session runs."""
        if scope != self._scope:
            return
        if answer == self._page and answer is not None and self._seek_ns is None:
            return
        before, self._page = self._page, answer
        other = answer is None or before is None or before.session_id != answer.session_id
        if other:
            self._window, self._key = None, None
            self._follow = answer is not None and answer.running
        if answer is None or not answer.total:
            self._rows.show(None, (0, 1), 0)
            return
        sought = self._seek_ns is not None
        place = self._place(answer)
        self._draw(self._rows.cursor if sought else place)
        if sought:
            self._rows.show_around(place)
        self._keep_key()

    def caption(self) -> Content:
        """Which session, how many rows, and what of it is on the screen."""
        page = self._page
        if page is None:
            return Content("Timeline")
        parts: list[str | tuple[str, str]] = []
        agent = cells.one_line(page.agent or "")
        if self._scope.session_id is None:
            name = cells.one_line(page.session_id)[:20]
            parts.append((f"latest: {name} {agent} ", "bold $text-accent"))
        else:
            parts.append(f"{agent} ")
        parts.append(f"{page.total:,} steps")
        if len(page.agents) > 1:
            parts.append(f", {len(page.agents) - 1}↳")
        bad = f"{len(page.marks):,}{'+' if len(page.marks) >= 1000 else ''}"
        if page.marks:
            parts.append((f", {bad} errors (n)", "$text-error"))
        if self._window is not None:
            begin, until = (at - page.first_ns for at in self._window)
            step = until - begin
            parts.append(f"  {offset(begin, step // 10)}–{offset(until, step // 10)} (w: all)")
        if self._scope.session_id is None:
            parts.append("  others: 1")
        return Content.assemble(*parts)

    def subject(self) -> Subject | None:
        """The call, tool call, program or finding under the cursor."""
        row = self._rows.row(self._rows.cursor) if self._page else None
        if row is None:
            return None
        if row.kind in ("human", "retry"):
            if row.call_id is None:
                return None
            return Subject("call", row.call_id, row.record, CALLS)
        kind, table, field = _SUBJECTS[row.kind]
        return Subject(kind, row.id, {field: row.id, **row.record}, table)

    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return self._page is None or not self._page.total

    def action_zoom(self, times: int) -> None:
        """Look at less or more time; where the row under the cursor begins stays in its place."""
        page = self._page
        if page is None or not page.total:
            return
        begin, until = self._span
        span = until - begin
        wanted = span // 2 if times > 0 else span * 2
        everything = page.last_ns - page.first_ns
        if wanted >= everything:
            self._window = None
        else:
            row = self._rows.row(self._rows.cursor)
            anchor = (begin + until) // 2
            if row is not None and begin <= row.stretches[-1].end_ns and row.start_ns <= until:
                anchor = max(row.start_ns, begin)
            wanted = max(wanted, min(_LEAST_SPAN_NS, everything))
            self._look_at(anchor - (anchor - begin) * wanted // span, wanted)
        self._redraw()

    def action_fit(self) -> None:
        """Look at all of the session."""
        self._window = None
        self._redraw()

    def action_pan(self, step: int) -> None:
        """Look a quarter of the window earlier or later; the cursor goes to what is seen then."""
        page = self._page
        if page is None or self._window is None:
            return
        begin, until = self._window
        self._look_at(begin + step * (until - begin) // 4, until - begin)
        begin, until = self._window
        row = self._rows.row(self._rows.cursor)
        if row is not None and row.stretches[-1].end_ns >= begin and row.start_ns <= until:
            self._redraw()
            return
        self._follow = False
        starts = [each.start_ns for each in page.rows]
        at = bisect_left(starts, begin if step > 0 else begin + (until - begin) * 3 // 4)
        inside = 0 < at < len(starts) or (at == 0 and page.rows[0].place == 0)
        if inside or (at == len(starts) and page.rows[-1].place == page.total - 1):
            self._redraw()
            self._rows.show_around(page.rows[min(at, len(starts) - 1)].place)
            return
        self._draw(self._rows.cursor)
        self._seek_ns = begin
        self._ask(None, begin)

    def action_mark(self, step: int) -> None:
        """Go to the next, or the previous, error or finding."""
        marks = self._page.marks if self._page else ()
        cursor = self._rows.cursor
        at = bisect_right(marks, cursor) if step > 0 else bisect_left(marks, cursor) - 1
        if not 0 <= at < len(marks):
            self.notify("No more errors or findings that way" if marks else "No error, no finding")
            return
        self._rows.show_around(marks[at])

    def action_programs(self) -> None:
        """Every program that was run, or only those that tool calls began."""
        self._whole = not self._whole
        self._around = (self._around[0], None)
        self.post_message(self.QuestionChanged())

    def on_line_list_line_opened(self, message: LineList.LineOpened) -> None:
        """A closer look."""
        message.stop()
        subject = self.subject()
        if subject is not None:
            self.post_message(self.Opened(subject))

    def on_line_list_cursor_moved(self, message: LineList.CursorMoved) -> None:
        """The axis goes with the cursor, and rows are loaded ahead of it."""
        message.stop()
        page = self._page
        if page is None or self._seek_ns is not None:
            return
        cursor = self._rows.cursor
        self._follow = page.running and cursor == page.total - 1
        row = self._rows.row(cursor)
        if row is not None and self._window is not None:
            begin, until = self._window
            if row.start_ns > until or row.stretches[-1].end_ns < begin:
                self._look_at(row.start_ns - (until - begin) // 4, until - begin)
                self._draw(cursor)
        self._keep_key()
        self._load(page, cursor)

    def on_resize(self) -> None:
        """Bars and axis fit the width."""
        if self._page is not None and self._page.total:
            self._draw(self._rows.cursor)

    @property
    def _rows(self) -> GanttRows:
        return self.query_one(GanttRows)

    @property
    def _span(self) -> tuple[int, int]:
        if self._window is not None or self._page is None:
            return self._window or (0, 1)
        return self._page.first_ns, max(self._page.last_ns, self._page.first_ns + 1)

    def _look_at(self, begin: int, span: int) -> None:
        """Set the window, kept within the session."""
        assert self._page is not None
        begin = max(self._page.first_ns, min(begin, self._page.last_ns - span))
        self._window = (begin, begin + max(1, span))

    def _place(self, page: GanttPage) -> int:
        """Where the cursor belongs among new rows."""
        if self._seek_ns is not None:
            starts = [row.start_ns for row in page.rows]
            at = min(bisect_left(starts, self._seek_ns), len(starts) - 1)
            self._seek_ns = None
            self._around = (page.rows[at].place, None)
            return page.rows[at].place
        if self._follow:
            return page.total - 1
        same = (row.place for row in page.rows if (row.kind, row.id) == self._key)
        return next(same, self._rows.cursor if self._key else 0)

    def _keep_key(self) -> None:
        row = self._rows.row(self._rows.cursor)
        if row is not None:
            self._key = (row.kind, row.id)

    def _load(self, page: GanttPage, cursor: int) -> None:
        """Ask for other rows when the cursor, or the screen, comes near the end of these."""
        seen = self._rows.visible_lines
        first, last = page.rows[0].place, page.rows[-1].place
        early = first > 0 and min(cursor, seen.start) - first < _NEAR
        late = last < page.total - 1 and last - max(cursor, seen.stop) < _NEAR
        if early or late:
            self._ask(cursor if cursor in seen else seen.start, None)

    def _ask(self, row: int | None, at_ns: int | None) -> None:
        if (row, at_ns) != self._around:
            self._around = (row, at_ns)
            self.post_message(self.QuestionChanged())

    def _redraw(self) -> None:
        """Another window of time: the caption tells it, too."""
        self._draw(self._rows.cursor)
        self.post_message(self.QuestionChanged())

    def _draw(self, cursor: int) -> None:
        page = self._page
        if page is None or not page.total:
            return
        begin, until = self._span
        self._rows.show(page, (begin, until), cursor)
        width = self._rows.size.width or self.size.width
        line = axis(begin, until, page.first_ns, bar_cells(width))
        self.query_one("#axis", Static).update(Content(" " * (width - bar_cells(width)) + line))
        self.query_one("#times", Static).update(times_content(page.times, width))
