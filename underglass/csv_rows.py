"""Rows as CSV (RFC 4180), which programs and spreadsheets read.

In: result sets of `analysis`. Out: text on standard output: a header of field names, then a line a
row; what is not known is empty, lists and objects are JSON. Spreadsheets execute text that begins
as a formula does, and agents' text is not to be trusted: such a cell begins with `'`.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def print_csv(fields: Sequence[str], records: Iterable[Mapping[str, Any]]) -> None:
    """A header and the rows; `records` are JSON-ready, as of `ResultSet.records`."""
    writer = csv.writer(sys.stdout, lineterminator="\r\n")
    writer.writerow(fields)
    for record in records:
        writer.writerow([cell(record[name]) for name in fields])


def cell(value: Any) -> str | int | float | None:
    """The value as a cell: text that no spreadsheet executes, or a number."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return f"'{text}" if text.startswith(_FORMULA) else text
