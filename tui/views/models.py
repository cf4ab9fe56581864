"""View 8: models and money: a table by model, agent, session or day, and one measure over time.

In: `analysis.model_use.ModelUse`. Out: the table, what was wasted and how fast money goes, and a
plot of the groups that cost most. Plots are drawn by `tui.plotting`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Static

from analysis import cells
from analysis.columns import CALLS
from analysis.model_use import MODEL_USE, RANGES, SPANS, Line, ModelUse, model_use
from analysis.reading import Reader
from analysis.spend import By
from analysis.table_layout import Row, Table
from tui.keys import bind
from tui.messages import RowOpened, SortAsked
from tui.plotting import COLOURS, Series, line_plot
from tui.table_page import Sorting, TablePage
from tui.view import Scope, Subject, View
from tui.widgets.row_table import RowTable

_GROUPS: tuple[By, ...] = ("model", "agent", "session", "day")
_START_RANGE = 3  # a day
_NS = 1_000_000_000
_MUTED = "$text-muted"
_LEAST_RATE_HOURS = 1 / 60
_LEAST_TABLE_LINES = 4  # with its header


@dataclass(frozen=True, slots=True)
class Measure:
    """What is plotted: its name, how its axis is labelled, and its values of a line, whose spans
    are so many hours long."""

    name: str
    label: Callable[[float], str]
    values: Callable[[Line, float], tuple[float | None, ...]]


def _added_up(line: Line, _hours: float) -> tuple[float | None, ...]:
    return tuple(accumulate(usd or 0.0 for usd in line.cost_usd))


def _cost_rate(line: Line, hours: float) -> tuple[float | None, ...]:
    """Over a minute at least. A span without a call cost nothing."""
    held = max(1, math.ceil(_LEAST_RATE_HOURS / hours))
    if held > len(line.cost_usd):
        return (None,) * len(line.cost_usd)
    sums = [0.0, *accumulate(usd or 0.0 for usd in line.cost_usd)]
    return tuple(
        (sums[at] - sums[at - held]) / (held * hours) if at >= held else None
        for at in range(1, len(sums))
    )


_MEASURES = (
    Measure("cost", lambda v: cells.dollars(v).text, _added_up),
    Measure("cost an hour", lambda v: f"${v:,.2f}", _cost_rate),
    Measure("median latency", lambda v: cells.duration(v).text, lambda line, _: line.p50_ms),
    Measure("p95 latency", lambda v: cells.duration(v).text, lambda line, _: line.p95_ms),
    Measure("tokens/s", lambda v: f"{v:,.0f}", lambda line, _: line.tokens_per_s),
    Measure("cache hit rate", lambda v: f"{v:.0%}", lambda line, _: line.cache_hit_rate),
)


@dataclass(frozen=True, slots=True)
class ModelsQuestion:
    """What models, agents, sessions or days took in a range of time."""

    by: By
    range_s: int | None
    session_id: str | None
    where: str

    def read(self, reader: Reader) -> ModelUse:
        """Raises `UnderglassError`."""
        return model_use(reader, self.by, self.range_s, self.session_id, self.where)


class ModelsView(View):
    """Models and money, in numbers and over time."""

    NAME: ClassVar[str] = "models"
    LABEL: ClassVar[str] = "Models"
    ABOUT: ClassVar[str] = "Cost, latency, pace and cache hits by model, agent, session or day."
    DEFAULT_CSS = """
    ModelsView { height: 1fr; layout: vertical; }
    ModelsView > RowTable { height: 8; }
    ModelsView > #money { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    ModelsView > #plot { height: 1fr; text-wrap: nowrap; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("measure"),
        bind("group"),
        bind("range"),
        bind("sort"),
        bind("reverse"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._answer: ModelUse | None = None
        self._measure = 0
        self._by: By = "model"
        self._range = _START_RANGE
        self._sorting = Sorting()
        self._anew = True

    def compose(self) -> ComposeResult:
        """Table, money, plot."""
        yield RowTable(MODEL_USE)
        yield Static("", id="money", markup=False)
        yield Static("", id="plot", markup=False)

    @property
    def table(self) -> Table:
        """The filter is on the calls that are summed up."""
        return CALLS

    @property
    def rows(self) -> RowTable:
        """The groups."""
        return self.query_one(RowTable)

    def question(self, scope: Scope) -> ModelsQuestion:
        """The sums of the range, of one session or of all."""
        return ModelsQuestion(self._by, RANGES[self._range][1], scope.session_id, scope.where)

    def show(self, answer: ModelUse, scope: Scope) -> None:
        """Draw sums and lines."""
        if answer == self._answer and not self._anew:
            return
        self._answer = answer
        self._draw()

    def empty(self) -> bool:
        """Whether there is no call at all."""
        return self._answer is not None and self._answer.until_ns is None

    def caption(self) -> Content:
        """By what, and of which time."""
        if self._answer is None:
            return Content(self.LABEL)
        name, seconds = RANGES[self._range]
        count = len(self._answer.rows) + self._answer.left_out
        when = "all that is stored" if seconds is None else f"{name} up to the last call"
        cut = f", dearest {len(self._answer.rows):,}" if self._answer.left_out else ""
        plural = "s" if count != 1 else ""
        return Content(f"{count:,} {self._by}{plural}{cut}  {when}")

    def subject(self) -> Subject | None:
        """The group under the cursor; by session, the session."""
        row = self.rows.current
        if row is None:
            return None
        if self._answer is not None and self._answer.by == "session" and row["key"]:
            return Subject("session", row["key"], row, MODEL_USE)
        return Subject("row", f"{row['key']} {row['label'] or ''}".strip(), row, MODEL_USE)

    def action_measure(self) -> None:
        """Plot the next measure."""
        self._measure = (self._measure + 1) % len(_MEASURES)
        self._draw_plot()

    def action_group(self) -> None:
        """Sum up by something else."""
        self._by = _GROUPS[(_GROUPS.index(self._by) + 1) % len(_GROUPS)]
        self._sorting = Sorting()
        self._ask()

    def action_range(self) -> None:
        """Look at another range of time."""
        self._range = (self._range + 1) % len(RANGES)
        self._ask()

    def action_sort(self) -> None:
        """Sort by the next column that is on the screen; after the last by cost again."""
        keys = (None, *self.rows.visible_columns)
        at = keys.index(self._sorting.column) if self._sorting.column in keys else 0
        self._sort(Sorting(keys[(at + 1) % len(keys)]))

    def action_reverse(self) -> None:
        """Turn the order round."""
        self._sort(Sorting(self._sorting.column, not self._sorting.reverse))

    def on_sort_asked(self, message: SortAsked) -> None:
        """Sort by a column; once more turns it round."""
        message.stop()
        same = message.column == self._sorting.column
        self._sort(Sorting(message.column, same and not self._sorting.reverse))

    def on_row_opened(self, message: RowOpened) -> None:
        """A group was chosen."""
        message.stop()
        subject = self.subject()
        if subject is not None:
            self.post_message(self.Opened(subject))

    def on_resize(self, event: events.Resize) -> None:
        """As much plot as there is room for."""
        self._draw_plot()

    def _ask(self) -> None:
        self._anew = True
        self.post_message(self.QuestionChanged())

    def _sort(self, sorting: Sorting) -> None:
        self._sorting = sorting
        self._anew = True
        self._draw()

    def _draw(self) -> None:
        if self._answer is None:
            return
        rows = _ordered(self._answer.rows, self._sorting)
        keys = tuple((row["key"], row["label"]) for row in rows)
        table = self.rows
        table.show(TablePage(0, rows, keys, len(rows), sorting=self._sorting), anew=self._anew)
        table.following = False  # the cursor stays with its group
        self._anew = False
        self.query_one("#money", Static).update(money_content(self._answer))
        self._draw_plot()

    def _draw_plot(self) -> None:
        if self._answer is None or not self.is_mounted:
            return
        width, height = self.size
        table_lines = min(len(self._answer.rows) + 1, max(_LEAST_TABLE_LINES, height // 3))
        self.rows.styles.height = table_lines
        plot = plot_content(self._answer, _MEASURES[self._measure], width, height - table_lines - 1)
        self.query_one("#plot", Static).update(plot)


def money_content(answer: ModelUse) -> Content:
    """What all of it cost, how fast, and what of it was for nothing."""
    total, burn = answer.total, answer.burn
    cost = cells.total_cost(total["cost_usd"], total["unpriced_calls"], total["estimated_calls"])
    parts: list[str | tuple[str, str]] = [("total ", _MUTED), (cost.text, "bold")]
    rate = burn.recent_usd_per_hour
    if rate is not None:
        parts += [
            ("  burn ", _MUTED),
            (f"{cells.dollars(rate).text}/h", "bold"),
            (f" ({burn.recent_minutes} min)", _MUTED),
        ]
    for number, one in enumerate(answer.waste):
        known = one.cost_usd is not None
        text = f"{cells.dollars(one.cost_usd).text}" if known else f"{one.count:,}"
        parts += [("  wasted: " if not number else ", ", _MUTED), (f"{one.cause} ", _MUTED)]
        parts.append((text, "$text-warning"))
    if total["cache_savings_usd"]:
        parts += [("  caches saved ", _MUTED), cells.dollars(total["cache_savings_usd"]).text]
    return Content.assemble(*parts)


def plot_content(answer: ModelUse, measure: Measure, width: int, height: int) -> Content:
    """A legend and the plot under it; a word where there is nothing to plot."""
    of = "model" if answer.by == "day" else answer.by
    parts: list[str | tuple[str, str]] = [(measure.name, "bold"), (f" by {of}", _MUTED)]
    if answer.from_ns is None or answer.until_ns is None or height < 5:
        return Content.assemble(*parts) if height > 0 else Content("")
    passed_ns = max(1, answer.until_ns - answer.from_ns)
    hours = passed_ns / SPANS / (3600 * _NS)
    series = [Series(one.key, measure.values(one, hours)) for one in answer.lines]
    if not any(value is not None for one in series for value in one.values):
        return Content.assemble(*parts, ("\n\nno such number is known in this time", _MUTED))
    room = width - sum(len(part[0]) for part in parts)
    for number, one in enumerate(series):
        name = cells.one_line(one.name)
        name = name if len(name) <= 24 else name[:23] + "…"
        if room < len(name) + 4:
            parts.append((" …", _MUTED))
            break
        room -= len(name) + 4
        parts += [("  ● ", COLOURS[number % len(COLOURS)]), name]
    middle = answer.from_ns + passed_ns // 2
    lines = line_plot(
        series,
        width,
        height - 1,
        label=measure.label,
        times=(
            _when(answer.from_ns, passed_ns),
            _when(middle, passed_ns),
            _when(answer.until_ns, passed_ns),
        ),
    )
    for line in lines:
        parts += ["\n", *line]
    return Content.assemble(*parts)


def _when(at_ns: int, passed_ns: int) -> str:
    """As much of a moment as tells it apart from others in a range."""
    form = "%H:%M:%S" if passed_ns < 600 * _NS else "%H:%M"
    if passed_ns > 20 * 3600 * _NS:
        form = "%m-%d %H:%M"
    return time.strftime(form, time.localtime(at_ns / 1e9))


def _ordered(rows: Sequence[Row], sorting: Sorting) -> tuple[Row, ...]:
    """By a column: largest numbers or first words first, unknown ones last; else as they come."""
    column = MODEL_USE.column(sorting.column) if sorting.column else None
    if column is None:
        return tuple(reversed(rows)) if sorting.reverse else tuple(rows)
    known = [row for row in rows if column.value(row) is not None]
    rest = [row for row in rows if column.value(row) is None]
    descending = (column.align == "right") != sorting.reverse
    return (*sorted(known, key=column.value, reverse=descending), *rest)
