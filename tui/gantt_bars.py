"""Bars and the axis of the timeline, as text.

In: stretches of time and the window that is looked at, in nanoseconds. Out: runs of characters
with a word of style. Each kind of time has a character of its own, so that bars can be read without
colour, too. Pure; drawn by `tui.views.timeline`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from analysis.gantt import PARTS, GanttRow
from tui.widgets.line_list import Part

SHADES: Mapping[str, tuple[str, str]] = {
    "queue": ("░", "queue"),
    "generation": ("█", "generation"),
    "stall": ("▒", "stall"),
    "tools": ("━", "tools"),
    "human": ("·", "human"),
    "retry": ("×", "retry"),
    "process": ("─", "process"),
    "finding": ("◆", "warn"),
    "idle": (" ", "dim"),
}
"""What stands for a kind of time, and its style."""
LABELS: Mapping[str, str] = {
    "queue": "model",
    "generation": "output",
    "stall": "stall",
    "tools": "tools",
    "human": "human",
    "retry": "retry",
    "idle": "idle",
}
_FIRST_TOKEN = "▌"
_MS = 1_000_000
_SECOND = 1000 * _MS
_STEPS_NS = (
    *(digit * power * 1000 for power in (1, 10, 100) for digit in (1, 2, 5)),
    *(digit * power * _MS for power in (1, 10, 100) for digit in (1, 2, 5)),
    *(seconds * _SECOND for seconds in (1, 2, 5, 10, 15, 30)),
    *(minutes * 60 * _SECOND for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * 3600 * _SECOND for hours in (1, 2, 3, 6, 12, 24, 48, 96, 240, 720)),
)
_TICK_CELLS = 10


def bar(row: GanttRow, begin_ns: int, until_ns: int, width: int) -> list[Part]:
    """The row's bar in a window of time, `width` cells. What lies outside is pointed at."""
    if width < 1:
        return []
    cells: list[tuple[str, str]] = [(" ", "")] * width
    first, last = row.stretches[0], row.stretches[-1]
    if last.end_ns < begin_ns:
        cells[0] = ("‹", "dim")
    elif first.start_ns > until_ns:
        cells[-1] = ("›", "dim")
    else:
        for number, stretch in enumerate(row.stretches):
            if stretch.end_ns < begin_ns or stretch.start_ns > until_ns:
                continue
            start = cell_at(stretch.start_ns, begin_ns, until_ns, width)
            end = cell_at(stretch.end_ns, begin_ns, until_ns, width)
            shade = SHADES[stretch.what]
            before = row.stretches[number - 1] if number else None
            waited = before is not None and before.what == "queue" and stretch.start_ns >= begin_ns
            for at in range(start, max(end, start + 1)):
                cells[at] = shade
            if waited and stretch.what == "generation" and end - start > 1:
                cells[start] = (_FIRST_TOKEN, shade[1])
        if row.end_ns is None and last.end_ns <= until_ns:
            cells[cell_at(last.end_ns, begin_ns, until_ns, width)] = ("▸", "good")
    return runs(cells)


def cell_at(at_ns: int, begin_ns: int, until_ns: int, width: int) -> int:
    """The cell of a moment, the nearest one for moments outside."""
    span = max(1, until_ns - begin_ns)
    return max(0, min(width - 1, (at_ns - begin_ns) * width // span))


def runs(cells: Sequence[tuple[str, str]]) -> list[Part]:
    """Cells of the same style together."""
    return [
        ("".join(text for text, _ in together), style)
        for style, together in groupby(cells, key=lambda cell: cell[1])
    ]


def axis(begin_ns: int, until_ns: int, origin_ns: int, width: int) -> str:
    """Ticks with the time since the origin, at round distances."""
    span = max(1, until_ns - begin_ns)
    least = span * _TICK_CELLS / max(1, width)
    step = next((each for each in _STEPS_NS if each >= least), _STEPS_NS[-1])
    if step < least:
        step *= -(-int(least) // step)
    line = [" "] * width
    at = -(-(begin_ns - origin_ns) // step) * step
    while at + origin_ns <= until_ns:
        label = "╵" + offset(at, step)
        cell = cell_at(at + origin_ns, begin_ns, until_ns, width)
        if cell + len(label) <= width:
            line[cell : cell + len(label)] = label
        at += step
    return "".join(line)


def offset(ns: int, step_ns: int) -> str:
    """Time since the origin, as exact as the step between ticks asks for."""
    if ns == 0:
        return "0"
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    if step_ns < 10 * _MS and ns < _SECOND:
        return f"{sign}{ns / _MS:g}ms"
    if step_ns < _SECOND:
        minutes, rest = divmod(ns, 60 * _SECOND)
        digits = 3 if step_ns < 10 * _MS else 2 if step_ns < 100 * _MS else 1
        seconds = f"{rest / _SECOND:.{digits}f}s"
        return f"{sign}{minutes}m{seconds}" if minutes else sign + seconds
    seconds_whole = ns // _SECOND
    minutes, second = divmod(seconds_whole, 60)
    if minutes < 60:
        tail = f"{second:02}s" if minutes and second else "" if minutes else f"{second}s"
        return f"{sign}{minutes}m{tail}" if minutes else sign + tail
    hours, minute = divmod(minutes, 60)
    tail = f"{minute:02}m{second:02}s" if step_ns < 60 * _SECOND else f"{minute:02}m"
    return f"{sign}{hours}h{tail}" if minute or second else f"{sign}{hours}h"


def shares(by_part: Mapping[str, int], width: int) -> list[Part]:
    """One bar of all the parts, each as long as its share; none that is not 0 is lost."""
    total = sum(by_part.values())
    if not total or width < len(PARTS):
        return []
    there = [part for part in PARTS if by_part[part]]
    lengths = {part: max(1, by_part[part] * width // total) for part in there}
    longest = max(there, key=lambda part: lengths[part])
    lengths[longest] += width - sum(lengths.values())
    return [(SHADES[part][0] * lengths[part], SHADES[part][1]) for part in there]
