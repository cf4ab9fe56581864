"""Which rows fit a filter, where the rows are computed and no view of the store has them.

In: rows by field, the types of the fields, and a filter of `analysis.where`. Out: the places of
those that fit. The rows are handed to the database, which alone knows what a filter means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from analysis.reading import Reader
from analysis.table_layout import Row, Table
from analysis.where import condition

_PLACE = "place_"


def fitting(
    reader: Reader,
    rows: Sequence[Row],
    table: Table,
    types: Mapping[str, str],
    where: str,
    now_ns: int,
) -> list[int]:
    """Places of the rows that fit, in order. `types`: fields by DuckDB's names of types.

    Raises `BadFilter`.
    """
    asked = condition(where, table, types, now_ns)
    if asked.sql == "TRUE":
        return list(range(len(rows)))
    shape = ", ".join(f'"{name}": "{kind}"' for name, kind in types.items())
    given = [{**{name: row[name] for name in types}, _PLACE: at} for at, row in enumerate(rows)]
    sql = f"""
        SELECT {_PLACE}
        FROM (
            SELECT unnest(
                from_json($rows::JSON, '[{{{shape}, "{_PLACE}": "BIGINT"}}]'), recursive := true
            )
        )
        WHERE {asked.sql}
        ORDER BY {_PLACE}
    """
    text = orjson.dumps(given, option=orjson.OPT_NON_STR_KEYS).decode()
    return [at for (at,) in reader.rows(sql, {**(asked.parameters or {}), "rows": text})]
