"""The rows of a table around the screen, however long the table is.

In: a table, what the user narrowed it to, and where the screen is in it. Out: a `TableQuestion`,
which the feed's worker puts to the store, and a `TablePage`, its answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from analysis.listed import Listed, Narrowed, chosen_sql, counted, listed
from analysis.reading import Reader
from analysis.table_layout import Column, Row, Table

PAGE_ROWS = 500
MARGIN = 100
_STEP = 50
_COUNT_PAUSE_S = 1.0
_PAUSE_FACTOR = 20
_MORE_FIELDS = {"findings": ("finding_id",)}
_LONG_FIELDS = frozenset({"arguments", "result_preview", "body", "answer_body", "error_message"})
_CELL_CHARS = 400
_RECORD_KEYS = {"findings": ("finding_id",)}  # where `identity` holds a time


@dataclass(frozen=True, slots=True)
class Sorting:
    """By a column, or by the table's time; `reverse` as seen from that order's natural one."""

    column: str | None = None
    reverse: bool = False

    def arrow(self, column: Column) -> str:
        """What the header of the column that is sorted by shows."""
        falls = column.align == "right" or column.key.endswith("_at")
        return "↓" if falls != self.reverse else "↑"


@dataclass(frozen=True, slots=True)
class TablePage:
    """Rows from `offset` on in an order, with their identities. `total`: how many fit the filter,
    `hidden` how many do not; the latter is known only when none fits.
    """

    offset: int = 0
    rows: tuple[Row, ...] = ()
    keys: tuple[tuple[Any, ...], ...] = ()
    total: int = 0
    hidden: int | None = None
    sorting: Sorting = Sorting()

    def row(self, at: int) -> Row | None:
        """The row at this place in the whole table, when it is in the page."""
        return self.rows[at - self.offset] if 0 <= at - self.offset < len(self.rows) else None

    def key(self, at: int) -> tuple[Any, ...] | None:
        """Its identity."""
        return self.keys[at - self.offset] if 0 <= at - self.offset < len(self.keys) else None

    def place(self, key: tuple[Any, ...] | None) -> int | None:
        """Where the row of this identity is in the whole table, when it is in the page."""
        return self.offset + self.keys.index(key) if key in self.keys else None

    def covers(self, top: int, room: int) -> bool:
        """Whether it holds the rows from `top` on and some around them, as far as there are any."""
        first, end = max(0, top - MARGIN), min(self.total, top + room + MARGIN)
        return self.offset <= first and end <= self.offset + len(self.rows)


def page_offset(page: TablePage, top: int, room: int) -> int:
    """Where the next page begins, with the screen at `top`: where it did, while that is enough."""
    if page.covers(top, room):
        return page.offset
    offset = max(0, top - (PAGE_ROWS - room) // 2)
    return offset - offset % _STEP


class RowCount:
    """How many rows there are, counted seldom when that takes long. Of the worker thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._of: Any = None
        self._total = 0
        self._due = 0.0

    def total(self, reader: Reader, table: Table, narrowed: Narrowed, at_least: int) -> int:
        """The last count while it is young. Never less than what was seen."""
        basis = (table.name, narrowed.session_id, narrowed.where)
        began = self._clock()
        if basis != self._of or began >= self._due:
            self._total = counted(reader, table, narrowed)
            ended = self._clock()
            self._of = basis
            self._due = ended + max(_COUNT_PAUSE_S, _PAUSE_FACTOR * (ended - began))
        self._total = max(self._total, at_least)
        return self._total


@dataclass(frozen=True, slots=True)
class TableQuestion:
    """Some rows of a table: see `analysis.listed`."""

    table: Table
    session_id: str | None = None
    where: str = ""
    sorting: Sorting = Sorting()
    offset: int = 0
    count: RowCount = field(default_factory=RowCount, compare=False)

    def read(self, reader: Reader) -> TablePage:
        """The page. Raises BadFilter."""
        narrowed = Narrowed(
            session_id=self.session_id if self.table.has_session else None,
            where=self.where,
            sort=self.sorting.column,
            reverse=self.sorting.reverse,
            limit=PAGE_ROWS,
            offset=self.offset,
        )
        found = self._rows(reader, narrowed)
        if not found.rows and narrowed.offset:
            total = counted(reader, self.table, narrowed)
            narrowed = replace(narrowed, offset=max(0, total - PAGE_ROWS))
            found = self._rows(reader, narrowed)
        rows = _page_rows(found)
        end = narrowed.offset + len(rows)
        total = end
        if len(rows) == PAGE_ROWS:
            total = self.count.total(reader, self.table, narrowed, end)
        hidden = None
        if not total and self.where.strip():
            hidden = counted(reader, self.table, replace(narrowed, where=""))
        keys = tuple(tuple(row[name] for name in self.table.identity) for row in rows)
        return TablePage(narrowed.offset, rows, keys, total, hidden, self.sorting)

    def _rows(self, reader: Reader, narrowed: Narrowed) -> Listed:
        return listed(reader, self.table, narrowed, fields=_selected(self.table))


@dataclass(frozen=True, slots=True)
class RecordQuestion:
    """Everything that is known of one row, by the fields that tell it from all others."""

    table: Table
    key: tuple[tuple[str, Any], ...]

    @classmethod
    def of_row(cls, table: Table, row: Row) -> RecordQuestion:
        """The question for a row that is on the screen."""
        names = _RECORD_KEYS.get(table.name, table.identity)
        return cls(table, tuple((name, row[name]) for name in names))

    def read(self, reader: Reader) -> Row | None:
        """The row, JSON parsed and times as text; None when there is no such row (any more)."""
        terms, given = [], {}
        for name, value in self.key:
            terms.append(f"{name} IS NULL" if value is None else f"{name} = ${name}")
            if value is not None:
                given[name] = value
        chosen, fixed = chosen_sql(reader, self.table, Narrowed())
        sql = f"SELECT * {chosen} AND {' AND '.join(terms)} LIMIT 1"
        found = reader.rows(sql, {**fixed, **given} or None).records()
        return found[0] if found else None


def _selected(table: Table) -> str:
    """The fields that a row on the screen has; long text only as far as a cell shows it."""
    names = dict.fromkeys((*table.fields, *_MORE_FIELDS.get(table.name, ())))
    return ", ".join(
        f"left({name}::VARCHAR, {_CELL_CHARS}) AS {name}" if name in _LONG_FIELDS else name
        for name in names
    )


def _page_rows(found: Listed) -> tuple[Row, ...]:
    names = found.rows.columns
    return tuple(dict(zip(names, values, strict=True)) for values in found.rows)
