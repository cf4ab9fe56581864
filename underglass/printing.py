"""What commands print: tables that fit the terminal, or JSON. Data goes to standard output.

In: records of `analysis`, and the columns declared in `analysis.columns`. Off a terminal there is
no colour and the width is wide enough for every column.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from analysis.table_layout import Fitted, Table, fit

_STYLES: dict[str, dict[str, Any]] = {
    "good": {"fg": "green"},
    "warn": {"fg": "yellow"},
    "bad": {"fg": "red"},
    "dim": {"dim": True},
}
_WIDE = 200


def print_json(value: object) -> None:
    """Indented JSON."""
    import orjson

    text = orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
    click.echo(text.decode())


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
    if not rows:
        click.echo(empty, err=True)
        return
    fitted = fit(table.columns, width(), gap=2)
    click.echo(click.style(_line(fitted, [one.column.label for one in fitted]), bold=True))
    for row in rows:
        cells = [one.column.cell(row) for one in fitted]
        texts = [
            click.style(_fill(one, cell.text), **_STYLES.get(cell.style, {}))
            for one, cell in zip(fitted, cells, strict=True)
        ]
        click.echo("  ".join(texts).rstrip())


def _line(fitted: Sequence[Fitted], texts: Sequence[str]) -> str:
    return "  ".join(_fill(one, text) for one, text in zip(fitted, texts, strict=True)).rstrip()


def _fill(fitted: Fitted, text: str) -> str:
    if len(text) > fitted.width:
        text = text[: max(fitted.width - 1, 0)] + "…"
    return text.rjust(fitted.width) if fitted.column.align == "right" else text.ljust(fitted.width)
