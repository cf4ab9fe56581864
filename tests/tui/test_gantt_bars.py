"""Bars and axis of the timeline as text."""

from __future__ import annotations

import pytest

from analysis.gantt import PARTS, GanttRow, Stretch, What
from tui.gantt_bars import axis, bar, offset, shares

S = 1_000_000_000
MS = 1_000_000


def row(*stretches: tuple[float, float, What], ended: bool = True) -> GanttRow:
    made = tuple(Stretch(int(a * S), int(b * S), what) for a, b, what in stretches)
    end_ns = made[-1].end_ns if ended else None
    return GanttRow(
        0, "call", "c", "s", made[0].start_ns, end_ns, None, None, None, None, None, None, False,
        made,
    )  # fmt: skip


def text(of: GanttRow, begin: float, until: float, width: int = 10) -> str:
    parts = bar(of, int(begin * S), int(until * S), width)
    drawn = "".join(piece for piece, _ in parts)
    assert len(drawn) == width
    return drawn


CALL = row((1, 3, "queue"), (3, 6, "generation"), (6, 8, "stall"), (8, 9, "generation"))


def test_each_kind_of_time_has_its_shade() -> None:
    assert text(CALL, 0, 10) == " ░░▌██▒▒█ "
    assert text(row((2, 4, "tools")), 0, 10) == "  ━━      "
    assert text(row((2, 4, "human")), 0, 10) == "  ··      "
    assert text(row((2, 4, "retry")), 0, 10) == "  ××      "
    assert text(row((2, 4, "process")), 0, 10) == "  ──      "
    assert dict(bar(CALL, 0, 10 * S, 10))["▒▒"] == "stall"


def test_what_is_short_is_seen_and_what_is_outside_is_pointed_at() -> None:
    assert text(row((5, 5.0001, "tools")), 0, 1000) == "━         "
    assert text(row((10, 10, "finding")), 0, 10) == "         ◆"
    assert text(CALL, 20, 30) == "‹         "
    assert text(CALL, 0, 0.5) == "         ›"
    assert text(CALL, 6, 8) == "▒▒▒▒▒▒▒▒▒█", "a part of it"
    assert text(row((0, 4, "queue"), ended=False), 0, 10) == "░░░░▸     "
    assert bar(CALL, 0, 10, 0) == []


@pytest.mark.parametrize(
    ("span", "labels"),
    [
        (10 * S, ["0", "2s", "4s", "6s", "8s"]),
        (90 * S, ["0", "15s", "30s", "45s", "1m", "1m15s"]),
        (3 * 3600 * S, ["0", "30m", "1h", "1h30m", "2h", "2h30m"]),
        (500 * MS, ["0", "0.1s", "0.2s", "0.3s", "0.4s"]),
        (5 * MS, ["0", "1ms", "2ms", "3ms", "4ms"]),
        (100 * 24 * 3600 * S, ["0", "720h", "1440h", "2160h"]),
    ],
)
def test_the_axis_has_round_ticks(span: int, labels: list[str]) -> None:
    line = axis(7 * S, 7 * S + span, 7 * S, 64)
    assert len(line) == 64
    assert list(line.replace("╵", " ").split()) == labels
    assert axis(7 * S, 7 * S, 7 * S, 64).strip() == "╵0", "no time at all"


def test_the_window_counts_from_the_origin() -> None:
    assert "╵1m10s" in axis(65 * S, 85 * S, 0, 40)
    assert offset(-1500 * MS, 100 * MS) == "-1.5s"
    assert offset(61_500 * MS, 100 * MS) == "1m1.5s"
    assert [offset(at * 30 * S, 30 * S) for at in (120, 121, 122)] == ["1h", "1h00m30s", "1h01m00s"]


def test_no_part_of_the_time_is_lost_in_the_sum() -> None:
    by_part = {str(part): 0 for part in PARTS} | {"queue": 10_000, "stall": 1, "idle": 5000}
    drawn = shares(by_part, 30)
    assert sum(len(piece) for piece, _ in drawn) == 30
    assert [piece[0] for piece, _ in drawn] == ["░", "▒", " "]
    assert shares({str(part): 0 for part in PARTS}, 30) == []
