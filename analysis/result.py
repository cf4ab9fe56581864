"""What a query returns: columns, their types, rows; and the same as JSON-ready values.

In: the Arrow table of `collector.read_query`. Out: `ResultSet`, which every view draws and
`--json` prints. In JSON, times are RFC 3339 in UTC with microseconds, JSON columns are
objects, what is not known is null.
"""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

Record = dict[str, Any]

_MICROS = {"s": (1_000_000, 1), "ms": (1000, 1), "us": (1, 1), "ns": (1, 1000)}
"""Microseconds in a unit of time, as a fraction. A cast in Arrow would load its functions, which
takes longer than most queries."""


@dataclass(frozen=True, slots=True)
class ResultSet:
    """Rows in column order. `types` are DuckDB's type names; times are aware, in UTC.

    `truncated`: there were more rows than the query may return.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.rows)

    def column(self, name: str) -> tuple[Any, ...]:
        """The values of one column."""
        at = self.columns.index(name)
        return tuple(row[at] for row in self.rows)

    def records(self) -> list[Record]:
        """Each row as a JSON-ready object, its keys in column order."""
        return [
            {
                name: json_value(value, type_name)
                for name, type_name, value in zip(self.columns, self.types, row, strict=True)
            }
            for row in self.rows
        ]


def result_set(table: Any) -> ResultSet:
    """The result set in an Arrow table of `collector.read_query`."""
    from collector.read_query import TRUNCATED_KEY, TYPE_KEY

    types = tuple(field.metadata[TYPE_KEY].decode() for field in table.schema)
    columns = [_values(column) for column in table.columns]
    return ResultSet(
        columns=tuple(table.schema.names),
        types=types,
        rows=tuple(zip(*columns, strict=True)),
        truncated=table.schema.metadata[TRUNCATED_KEY] == b"1",
    )


def _values(column: Any) -> list[Any]:
    """Python values of a column; times without a look at the machine's time zone database."""
    import pyarrow as pa

    if not pa.types.is_timestamp(column.type):
        values: list[Any] = column.to_pylist()
        return values
    zone = datetime.UTC if column.type.tz else None
    counted = [each for chunk in column.chunks for each in chunk.view(pa.int64()).to_pylist()]
    times, over = _MICROS[column.type.unit]
    return [_time(None if each is None else each * times // over, zone) for each in counted]


def _time(micros: int | None, zone: datetime.tzinfo | None) -> datetime.datetime | None:
    if micros is None:
        return None
    try:
        return datetime.datetime(1970, 1, 1, tzinfo=zone) + datetime.timedelta(microseconds=micros)
    except OverflowError:  # infinity, or beyond the year 9999
        return None


def json_value(value: Any, type_name: str = "") -> Any:
    """The value as JSON can hold it. `type_name` `JSON` has the text parsed."""
    if isinstance(value, str):
        return _parsed(value) if type_name == "JSON" else value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime.datetime):
        return rfc3339(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        inner = type_name.removesuffix("[]") if type_name.endswith("[]") else ""
        return [json_value(item, inner) for item in value]
    return str(value)


def rfc3339(moment: datetime.datetime) -> str:
    """`2025-01-31T12:00:00.000000Z`; a moment without a zone is taken as UTC."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
