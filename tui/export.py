"""What leaves the dashboard: to the clipboard, to a file, to a pager.

In: a subject's record, or a table with what it is narrowed to. Out: JSON text, and files that only
the user may read. CSV holds the same values as JSON, in the columns of the table's view.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.cells import json_text
from analysis.listed import Narrowed, listed
from analysis.reading import Reader
from analysis.result import json_value
from analysis.table_layout import Row, Table
from tui.table_page import Sorting

PAGE_ROWS = 20_000
MAX_ROWS = 1_000_000


def record_json(row: Row) -> str:
    """The record as indented JSON."""
    return json_text({name: json_value(value) for name, value in row.items()}, indented=True)


def private_file(folder: Path, stem: str, suffix: str) -> Path:
    """A new, empty file that only the user may read, named like none that is there.

    Raises OSError.
    """
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in stem)[:60]
    for number in range(1, 10_000):
        path = folder / f"{safe}{f'-{number}' if number > 1 else ''}{suffix}"
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            continue
        return path.absolute()
    raise FileExistsError(f"{folder} is full of {safe}{suffix}")


@dataclass(frozen=True, slots=True)
class TableExport:
    """All rows of a table that fit, as CSV in `path`. Its answer is how many were written."""

    table: Table
    session_id: str | None
    where: str
    sorting: Sorting
    path: Path

    def read(self, reader: Reader) -> int:
        """Write the file. Raises BadFilter, OSError."""
        written = 0
        with self.path.open("w", encoding="utf-8", newline="") as file:
            for page in self._pages(reader):
                file.write(page[0])
                written += page[1]
        return written

    def _pages(self, reader: Reader) -> Iterator[tuple[str, int]]:
        for offset in range(0, MAX_ROWS, PAGE_ROWS):
            narrowed = Narrowed(
                session_id=self.session_id if self.table.has_session else None,
                where=self.where,
                sort=self.sorting.column,
                reverse=self.sorting.reverse,
                limit=PAGE_ROWS,
                offset=offset,
            )
            found = listed(reader, self.table, narrowed, fields=", ".join(self.table.fields)).rows
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            if not offset:
                writer.writerow(found.columns)
            for row in found:
                values = zip(row, found.types, strict=True)
                writer.writerow([_cell(json_value(value, kind)) for value, kind in values])
            yield text.getvalue(), len(found)
            if len(found) < PAGE_ROWS:
                return


def _cell(value: Any) -> Any:
    """Empty when not known; lists and objects as JSON."""
    if isinstance(value, bool):
        return str(value).lower()
    return json_text(value) if isinstance(value, dict | list) else value
