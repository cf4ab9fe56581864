"""Sparklines and plots: sizes, unknown values, hostile ones."""

from __future__ import annotations

import math
import random

from tui.plotting import Series, line_plot, resampled, sparkline

TIMES = ("09:00", "09:30", "10:00")


def drawn(*series: Series, width: int = 40, height: int = 10) -> list[str]:
    lines = line_plot(series, width, height, label=lambda value: f"{value:g}", times=TIMES)
    return ["".join(text for text, _ in line) for line in lines]


def test_sparkline() -> None:
    assert sparkline([0, 1, 7], 3) == "▁▂█"
    assert sparkline([0, None, 2], 5) == "  ▁ █"  # the newest is at the right
    assert sparkline([], 4) == "    "
    assert sparkline([0, 0], 2) == "▁▁"
    assert sparkline([math.nan, math.inf, 1.0], 3) == "  █"
    assert resampled([1, 3, None, None, 5, 7], 3) == [2, None, 6]


def test_line_plot_has_axes_and_all_of_the_range() -> None:
    lines = drawn(Series("a", tuple(float(at) for at in range(101))))
    assert len(lines) == 9  # an odd number of rows, the axis, the times
    assert lines[0].startswith("100┤")
    assert lines[3].startswith(" 50┤")
    assert lines[6].startswith("  0┤")
    assert lines[-1].split() == list(TIMES)
    assert all(len(line) <= 40 for line in lines)
    assert lines[0].rstrip()[-1] not in " │┤"  # it ends at the top right...
    assert lines[6][4] != " "  # ...and begins at the bottom left


def test_what_is_not_known_is_a_gap() -> None:
    values = (5.0,) * 10 + (None,) * 20 + (5.0,) * 10
    line = drawn(Series("a", values), width=43)[0]
    inside = line.split("┤")[1]
    assert inside[:9].strip()
    assert not inside[12:28].strip()
    assert inside[32:].strip()


def test_any_numbers_and_sizes_fit() -> None:
    dice = random.Random(7)
    odd = (None, 0.0, -3.0, 1e300, 5e-324, math.nan, math.inf, 1.0)
    for width in range(0, 90, 7):
        for height in range(0, 20, 3):
            series = [
                Series(str(at), tuple(dice.choice(odd) for _ in range(dice.randrange(200))))
                for at in range(dice.randrange(8))
            ]
            lines = drawn(*series, width=width, height=height)
            assert len(lines) <= height
            assert all(len(line) <= width for line in lines)
