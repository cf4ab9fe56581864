"""Which rows are shown, and in which order.

In: rows of a `Table`, what the user typed as filter, and what to sort by. Out: the rows that
remain. Pure. A filter is words that must all be found: `word` in any column, `field:word` in one,
`!` before either to leave out what fits. Quotes hold a word with spaces together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.table_layout import Column, Row, Table

_TERM = re.compile(r'(!?)(?:([A-Za-z_.]+):)?(?:"([^"]*)"?|(\S*))')


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a filter. `field` is what the user wrote before the colon."""

    text: str
    field: str | None = None
    inverse: bool = False


@dataclass(frozen=True, slots=True)
class Sorting:
    """By a column, or by the table's time; `reverse` as seen from that order's natural one."""

    column: str | None = None
    reverse: bool = False


def parse_filter(text: str) -> tuple[Term, ...]:
    """The terms of a filter. Case does not matter."""
    return tuple(
        Term((quoted or word).lower(), field or None, bool(inverse))
        for inverse, field, quoted, word in _TERM.findall(text)
        if quoted or word
    )


def unknown_fields(terms: Iterable[Term], table: Table) -> tuple[str, ...]:
    """Fields that the table does not have."""
    return tuple(
        term.field for term in terms if term.field is not None and not table.column(term.field)
    )


def filtered(rows: Sequence[Row], terms: Sequence[Term], table: Table) -> tuple[Row, ...]:
    """The rows in which every term holds."""
    if not terms:
        return tuple(rows)
    return tuple(row for row in rows if all(_holds(term, row, table) for term in terms))


def ordered(rows: Sequence[Row], sorting: Sorting, table: Table) -> tuple[Row, ...]:
    """The rows by a column, the largest number first; unknown values always last."""
    column = table.column(sorting.column) if sorting.column else None
    if column is None:
        return tuple(reversed(rows)) if sorting.reverse else tuple(rows)
    known = [row for row in rows if column.value(row) is not None]
    unknown = [row for row in rows if column.value(row) is None]
    descending = (column.align == "right") != sorting.reverse
    known.sort(key=lambda row: _sortable(column.value(row)), reverse=descending)
    return (*known, *unknown)


def _sortable(value: Any) -> Any:
    if isinstance(value, str):
        return value.lower()
    return [str(each) for each in value] if isinstance(value, list) else value


def _holds(term: Term, row: Row, table: Table) -> bool:
    if term.field is None:
        columns: tuple[Column, ...] = table.columns
    else:
        column = table.column(term.field)
        columns = (column,) if column else ()
    return any(_contains(column, row, term.text) for column in columns) != term.inverse


def _contains(column: Column, row: Row, text: str) -> bool:
    if text in column.cell(row).text.lower():
        return True
    return any(isinstance(row[field], str) and text in row[field].lower() for field in column.needs)
