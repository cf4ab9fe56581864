"""What a list prints: rows of a table of the store, or records that are already there.

In: a `Reader`, a table and what the user asked for. Out: a table, JSON or CSV on standard output,
and on standard error how many rows were left out. The newest is printed last, where the eye is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from underglass.list_options import Asked

if TYPE_CHECKING:
    from analysis.listed import Narrowed
    from analysis.reading import Reader
    from analysis.result import Record
    from analysis.table_layout import Column, Table

_PAGE_ROWS = 20_000
_FINDING_FIELDS = (
    *("kind", "session_id", "severity", "first_at", "last_at", "title", "count"),
    *("wasted_tokens", "wasted_usd", "waited_ms", "evidence", "finding_id"),
)


def print_stored(
    reader: Reader, table: Table, narrowed: Narrowed, asked: Asked, *, empty: str
) -> None:
    """Print rows of the store. `narrowed` says of which time and session. Raises BadFilter."""
    narrowed = replace(narrowed, where=asked.where, sort=asked.sort, limit=asked.limit)
    if asked.as_csv or asked.as_json:
        fields: Sequence[str] = _FINDING_FIELDS if table.name == "findings" else ("*",)
    else:
        fields = [f'"{name}"' for name in table.fields]
    rows = _Rows(reader, table, narrowed, ", ".join(fields), asked.reverse)
    if asked.as_json:
        from underglass.printing import print_json_array

        print_json_array(rows, compact=asked.watch_s is not None)
    elif asked.as_csv:
        _print_csv(rows)
    else:
        from underglass.printing import print_table_pages

        if not print_table_pages(table, rows):
            click.echo(_nothing(narrowed, empty), err=True)
    rows.tell_left_out(hint=asked.watch_s is None)


def print_records(table: Table, records: Sequence[Record], asked: Asked, *, empty: str) -> None:
    """Print records, which come oldest first or most important first, sorted and cut as asked.

    Raises BadFilter for a column that there is not.
    """
    rows = sorted_records(table, records, asked)
    if asked.limit is not None:
        rows = rows[: asked.limit]
    if asked.as_json:
        from underglass.printing import print_json

        print_json(rows, compact=asked.watch_s is not None)
    elif asked.as_csv:
        from underglass.csv_rows import print_csv

        print_csv(list(rows[0]) if rows else table.fields, rows)
    else:
        from underglass.printing import print_table

        print_table(table, rows, empty=empty)
    if len(rows) < len(records):
        _tell_left_out("first", len(rows), len(records), hint=asked.watch_s is None)


class _Rows:
    """Pages of JSON-ready records, in the order in which they are printed."""

    def __init__(
        self, reader: Reader, table: Table, narrowed: Narrowed, fields: str, reverse: bool
    ) -> None:
        self._reader = reader
        self._table = table
        self._narrowed = narrowed
        self._fields = fields
        by_time = bool(table.newest) and narrowed.sort is None
        self._newest_last = by_time and not reverse
        self._reverse = reverse and not by_time
        self._count = 0
        self._cut = False
        self.columns: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[list[Record]]:
        from analysis.listed import counted, listed, pages

        limit = self._narrowed.limit
        if limit is not None and limit <= _PAGE_ROWS:
            asked = replace(self._narrowed, reverse=self._reverse)
            found = listed(self._reader, self._table, asked, fields=self._fields).rows
            records = self._records(found)
            yield records[::-1] if self._newest_last else records
            return
        skipped = 0
        if limit is not None and self._newest_last:
            skipped = max(0, counted(self._reader, self._table, self._narrowed) - limit)
        turned = replace(self._narrowed, reverse=self._reverse or self._newest_last)
        for found in pages(self._reader, self._table, turned, fields=self._fields, rows=_PAGE_ROWS):
            if skipped >= len(found):
                skipped -= len(found)
                continue
            found = replace(found, rows=found.rows[skipped:])
            skipped = 0
            if limit is not None and self._count + len(found) > limit:
                found = replace(found, rows=found.rows[: limit - self._count])
            yield self._records(found)
            if limit is not None and self._count >= limit:
                return

    def all_columns(self) -> tuple[str, ...]:
        """The columns, also when there are no rows."""
        none = replace(self._narrowed, limit=0)
        from analysis.listed import listed

        return listed(self._reader, self._table, none, fields=self._fields).rows.columns

    def tell_left_out(self, *, hint: bool) -> None:
        """Say on standard error how many rows were not printed."""
        from analysis.listed import counted

        if self._cut:
            click.echo(
                "underglass: the collector leaves out rows of so large an answer; narrow it with"
                " --where, --since or --session",
                err=True,
            )
        if self._narrowed.limit is None or self._count < self._narrowed.limit:
            return
        total = counted(self._reader, self._table, self._narrowed)
        if total > self._count:
            by_time = bool(self._table.newest) and self._narrowed.sort is None
            _tell_left_out("newest" if by_time else "first", self._count, total, hint=hint)

    def _records(self, found: Any) -> list[Record]:
        self.columns = found.columns
        self._count += len(found)
        self._cut |= found.truncated
        records: list[Record] = found.records()
        if self._table.name == "findings" and "evidence" in found.columns:
            from analysis.findings import evidence_records

            for record in records:
                record["evidence"] = evidence_records(record["evidence"])
        return records


def _print_csv(rows: _Rows) -> None:
    from underglass.csv_rows import print_csv

    pages = iter(rows)
    first = next(pages, [])

    def every() -> Iterator[Record]:
        yield from first
        for page in pages:
            yield from page

    print_csv(rows.columns or rows.all_columns(), every())


def sorted_records(table: Table, records: Sequence[Record], asked: Asked) -> list[Record]:
    """Records sorted as asked, unknown values last. Raises BadFilter."""
    if asked.sort is None:
        return list(records)[::-1] if asked.reverse else list(records)
    from analysis.where import named_column

    column = named_column(asked.sort, table)
    known = [record for record in records if column.value(record) is not None]
    unknown = [record for record in records if column.value(record) is None]
    descends = column.align == "right" or column.key.endswith("_at")
    known.sort(key=lambda record: _sortable(column, record), reverse=descends != asked.reverse)
    return [*known, *unknown]


def _sortable(column: Column, record: Record) -> Any:
    value = column.value(record)
    return [str(each) for each in value] if isinstance(value, list) else value


def _nothing(narrowed: Narrowed, empty: str) -> str:
    """What is said when there are no rows: nothing is stored, or all was filtered out."""
    if narrowed.where.strip():
        return f"nothing is like {narrowed.where!r}"
    if narrowed.session_id is not None or narrowed.since_ns is not None:
        return f"{empty.partition(';')[0]} of that time or session"
    return empty


def _tell_left_out(which: str, shown: int, total: int, *, hint: bool) -> None:
    all_rows = "; --limit 0 shows all" if hint else ""
    click.echo(f"underglass: the {which} {shown:,} of {total:,}{all_rows}", err=True)
