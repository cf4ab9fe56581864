"""A part of one table: filtered, sorted, and no more rows than asked for.

In: a `Reader`, a `Table` of `analysis.columns`, and what the user narrowed it to. Out: `Listed`
rows, which the command line prints and the dashboard scrolls through. The database filters, sorts
and cuts, so that a table costs what is shown of it. The newest rows are looked for among the newest
first: a view's moments are computed, so the database cannot know that the rest is older.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

from analysis.reading import Reader, query
from analysis.result import ResultSet
from analysis.table_layout import Column, Table
from analysis.where import condition, named_column, number_sql

_NAMED = {"findings": "findings_listed", "context": "context_sessions"}  # else as the table
_TIES = {"rpc": '"position" {way}', "coverage": "len(hosts) DESC, pid"}  # come before identity


class _Rows(NamedTuple):
    """What the rows of a view are made of: a row of it for each row of `table`."""

    table: str
    clock: str  # nanoseconds: what `newest` of the view is made of


_MADE_OF = {
    "calls": _Rows("llm_call", "started_ns"),
    "tools": _Rows("tool_call", "requested_ns"),
    "processes": _Rows("process", "started_ns"),
    "files": _Rows("file_event", "last_ns"),
    "connections": _Rows("network_event", "last_ns"),
    "requests": _Rows("provider_request", "started_ns"),
    "findings": _Rows("finding", "last_ns"),
}
_LOOKED_INTO = 50  # among so many times the rows that are wanted, when a filter has to hold


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What is to be shown of a table. `where` is a filter of `analysis.where`; `kinds` those of
    findings, None for all.

    `sort` names a column, whose largest numbers or first words come first; None is the table's
    own order, the newest first. `reverse` turns either round. `limit` None is all rows.
    """

    since_ns: int | None = None
    session_id: str | None = None
    where: str = ""
    kinds: Collection[str] | None = None
    sort: str | None = None
    reverse: bool = False
    limit: int | None = 1000
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Listed:
    """The rows asked for, in order. `total`: how many fit in all; None when not counted."""

    rows: ResultSet
    total: int | None


def listed(
    reader: Reader, table: Table, narrowed: Narrowed, *, fields: str = "*", count: bool = False
) -> Listed:
    """Rows of a table. Raises BadFilter for a filter or a column that there is not."""
    chosen, given = chosen_sql(reader, table, narrowed)
    total = _total(reader, table, narrowed, chosen, given) if count else None
    cut = f"LIMIT {narrowed.limit:d} " if narrowed.limit is not None else ""
    cut += f"OFFSET {narrowed.offset:d}" if narrowed.offset else ""
    ordered = f"ORDER BY {order_sql(table, narrowed)} {cut}"
    recent = _recent(reader, table, narrowed)
    if recent is not None and narrowed.limit is not None:
        rows = reader.rows(f"SELECT {fields} {chosen} AND {recent} {ordered}", given)
        if len(rows) == narrowed.limit:
            return Listed(rows, total)
    return Listed(reader.rows(f"SELECT {fields} {chosen} {ordered}", given), total)


def pages(
    reader: Reader, table: Table, narrowed: Narrowed, *, fields: str = "*", rows: int = 20_000
) -> Iterator[ResultSet]:
    """All rows that fit, in the order of `listed`, about `rows` of them at a time.

    `limit` and `offset` are not looked at. Raises BadFilter. Rows that are written meanwhile may
    come or not; a table that has no clock is sorted anew for each page.
    """
    made_of = _MADE_OF.get(table.name)
    if made_of is None or narrowed.sort is not None or narrowed.session_id is not None:
        part = replace(narrowed, limit=rows, offset=0)
        while len(found := listed(reader, table, part, fields=fields).rows):
            yield found
            if len(found) < rows:
                return
            part = replace(part, offset=part.offset + rows)
        return
    chosen, given = chosen_sql(reader, table, narrowed)
    order = order_sql(table, narrowed)
    times = _times(reader, table.newest, made_of, rows)
    for time_part in times if narrowed.reverse else reversed(times):
        found = reader.rows(f"SELECT {fields} {chosen} AND {time_part} ORDER BY {order}", given)
        if len(found):
            yield found


def _times(reader: Reader, newest: str, made_of: _Rows, rows: int) -> list[str]:
    """SQL that parts the rows by their time, the oldest first, about so many at a time."""
    clock = made_of.clock
    bounds = reader.rows(
        f"SELECT DISTINCT {clock} // 1000 AS us FROM (SELECT {clock}, row_number() OVER (ORDER BY"
        f" {clock}) AS n FROM {made_of.table} WHERE {clock} IS NOT NULL) WHERE n % {rows:d} = 0"
        " ORDER BY us"
    ).column("us")
    moments = [f"make_timestamptz({us:d})" for us in bounds]
    parts = [f"{newest} >= {begin} AND {newest} < {end}" for begin, end in pairwise(moments)]
    if not moments:
        return [f"{newest} IS NULL", f"{newest} IS NOT NULL"]
    last = f"{newest} >= {moments[-1]}"
    return [f"{newest} IS NULL", f"{newest} < {moments[0]}", *parts, last]


def counted(reader: Reader, table: Table, narrowed: Narrowed) -> int:
    """How many rows fit, whatever the limit. Raises BadFilter."""
    return _total(reader, table, narrowed, *chosen_sql(reader, table, narrowed))


def chosen_sql(reader: Reader, table: Table, narrowed: Narrowed) -> tuple[str, dict[str, Any]]:
    """`FROM ... WHERE ...` of the rows that fit, and its parameters. Raises BadFilter."""
    base = query(_NAMED.get(table.name, table.name))
    given: dict[str, Any] = {"since_ns": narrowed.since_ns, "session": narrowed.session_id}
    given["kinds"] = None if narrowed.kinds is None else sorted(narrowed.kinds)
    given = {name: value for name, value in given.items() if f"${name}" in base}
    types = types_of(reader, table) if narrowed.where.strip() else {}
    asked = condition(narrowed.where, table, types, time.time_ns())
    return f"FROM ({base}) AS listed WHERE {asked.sql}", given | dict(asked.parameters or {})


def order_sql(table: Table, narrowed: Narrowed) -> str:
    """What follows ORDER BY: unknown values last, and no two rows in an order of chance."""
    terms: list[str] = []
    if narrowed.sort is not None:
        column = named_column(narrowed.sort, table)
        descending = _descends(column) != narrowed.reverse
        terms.append(f"{number_sql(column)} {'DESC' if descending else 'ASC'} NULLS LAST")
    elif table.order:
        terms.append(f"{table.order} {'DESC' if narrowed.reverse else 'ASC'}")
    turned = narrowed.reverse and narrowed.sort is None
    direction = "DESC" if bool(table.newest) != turned else "ASC"
    if table.newest:
        terms.append(f'"{table.newest}" {direction} NULLS {"FIRST" if turned else "LAST"}')
    terms += [_TIES[table.name].format(way=direction)] if table.name in _TIES else []
    return ", ".join([*terms, *(f'"{name}" {direction}' for name in table.identity)])


def types_of(reader: Reader, table: Table) -> dict[str, str]:
    """DuckDB's types of the fields of a table, by name."""
    base = query(_NAMED.get(table.name, table.name))
    names = ("since_ns", "session", "kinds")
    given = {name: None for name in names if f"${name}" in base}
    found = reader.rows(f"SELECT * FROM ({base}) AS listed LIMIT 0", given or None)
    return dict(zip(found.columns, found.types, strict=True))


def _total(
    reader: Reader, table: Table, narrowed: Narrowed, chosen: str, given: dict[str, Any]
) -> int:
    made_of = _MADE_OF.get(table.name)
    whole = narrowed.since_ns is None and narrowed.session_id is None and narrowed.kinds is None
    if made_of is not None and whole and not narrowed.where.strip():
        chosen, given = f"FROM {made_of.table}", {}
    ((total,),) = reader.rows(f"SELECT count(*) {chosen}", given)
    return int(total)


def _recent(reader: Reader, table: Table, narrowed: Narrowed) -> str | None:
    """SQL that holds for the newest rows, among which those that are wanted may all be."""
    made_of = _MADE_OF.get(table.name)
    newest_first = narrowed.sort is None and not narrowed.reverse and not table.order
    if made_of is None or not newest_first or narrowed.limit is None or narrowed.session_id:
        return None
    wanted = narrowed.limit + narrowed.offset
    if narrowed.where.strip() or narrowed.kinds is not None:
        wanted *= _LOOKED_INTO
    clock = made_of.clock
    found = reader.rows(
        f"SELECT {clock} FROM {made_of.table} WHERE {clock} IS NOT NULL"
        f" ORDER BY {clock} DESC LIMIT 1 OFFSET {max(wanted - 1, 0):d}"
    ).rows
    return f"{table.newest} >= make_timestamptz({found[0][0] // 1000:d})" if found else None


def _descends(column: Column) -> bool:
    return column.align == "right" or column.key.endswith("_at")
