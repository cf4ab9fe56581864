"""View 7: what fills the requests of a session, and how it grew.

In: `analysis.context_fill`: without a session the sessions with the fullest contexts, with one its
requests. Out: a table, or a bar of parts for each request, and what is largest in the one under the
cursor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import ContentSwitcher, Static

from analysis import cells
from analysis.context_anatomy import parts_of, sent_again
from analysis.context_fill import FULLEST, Fullest, SessionContext, fullest, session_context
from analysis.reading import Reader
from analysis.result import Record
from analysis.state_columns import bar, fill
from analysis.table_layout import Table
from tui.keys import bind
from tui.messages import RowOpened, SortAsked
from tui.table_page import Sorting, TablePage
from tui.view import Scope, Subject, View
from tui.widgets.context_bars import ContextBars, last_request, legend
from tui.widgets.line_list import LineList
from tui.widgets.row_table import RowTable

_WIDE_COLUMNS = 130
_BELOW_LINES = 7
_NAME_CELLS = 26
_MUTED = "$text-muted"


@dataclass(frozen=True, slots=True)
class ContextQuestion:
    """The requests of a session; without one the fullest sessions that fit a filter."""

    session_id: str | None
    where: str

    def read(self, reader: Reader) -> SessionContext | Fullest:
        """Raises `UnderglassError`."""
        if self.session_id is None:
            return fullest(reader, self.where)
        return session_context(reader, self.session_id)


class ContextView(View):
    """The anatomy of contexts."""

    NAME: ClassVar[str] = "context"
    LABEL: ClassVar[str] = "Context"
    ABOUT: ClassVar[str] = "What fills the requests of a session: prompts, tools, files, history."
    DEFAULT_CSS = """
    ContextView { height: 1fr; layout: vertical; }
    ContextView ContentSwitcher { height: 1fr; }
    ContextView #one { height: 1fr; layout: vertical; }
    ContextView #head { height: 3; text-wrap: nowrap; text-overflow: ellipsis; }
    ContextView #anatomy { height: 1fr; layout: vertical; }
    ContextView #parts { height: 7; text-wrap: nowrap; border-top: solid $panel; }
    ContextView.-wide #anatomy { layout: horizontal; }
    ContextView.-wide #parts {
        width: 52; height: 1fr; border-top: none; border-left: solid $panel; padding: 0 0 0 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "leave"),
        bind("measure"),
        bind("group"),
        bind("sort"),
        bind("reverse"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._chosen: str | None = None
        self._scope = Scope()
        self._answer: SessionContext | Fullest | None = None
        self._sorting = Sorting()
        self._anew = True

    def compose(self) -> ComposeResult:
        """Either the sessions, or one of them."""
        with ContentSwitcher(initial="sessions"):
            yield RowTable(FULLEST, id="sessions")
            with Container(id="one"):
                yield Static("", id="head", markup=False)
                with Container(id="anatomy"):
                    yield ContextBars(id="bars")
                    yield Static("", id="parts", markup=False)

    @property
    def table(self) -> Table:
        """The columns of the list of sessions."""
        return FULLEST

    @property
    def rows(self) -> RowTable:
        """The sessions."""
        return self.query_one("#sessions", RowTable)

    @property
    def bars(self) -> ContextBars:
        """The requests of the session that is shown."""
        return self.query_one("#bars", ContextBars)

    @property
    def hidden(self) -> int | None:
        """How many sessions the filter hides."""
        return self._answer.hidden if isinstance(self._answer, Fullest) else None

    def question(self, scope: Scope) -> ContextQuestion:
        """The session of the scope, else the one that was chosen here, else all."""
        session_id = scope.session_id or self._chosen
        return ContextQuestion(session_id, "" if session_id else scope.where)

    def show(self, answer: SessionContext | Fullest, scope: Scope) -> None:
        """Draw the sessions, or the requests of one."""
        self._scope = scope
        other = _session_of(answer) != _session_of(self._answer)
        if answer == self._answer and not self._anew:
            return
        self._answer = answer
        if isinstance(answer, SessionContext):
            self._show_place("one")
            self.bars.show(answer, anew=other)
            self._draw_head(answer)
            self._draw_parts()
        else:
            self._show_place("sessions")
            self._draw_sessions(answer)

    def empty(self) -> bool:
        """Whether no request's messages are known."""
        return self._answer is not None and not self._answer.rows

    def caption(self) -> Content:
        """How many sessions or requests."""
        answer = self._answer
        if answer is None:
            return Content(self.LABEL)
        if isinstance(answer, Fullest):
            count = len(answer.rows)
            order = f"by {self._sorting.column}" if self._sorting.column else "fullest first"
            return Content(f"Contexts of {count:,} session{'s' * (count != 1)}  {order}")
        left_out = answer.requests - len(answer.rows)
        more = f", the last {len(answer.rows):,}" if left_out else ""
        scale = "of the model's window" if self.bars.of_window else "of the largest request"
        return Content(f"{answer.requests:,} requests{more}  bars: shares {scale}")

    def subject(self) -> Subject | None:
        """The session, or the call, under the cursor."""
        if isinstance(self._answer, SessionContext):
            request = self.bars.current
            return None if request is None else Subject("call", request["call_id"], request)
        row = self.rows.current
        return None if row is None else Subject("session", row["session_id"], row, FULLEST)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Esc is the view's own only while it shows a session that was chosen here."""
        if action == "leave":
            return self._chosen is not None and self._scope.session_id is None
        of_one = isinstance(self._answer, SessionContext)
        if action in ("measure", "group"):
            return of_one
        if action in ("sort", "reverse"):
            return not of_one
        return True

    def action_leave(self) -> None:
        """Back to all sessions."""
        self._choose(None)

    def action_measure(self) -> None:
        """Bars against the largest request, or against the model's window."""
        self.bars.of_window = not self.bars.of_window
        self.bars.redraw()
        self.post_message(self.QuestionChanged())

    def action_group(self) -> None:
        """A line a request, or a line a turn."""
        self.bars.by_turn = not self.bars.by_turn
        self.bars.redraw()
        self._redraw_head()

    def action_sort(self) -> None:
        """Sort by the next column that is on the screen; after the last by fullness again."""
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
        """A session was chosen: its requests."""
        message.stop()
        row = self.rows.current
        if row is not None:
            self._choose(row["session_id"])

    def on_line_list_line_opened(self, message: LineList.LineOpened) -> None:
        """A request was chosen: the call."""
        message.stop()
        subject = self.subject()
        if subject is not None:
            self.post_message(self.Opened(subject))

    def on_line_list_cursor_moved(self, message: LineList.CursorMoved) -> None:
        """Parts of another request."""
        message.stop()
        self._draw_parts()

    def on_resize(self, event: events.Resize) -> None:
        """Parts stand beside where there is room."""
        self.set_class(event.size.width >= _WIDE_COLUMNS, "-wide")
        self._redraw_head()
        self._draw_parts()

    def _choose(self, session_id: str | None) -> None:
        self._chosen = session_id
        self.post_message(self.QuestionChanged())
        self.refresh_bindings()

    def _sort(self, sorting: Sorting) -> None:
        self._sorting = sorting
        if isinstance(self._answer, Fullest):
            self._draw_sessions(self._answer, anew=True)
        self.post_message(self.QuestionChanged())

    def _show_place(self, name: str) -> None:
        places = self.query_one(ContentSwitcher)
        if places.current == name:
            return
        had_focus = self.has_focus_within
        places.current = name
        self._anew = True
        if had_focus:
            (self.bars if name == "one" else self.rows).focus()
        self.refresh_bindings()

    def _draw_sessions(self, answer: Fullest, *, anew: bool = False) -> None:
        rows = answer.rows
        column = FULLEST.column(self._sorting.column) if self._sorting.column else None
        if column is not None:
            known = [row for row in rows if column.value(row) is not None]
            rest = [row for row in rows if column.value(row) is None]
            falls = (column.align == "right") != self._sorting.reverse
            rows = (*sorted(known, key=column.value, reverse=falls), *rest)
        elif self._sorting.reverse:
            rows = tuple(reversed(rows))
        keys = tuple((row["session_id"],) for row in rows)
        page = TablePage(0, tuple(rows), keys, len(rows), answer.hidden, self._sorting)
        self.rows.show(page, anew=anew or not self.rows.page.rows)
        self.rows.following = False  # the cursor stays with its session
        self._anew = False

    def _redraw_head(self) -> None:
        if isinstance(self._answer, SessionContext) and self.is_mounted:
            self._draw_head(self._answer)

    def _draw_head(self, answer: SessionContext) -> None:
        self.query_one("#head", Static).update(head_content(answer, self.bars.heading()))
        self._anew = False

    def _draw_parts(self) -> None:
        request = self.bars.current if isinstance(self._answer, SessionContext) else None
        if request is None or not self.is_mounted:
            return
        place = self.query_one("#parts", Static)
        lines = max(1, place.size.height) if self.has_class("-wide") else _BELOW_LINES - 1
        place.update(parts_content(request, lines, max(20, place.size.width)))


def _session_of(answer: SessionContext | Fullest | None) -> str | None:
    return answer.session_id if isinstance(answer, SessionContext) else None


def head_content(answer: SessionContext, heading: str) -> Content:
    """Whose context it is, how full, how much was sent again; legend; names of the columns."""
    last = last_request(answer)
    again = sent_again(answer.rows)
    parts: list[str | tuple[str, str]] = [(cells.one_line(answer.agent or "session"), "bold")]
    parts.append(f" {cells.one_line(answer.session_id)}")
    if last is not None:
        known = fill(last["input_tokens"], last["window"], last["estimated"]).text
        if last["window"]:
            parts.append(f"  {' '.join(known.split())} of {cells.tokens(last['window']).text}")
        else:
            tokens = cells.tokens(last["input_tokens"]).text
            parts.append(f"  {tokens} tokens, window not known")
    if again is not None:
        parts.append((f"  {again:.0%} sent again", _MUTED))
    cuts = sum(row["compaction"] in ("after", "generic") for row in answer.rows)
    if cuts:
        parts.append((f"  {cuts:,} compaction{'s' * (cuts != 1)}", "$text-warning"))
    return Content.assemble(*parts, "\n", *legend(), "\n", (heading, _MUTED))


def parts_content(request: Record, lines: int, width: int) -> Content:
    """What is largest in one request: name, bytes, share and a bar, a line each."""
    total = request["total_bytes"]
    found = parts_of(request)
    cut = request["compaction"]
    if cut is not None and request["dropped_bytes"]:
        lines -= 1
    if len(found) > lines:  # parts before what is in them
        found = sorted(found, key=lambda part: (part.level, -part.size_bytes))[:lines]
    room = max(4, width - _NAME_CELLS - 14)
    parts: list[str | tuple[str, str]] = []
    for number, part in enumerate(found):
        name = "  " * part.level + cells.one_line(part.name)
        if len(name) > _NAME_CELLS:  # of a path, its end
            name = "  " * part.level + "…" + cells.one_line(part.name)[-(_NAME_CELLS - 3) :]
        share = part.size_bytes / total if total else 0.0
        size = cells.tokens(part.size_bytes).text
        line = f"{name:<{_NAME_CELLS}} {size:>6} {share:>5.0%} {bar(share, room).rstrip()}"
        parts += ["\n" if number else "", (line, _MUTED if part.level else "")]
    if cut is not None and request["dropped_bytes"]:
        dropped = f"✂ {cells.tokens(request['dropped_bytes']).text} bytes were left out of it"
        parts += ["\n", (dropped, "$text-warning")]
    return Content.assemble(*parts)
