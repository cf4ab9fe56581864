"""Printing: tables that fit the terminal, or JSON. Data goes to standard output.

In: records of `analysis`, and the columns declared in `analysis.columns`. Off a terminal there is
no colour and the width is wide enough for every column.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from analysis.table_layout import Fitted, Table, fit

STYLES: dict[str, dict[str, Any]] = {
    "good": {"fg": "green"},
    "warn": {"fg": "yellow"},
    "bad": {"fg": "red"},
    "dim": {"dim": True},
}
_WIDE = 200


def print_json(value: object, *, compact: bool = False) -> None:
    """JSON, indented or in one line."""
    click.echo(_json(value, compact=compact))


def print_json_array(pages: Iterable[Sequence[object]], *, compact: bool = False) -> None:
    """One JSON array of what is on all pages, printed page by page."""
    begun = False
    for page in pages:
        if not page:
            continue
        text = _json(page, compact=compact)
        inner = text[1:-1] if compact else text[2:-2]  # without the brackets' lines
        separator = ("," if compact else ",\n") if begun else ("[" if compact else "[\n")
        click.echo(separator + inner, nl=False)
        begun = True
    click.echo(("]" if compact else "\n]") if begun else "[]")


def _json(value: object, *, compact: bool) -> str:
    import orjson

    options = orjson.OPT_NON_STR_KEYS | (0 if compact else orjson.OPT_INDENT_2)
    return orjson.dumps(value, default=_plain, option=options).decode()


def _plain(value: object) -> object:
    from analysis.result import ResultSet, json_value

    if isinstance(value, ResultSet):
        return value.records()
    return json_value(value, "")


def width() -> int:
    """Columns of the terminal; plenty when there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDE


def print_table(table: Table, rows: Sequence[Mapping[str, Any]], *, empty: str) -> None:
    """Rows in the table's columns; `empty` on standard error when there are none."""
    if not print_table_pages(table, [rows]):
        click.echo(empty, err=True)


def print_table_pages(table: Table, pages: Iterable[Sequence[Mapping[str, Any]]]) -> int:
    """The rows of all pages under one head; how many there were."""
    fitted = fit(table.columns, width(), gap=2)
    printed = 0
    for page in pages:
        lines = [_row(fitted, row) for row in page]
        if lines and not printed:
            head = _line(fitted, [one.column.label for one in fitted])
            lines.insert(0, click.style(head, bold=True))
        if lines:
            click.echo("\n".join(lines))
        printed += len(page)
    return printed


def _row(fitted: Sequence[Fitted], row: Mapping[str, Any]) -> str:
    cells = [one.column.cell(row) for one in fitted]
    texts = [
        click.style(text, **STYLES[cell.style]) if cell.style else text
        for cell, text in (
            (cell, _fill(one, cell.text)) for one, cell in zip(fitted, cells, strict=True)
        )
    ]
    return "  ".join(texts).rstrip()


def _line(fitted: Sequence[Fitted], texts: Sequence[str]) -> str:
    return "  ".join(_fill(one, text) for one, text in zip(fitted, texts, strict=True)).rstrip()


def _fill(fitted: Fitted, text: str) -> str:
    if len(text) > fitted.width:
        text = text[: max(fitted.width - 1, 0)] + "…"
    return text.rjust(fitted.width) if fitted.column.align == "right" else text.ljust(fitted.width)
