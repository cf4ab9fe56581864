"""The rows of the timeline, and the sum above them.

In: a `GanttPage` and the window of time that is looked at. Out: a line for each row: name, status,
duration, bar; and `times_content`, where the time went. Drawn in `tui.views.timeline`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from textual.content import Content

from analysis import cells
from analysis.gantt import PARTS, GanttPage, GanttRow, Times
from tui.gantt_bars import LABELS, SHADES, bar, shares
from tui.widgets.line_list import LineList, Part, cut

_TOOK_CELLS = 6
_STATUS_CELLS = 10
_WIDE_COLUMNS = 110
_INDENT = {"call": 0, "finding": 0, "human": 0, "retry": 0, "tool": 1, "process": 2}
_STYLES = {
    "queue": "$primary", "generation": "$success", "stall": "$error", "tools": "$warning",
    "human": "$secondary", "retry": "$error bold", "idle": "$text-muted",
}  # fmt: skip
_ARGUMENT = re.compile(r'^\{"[^"]*":\s*"?')


class GanttRows(LineList):
    """The rows: name, status, duration, bar. Those that are not loaded are empty."""

    def __init__(self) -> None:
        super().__init__()
        self.page: GanttPage | None = None
        self.window = (0, 1)
        self._loaded: dict[int, GanttRow] = {}

    def show(self, page: GanttPage | None, window: tuple[int, int], cursor: int) -> None:
        """Draw a page within a window of time."""
        if page is not self.page:
            self.page = page
            self._loaded = {row.place: row for row in page.rows} if page else {}
        self.window = window
        self.lines_changed(cursor)

    def row(self, place: int) -> GanttRow | None:
        """A row, when it is loaded."""
        return self._loaded.get(place)

    def line_count(self) -> int:
        """All rows of the session."""
        return self.page.total if self.page else 0

    def line_parts(self, at: int, width: int) -> Sequence[Part]:
        """Name, status, duration and bar of a row."""
        row = self.row(at)
        if row is None or self.page is None:
            return [("…", "dim")]
        label = label_cells(width)
        number = self.page.agents.get(row.session_id, 0)
        name = f"↳{number} " if number else ""
        name += "  " * _INDENT.get(row.kind, 0) + _name(row)
        sign, style = _sign(row)
        parts: list[Part] = [(f"{sign} ", style), (cut(name, label - 2), style), (" ", "")]
        if width >= _WIDE_COLUMNS:
            status = "" if row.status is None else cells.one_line(row.status)
            parts.append((cut(status, _STATUS_CELLS) + " ", style))
        took = cells.duration(row.record["duration_ms"]).text if row.kind != "finding" else ""
        parts.append((f"{took:>{_TOOK_CELLS}} ", "dim"))
        return [*parts, *bar(row, *self.window, bar_cells(width))]


def label_cells(width: int) -> int:
    """Columns of the names."""
    return max(16, min(width * 32 // 100, 56))


def bar_cells(width: int) -> int:
    """Columns that are left for the bars."""
    status = _STATUS_CELLS + 1 if width >= _WIDE_COLUMNS else 0
    return max(0, width - label_cells(width) - 1 - status - _TOOK_CELLS - 1)


def times_content(times: Times | None, width: int) -> Content:
    """Where the time went: one bar, and below it what its parts are, as far as there is room."""
    if times is None:
        return Content("Where the time went is known once the session is analysed.")
    total = cells.duration(times.wall_ns / 1e6).text
    label = f" {total} in {times.turns:,} turn{'s' if times.turns != 1 else ''}"
    parts: list[str | tuple[str, str]] = [
        (text, _STYLES.get(style, "$text-muted"))
        for text, style in shares(times.by_part, width - len(label))
    ]
    there = [part for part in PARTS if times.by_part[part]]
    took = {part: cells.duration(times.by_part[part] / 1e6).text for part in there}
    shared = {part: f"{times.by_part[part] * 100 / times.wall_ns:.0f}%" for part in there}
    both = {part: f"{took[part]} {shared[part]}" for part in there}

    def length(said: Mapping[Any, str]) -> int:
        return sum(len(LABELS[part]) + len(said[part]) + 3 for part in there)

    said = next((each for each in (both, took) if length(each) <= width), shared)
    gap = "   " if length(said) + 2 * len(there) <= width else " "
    legend: list[str | tuple[str, str]] = []
    for part in there:
        legend += [(SHADES[part][0], _STYLES[part]), f"{LABELS[part]} {said[part]}{gap}"]
    return Content.assemble(*parts, label, "\n", *legend)


def _name(row: GanttRow) -> str:
    name = cells.one_line(row.name or "–")
    detail = cells.one_line(row.detail or "")
    if row.kind == "tool":
        asked = _ARGUMENT.sub("", detail).removesuffix('"}')
        return f"{name} {asked}"
    if row.kind == "process":
        return detail or name.rpartition("/")[2]
    if row.kind == "finding":
        return f"◆ {detail or name}"
    return f"{name} {detail}" if detail else name


def _sign(row: GanttRow) -> Part:
    if row.kind == "finding":
        return "!", "bad" if row.status == "critical" else "warn"
    if row.bad:
        return "✗", "bad"
    if row.status == "running" or row.end_ns is None:
        return "▸", "good"
    if row.kind in ("human", "retry"):
        return "·", "dim"
    return (" ", "dim") if row.kind == "process" else ("✓", "")
