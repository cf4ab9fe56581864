"""Numbers over time drawn with characters: sparklines, and lines of braille dots under axes.

In: values in order of time; None where nothing is known. Out: text with the names of styles, for a
`Content`. Pure. A cell of braille is 2 dots wide and 4 high.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_BLOCKS = "▁▂▃▄▅▆▇█"
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # by column, from the top
_BRAILLE = 0x2800
_AXIS = "$text-muted"
COLOURS = (
    "$text-primary", "$text-success", "$text-warning", "$text-error", "$text-accent",
    "$text-secondary",
)  # fmt: skip
"""Of the series, in their order."""

Piece = tuple[str, str]
"""Text and its style."""
Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a plot; all lines of one have as many values, at the same times."""

    name: str
    values: tuple[float | None, ...]


def resampled(values: Values, width: int) -> list[float | None]:
    """At most `width` values: each the mean of what is known in its part."""
    if width < 1:
        return []
    if len(values) <= width:
        return list(values)
    parts = []
    for at in range(width):
        some = values[at * len(values) // width : (at + 1) * len(values) // width]
        known = [value for value in some if value is not None]
        parts.append(sum(known) / len(known) if known else None)
    return parts


def sparkline(values: Values, width: int) -> str:
    """Exactly `width` cells, the newest value last. Zero is the lowest block, unknown is empty."""
    shown = resampled(values, width)
    top = max((value for value in shown if value is not None and math.isfinite(value)), default=0)
    return "".join(_block(value, top) for value in shown).rjust(width)


def _block(value: float | None, top: float) -> str:
    if value is None or not math.isfinite(value):
        return " "
    if value <= 0 or top <= 0:
        return _BLOCKS[0]
    return _BLOCKS[max(1, min(7, round(value / top * 7)))]


def line_plot(
    series: Sequence[Series],
    width: int,
    height: int,
    *,
    label: Callable[[float], str],
    times: tuple[str, str, str],
) -> list[list[Piece]]:
    """`height` lines of at most `width` cells: the plot, an axis, its times.

    `label` writes a value of the vertical axis, which begins at 0; `times` are those of the first
    value, the middle and the last. Too small for a plot: no lines.
    """
    rows = height - 2 - (height - 2 + 1) % 2  # odd, so that half of the top has a row
    top = _nice(max((v or 0.0 for one in series for v in one.values if _known(v)), default=0.0))
    labels = {0: label(top), rows // 2: label(top / 2), rows - 1: label(0)}
    margin = max(map(len, labels.values()))
    columns = width - margin - 1
    if rows < 3 or columns < 8:
        return []
    dots, colours = _canvas(series, columns, rows, top)
    lines: list[list[Piece]] = []
    for y in range(rows):
        pieces: list[Piece] = [
            (f"{labels.get(y, ''):>{margin}}{'┤' if y in labels else '│'}", _AXIS)
        ]
        for x in range(columns):
            pieces.append((chr(_BRAILLE + dots[y][x]) if dots[y][x] else " ", colours[y][x]))
        lines.append(_joined(pieces))
    lines.append([(" " * margin + "└" + "─" * columns, _AXIS)])
    lines.append([(" " * (margin + 1) + _spread(times, columns), _AXIS)])
    return lines


def _canvas(
    series: Sequence[Series], columns: int, rows: int, top: float
) -> tuple[list[list[int]], list[list[str]]]:
    """Dots by row and column of cells, and the style of each cell: that of the last line in it."""
    dots = [[0] * columns for _ in range(rows)]
    colours = [[""] * columns for _ in range(rows)]

    def dot(x: int, y: int, colour: str) -> None:
        cell_x, cell_y = x // 2, y // 4
        if 0 <= cell_x < columns and 0 <= cell_y < rows:
            dots[cell_y][cell_x] |= _DOTS[x % 2][y % 4]
            colours[cell_y][cell_x] = colour

    for number, one in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        values = resampled(one.values, columns * 2)
        last: tuple[int, int] | None = None
        for at, value in enumerate(values):
            if value is None or not _known(value):
                last = None
                continue
            x = round(at * (columns * 2 - 1) / max(1, len(values) - 1))
            y = round((rows * 4 - 1) * (1 - min(1.0, value / top if top else 0.0)))
            for each in _line(last or (x, y), (x, y)):
                dot(*each, colour)
            last = (x, y)
    return dots, colours


def _line(a: tuple[int, int], b: tuple[int, int]) -> list[tuple[int, int]]:
    steps = max(abs(b[0] - a[0]), abs(b[1] - a[1]), 1)
    return [
        (round(a[0] + (b[0] - a[0]) * at / steps), round(a[1] + (b[1] - a[1]) * at / steps))
        for at in range(steps + 1)
    ]


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value >= 0


def _nice(top: float) -> float:
    """The next number with one digit, or 1.5 or 15...; 1 for nothing."""
    if not top:
        return 1.0
    power = 10.0 ** math.floor(math.log10(top))
    return next(
        (step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= top * 0.9999),
        top,
    )


def _spread(texts: tuple[str, str, str], width: int) -> str:
    """Left, in the middle, and right; what does not fit is left out."""
    first, middle, last = texts
    if len(first) + len(last) + 1 > width:
        return first[:width]
    gap = width - len(first) - len(last)
    if len(middle) + 2 > gap:
        return first + " " * gap + last
    before = max(1, width // 2 - len(middle) // 2 - len(first))
    before = min(before, gap - len(middle) - 1)
    return first + " " * before + middle + " " * (gap - before - len(middle)) + last


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours of one style together."""
    joined: list[Piece] = []
    for text, style in pieces:
        if joined and joined[-1][1] == style:
            joined[-1] = (joined[-1][0] + text, style)
        else:
            joined.append((text, style))
    return joined
