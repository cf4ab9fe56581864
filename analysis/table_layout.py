"""What a table is: columns with label, width and meaning, and which of them fit a width.

In: nothing. Out: `Column`, `Table` and `fit`, of which `analysis.columns` makes the tables of the
dashboard and the command line. A column of low `priority` goes last: 1 always stays, 9 is the first
to go when the screen is narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from analysis import cells
from analysis.cells import Cell

Row = Mapping[str, Any]
GAP = 1


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `fields` are what `format` takes from a row, by default the one named `key`.

    `width` is what it needs and `max_width` what it can use, in terminal cells.
    """

    key: str
    label: str
    width: int
    description: str
    format: Callable[..., Cell] = cells.plain
    align: Literal["left", "right"] = "left"
    priority: int = 1
    max_width: int = 0
    fields: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """The fields of a row that this column shows."""
        return self.fields or (self.key,)

    def cell(self, row: Row) -> Cell:
        """The column's text for one row."""
        return self.format(*(row[field] for field in self.needs))

    def value(self, row: Row) -> Any:
        """What the column sorts by."""
        return row[self.needs[0]]


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `identity` are the fields that tell its rows apart; `newest` its time. Rows come
    by `order` first, a number of the view.
    """

    name: str
    label: str
    identity: tuple[str, ...]
    columns: tuple[Column, ...]
    newest: str = ""
    has_session: bool = True
    order: str = ""

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field that a row of this table must have."""
        needed = [*self.identity, *(["session_id"] if self.has_session else [])]
        for column in self.columns:
            needed.extend(column.needs)
        return tuple(dict.fromkeys(needed))

    def column(self, name: str) -> Column | None:
        """The column of this key or label."""
        wanted = name.lower()
        return next((c for c in self.columns if wanted in (c.key, c.label.lower())), None)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A column and the width it was given."""

    column: Column
    width: int


def fit(columns: Sequence[Column], width: int, gap: int = GAP) -> tuple[Fitted, ...]:
    """The columns that fit the width, least important left out; spare room goes to the long."""
    kept = list(columns)
    while len(kept) > 1 and sum(c.width + gap for c in kept) - gap > width:
        drop = max(range(len(kept)), key=lambda at: (kept[at].priority, at))
        del kept[drop]
    spare = width - (sum(c.width + gap for c in kept) - gap)
    widths = [c.width for c in kept]
    growing = [at for at, c in enumerate(kept) if c.max_width > c.width]
    while spare > 0 and growing:
        for at in list(growing):
            step = min(spare, max(1, spare // len(growing)), kept[at].max_width - widths[at])
            widths[at] += step
            spare -= step
            if widths[at] >= kept[at].max_width:
                growing.remove(at)
    return tuple(Fitted(c, w) for c, w in zip(kept, widths, strict=True))


def number(
    key: str,
    label: str,
    width: int,
    description: str,
    format: Callable[..., Cell] = cells.count,
    priority: int = 1,
    fields: tuple[str, ...] = (),
) -> Column:
    """A column of numbers, aligned to the right."""
    return Column(key, label, width, description, format, "right", priority, fields=fields)
