"""View 1: what goes on now: a line a session with its state, and the rates of the last minutes.

In: `analysis.overview.Overview`. Out: sums with sparklines, the sessions as a tree in a
`RowTable`, and the findings that were seen last.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from analysis import cells
from analysis.overview import SPAN_NS, SPANS, LatestFinding, Overview, overview, table_row
from analysis.reading import Reader
from analysis.session_states import SessionState
from analysis.state_columns import STATES, pace
from analysis.table_layout import Row, Table
from tui.keys import bind
from tui.messages import RowOpened, SortAsked
from tui.plotting import sparkline
from tui.table_page import Sorting, TablePage
from tui.view import Scope, Subject, View
from tui.widgets.row_table import RowTable

_WIDE_COLUMNS = 150
_BESIDE_COLUMNS = 48
_BELOW_LINES = 3
_LEAST_LINES_FOR_BELOW = 15
_TILE_GAP = 2
_SEVERITY = {"critical": "bold $text-error", "warning": "$text-warning"}
_MUTED = "$text-muted"
_MINUTES = SPANS * SPAN_NS // 60_000_000_000


@dataclass(frozen=True, slots=True)
class OverviewQuestion:
    """What goes on, of all sessions or of one."""

    session_id: str | None
    where: str

    def read(self, reader: Reader) -> Overview:
        """Raises `UnderglassError`."""
        return overview(reader, self.session_id, self.where)


class OverviewView(View):
    """Sessions, their states, and what they use up."""

    NAME: ClassVar[str] = "overview"
    LABEL: ClassVar[str] = "Overview"
    ABOUT: ClassVar[str] = "What every session is doing now, what it uses up, what was found."
    DEFAULT_CSS = """
    OverviewView { height: 1fr; }
    OverviewView > #totals { height: 2; text-wrap: nowrap; }
    OverviewView > #body { height: 1fr; layout: vertical; }
    OverviewView > #body > #findings { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    OverviewView.-wide > #body { layout: horizontal; }
    OverviewView.-wide > #body > #findings { width: 48; height: 1fr; padding: 0 0 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("sort"),
        bind("reverse"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._answer: Overview | None = None
        self._scope = Scope()
        self._sorting = Sorting()

    def compose(self) -> ComposeResult:
        """Sums above, sessions below, findings beside or below them."""
        yield Static("", id="totals", markup=False)
        with Container(id="body"):
            yield RowTable(STATES, id="sessions")
            yield Static("", id="findings", markup=False)

    def on_mount(self) -> None:
        """Ages grow by themselves."""
        self.set_interval(1.0, self._tick)

    @property
    def table(self) -> Table:
        """The columns of the sessions."""
        return STATES

    @property
    def rows(self) -> RowTable:
        """The sessions."""
        return self.query_one("#sessions", RowTable)

    def question(self, scope: Scope) -> OverviewQuestion:
        """What goes on."""
        return OverviewQuestion(scope.session_id, scope.where)

    def show(self, answer: Overview, scope: Scope) -> None:
        """Draw what goes on."""
        self._answer, self._scope = answer, scope
        self._show_sessions()
        self._show_sums()

    def empty(self) -> bool:
        """Whether there is no session to show."""
        return self._answer is not None and not self._answer.states.sessions

    @property
    def hidden(self) -> int | None:
        """How many sessions the filter hides."""
        return None if self._answer is None else self._answer.filtered

    def caption(self) -> Content:
        """How many sessions, and how many of them go on."""
        if self._answer is None:
            return Content("")
        states = self._answer.states
        shown, going = len(states.sessions), sum(one.goes_on for one in states.sessions)
        more = states.total > shown + self._answer.filtered and self._scope.session_id is None
        count = f"{shown:,}{f' of {states.total:,}' if more else ''} session{'s' * (shown != 1)}"
        parts: list[str | tuple[str, str]] = [count]
        if states.live:
            parts.append((f", {going:,} going on", "$text-success" if going else _MUTED))
        else:
            parts.append((", as they were left: nothing is captured now", _MUTED))
        if self._sorting.column is not None:
            parts.append((f", by {STATES.column(self._sorting.column).label}", _MUTED))  # type: ignore[union-attr]
        return Content.assemble(*parts)

    def subject(self) -> Subject | None:
        """The session under the cursor."""
        row = self.rows.current
        return None if row is None else Subject("session", row["session_id"], row, STATES)

    def action_sort(self) -> None:
        """Sort by the next column that is on the screen; after the last, as a tree again."""
        columns: list[str | None] = [None, *self.rows.visible_columns]
        at = columns.index(self._sorting.column) if self._sorting.column in columns else 0
        self._sort(Sorting(columns[(at + 1) % len(columns)]))

    def action_reverse(self) -> None:
        """Turn the order round."""
        if self._sorting.column is not None:
            self._sort(Sorting(self._sorting.column, not self._sorting.reverse))

    def on_sort_asked(self, message: SortAsked) -> None:
        """A header was clicked; again turns round."""
        message.stop()
        same = message.column == self._sorting.column
        self._sort(Sorting(message.column, same and not self._sorting.reverse))

    def on_row_opened(self, message: RowOpened) -> None:
        """A session was chosen."""
        message.stop()
        subject = self.subject()
        if subject is not None:
            self.post_message(self.Opened(subject))

    def on_resize(self, event: events.Resize) -> None:
        """Findings stand beside where there is room."""
        self.set_class(event.size.width >= _WIDE_COLUMNS, "-wide")
        self._show_sums()

    def _tick(self) -> None:
        if self.display:
            self._show_sessions()

    def _sort(self, sorting: Sorting) -> None:
        self._sorting = sorting
        self._show_sessions(anew=True)
        self.post_message(self.QuestionChanged())

    def _show_sessions(self, *, anew: bool = False) -> None:
        if self._answer is None or not self._answer.states.sessions:
            return
        table = self.rows
        rows = _ordered(self._answer.states.sessions, self._sorting, self._now_ns())
        keys = tuple((row["session_id"],) for row in rows)
        at_top = table.first_line == 0
        table.show(
            TablePage(0, rows, keys, len(rows), sorting=self._sorting),
            anew=anew or not table.page.rows,
        )
        table.following = False  # the cursor stays with its session, at the top, too
        if at_top and table.cursor < table.room:  # ...but what comes above it is seen
            table.scroll_to(y=0, animate=False, force=True, immediate=True)

    def _now_ns(self) -> int:
        """The dashboard's time, from which ages count."""
        feed = getattr(self.app, "feed", None)
        moment = None if feed is None else feed.now or feed.checked_at
        return time.time_ns() if moment is None else int(moment.timestamp() * 1e9)

    def _show_sums(self) -> None:
        if self._answer is None or not self.is_mounted:
            return
        width, height = self.size
        self.query_one("#totals", Static).update(totals_content(self._answer, width))
        room = (height - 2, _BESIDE_COLUMNS - 1)
        if not self.has_class("-wide"):
            room = (_BELOW_LINES if height >= _LEAST_LINES_FOR_BELOW else 0, width)
        found = self.query_one("#findings", Static)
        found.display = bool(room[0] and self._answer.findings) or self.has_class("-wide")
        found.update(findings_content(self._answer.findings, *room))


def totals_content(answer: Overview, width: int) -> Content:
    """Two lines: sums with their names, and how they went in the last minutes."""
    sums, rates = answer.sums, answer.rates
    tokens = cells.partly_estimated(
        (sums.input_tokens or 0) + (sums.output_tokens or 0), sums.estimated_calls
    )
    cost = cells.total_cost(sums.cost_usd, sums.unpriced_calls, sums.estimated_calls)
    now = rates.tokens_per_s[-1] if rates.tokens_per_s else None
    tiles: tuple[tuple[str, str, str, Sequence[float]], ...] = (
        ("tok/s", pace(now).text, f"{tokens.text} tokens", rates.tokens_per_s),
        ("calls", cells.tokens(sums.calls).text, f"{sums.open_calls:,} open", rates.calls),
        ("cost", cost.text, f"{_recent(rates.cost_usd)}/h", rates.cost_usd),
        ("errors", f"{sums.errors:,}", f"last {_MINUTES} min", rates.errors),
    )
    room = max(8, (width + _TILE_GAP) // len(tiles) - _TILE_GAP)
    above: list[str | tuple[str, str]] = []
    below: list[str | tuple[str, str]] = []
    for number, (name, value, aside, values) in enumerate(tiles):
        gap = " " * _TILE_GAP if number else ""
        bad = name == "errors" and sums.errors > 0
        text = (
            f"{name} {value} {aside}"
            if len(f"{name} {value} {aside}") <= room
            else f"{name} {value}"
        )
        shown_aside = text[len(f"{name} {value}") :]
        above += [
            (f"{gap}{name} ", _MUTED),
            (value, "bold $text-error" if bad else "bold"),
            (shown_aside.ljust(room - len(f"{name} {value}")), _MUTED),
        ]
        colour = "$text-error" if name == "errors" else "$text-primary"
        below += [(gap + sparkline(values, room), colour)]
    return Content.assemble(*above, "\n", *below)


def findings_content(findings: Sequence[LatestFinding], lines: int, width: int) -> Content:
    """The findings seen last, a line each, under a heading where there is room for one."""
    if not lines:
        return Content("")
    parts: list[str | tuple[str, str]] = []
    heading = lines > _BELOW_LINES
    if heading:
        parts.append(("Latest findings", "bold"))
    if not findings:
        return Content.assemble(*parts, ("\nnone", _MUTED))
    for one in findings[: lines - heading]:
        when = (
            "–"
            if one.last_ns is None
            else time.strftime("%H:%M", time.localtime(one.last_ns / 1e9))
        )
        text = cells.one_line(one.title)
        room = max(1, width - len(when) - 1)
        parts += [
            "\n" if parts else "",
            (f"{when} ", _MUTED),
            (
                text if len(text) <= room else text[: room - 1] + "…",
                _SEVERITY.get(one.severity, ""),
            ),
        ]
    return Content.assemble(*parts)


def _recent(cost_usd: Sequence[float]) -> str:
    """What the last minutes would cost in an hour."""
    return cells.dollars(sum(cost_usd) * 60 / _MINUTES).text if cost_usd else "–"


def _ordered(sessions: Iterable[SessionState], sorting: Sorting, now_ns: int) -> tuple[Row, ...]:
    """As a tree, or by a column: its largest numbers or first words first, unknown ones last."""
    rows = [table_row(one, now_ns) for one in sessions]
    column = sorting.column and STATES.column(sorting.column)
    if not column:
        return tuple(rows)
    known = [{**row, "depth": 0} for row in rows if column.value(row) is not None]
    rest = [{**row, "depth": 0} for row in rows if column.value(row) is None]
    descending = (column.align == "right") != sorting.reverse
    return (*sorted(known, key=column.value, reverse=descending), *rest)
