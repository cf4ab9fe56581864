"""The main screen: one view at a time, narrowed to a session and filtered.

In: the app's `feed`, and answers to the view's question. Out: `app.look()` when something else is
wanted of the store, and the screens of one call or one record. A view is made at its first visit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Static

from analysis.cells import one_line
from analysis.columns import TABLES
from analysis.table_layout import Table
from tui.empty import empty_text
from tui.keys import bind
from tui.messages import FilterChanged, ViewAsked
from tui.screens.choice import Choice, ChoiceScreen
from tui.state import Answered, Asked, FeedState
from tui.table_page import Sorting
from tui.view import Scope, Subject, View
from tui.views import TABLE_NAMES, VIEWS, view_class
from tui.views.table import TableView
from tui.widgets.filter_input import FilterInput
from tui.widgets.health_line import HealthLine
from tui.widgets.key_line import KeyLine
from tui.widgets.view_bar import ViewBar

if TYPE_CHECKING:
    from tui.app import UnderglassApp

FIRST = VIEWS[0].name


class MainScreen(Screen[None]):
    """Views, the one that was chosen, and the health line."""

    DEFAULT_CSS = """
    MainScreen {
        #caption { height: 1; padding: 0 1; color: $text-muted; text-wrap: nowrap;
                   text-overflow: ellipsis; }
        #empty { height: 1fr; padding: 1 2; display: none; }
        ContentSwitcher { height: 1fr; }
    }
    """
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("tables"),
        bind("filter"),
        bind("back"),
        bind("maximise"),
        *(
            Binding(str(n), f"view('{v.name}')", v.label, show=False, id=f"view_{v.name}")
            for n, v in enumerate(VIEWS, 1)
        ),
    ]

    def __init__(self, first: str = FIRST) -> None:
        super().__init__()
        self.name_shown = first
        self._session: str | None = None
        self._filters: dict[str, str] = {}
        self._trail: list[tuple[str, str | None]] = []
        self._views: dict[str, View] = {first: view_class(first)()}
        self._shown: dict[str, Scope] = {}
        self._refused: Answered | None = None
        self.stale = True
        self.empty = False
        self.maximised_view = False

    @property
    def view(self) -> View:
        """The view on the screen."""
        return self._views[self.name_shown]

    @property
    def table(self) -> Table | None:
        """The table whose columns help and filter name."""
        return self.view.table

    @property
    def sorting(self) -> Sorting:
        """The order of the rows of a table."""
        return self.view.sorting if isinstance(self.view, TableView) else Sorting()

    @property
    def scope(self) -> Scope:
        """What the view is narrowed to."""
        return Scope(self._session, self._filters.get(self.name_shown, ""))

    @property
    def asked(self) -> Asked:
        """What is to be asked of the store."""
        return Asked(self.name_shown, self.scope, self.view.question(self.scope))

    def compose(self) -> ComposeResult:
        """From the totals down to the keys."""
        yield ViewBar()
        yield Static("", id="caption", markup=False)
        yield FilterInput()
        with ContentSwitcher(initial=_id(self.name_shown)):
            self.view.id = _id(self.name_shown)
            yield self.view
        yield Static("", id="empty", markup=False)
        yield HealthLine()
        yield KeyLine()

    def on_mount(self) -> None:
        """Follow the app's feed."""
        self.query_one(ViewBar).show(self.name_shown)
        self._focus_view()
        self.watch(self.app, "feed", self._feed_changed, init=False)
        self._caption()
        self._look()

    def on_screen_resume(self) -> None:
        """Back from a call: what the view shows may be old."""
        if self.is_mounted:
            self._look()

    def subject(self) -> Subject | None:
        """What the cursor is on."""
        return None if self.empty or self.stale else self.view.subject()

    async def go(self, name: str, session_id: str | None, *, trail: bool = True) -> None:
        """Show a view, of a session or of all."""
        if (name, session_id) == (self.name_shown, self._session):
            return
        if trail:
            self._trail = [*self._trail, (self.name_shown, self._session)][-50:]
        if self.query_one(FilterInput).display:
            self.query_one(FilterInput).close(self.scope.where)
        self._session = session_id
        await self._show(name)

    async def action_view(self, name: str) -> None:
        """Show a view, of the same session."""
        if name == "tables":
            self.action_tables()
        elif name != self.name_shown:
            await self.go(name, self._session, trail=self._session is None)

    def action_tables(self) -> None:
        """Choose one of the other tables."""
        choices = [Choice(name, TABLES[name].label, _about(TABLES[name])) for name in TABLE_NAMES]

        async def chosen(name: str | None) -> None:
            if name is not None:
                await self.action_view(name)

        self.app.push_screen(ChoiceScreen("Tables", choices), chosen)

    def action_filter(self) -> None:
        """Type a filter."""
        self.query_one(FilterInput).open(self.scope.where, self.table)
        self._caption()

    async def action_back(self) -> None:
        """Out of the filter, else to where one came from."""
        if self.scope.where:
            self.query_one(FilterInput).close("")
        elif self._trail:
            name, session_id = self._trail.pop()
            await self.go(name, session_id, trail=False)

    def action_maximise(self) -> None:
        """The view and the health line alone, or all of it."""
        self.maximised_view = not self.maximised_view
        for widget in (*self.query(ViewBar), self.query_one("#caption"), *self.query(KeyLine)):
            widget.display = not self.maximised_view

    def on_filter_changed(self, message: FilterChanged) -> None:
        """Show what fits the filter."""
        filter_input = self.query_one(FilterInput)
        if not filter_input.display and self.focused in (None, filter_input.text):
            self._focus_view()
        if message.text != self.scope.where:
            self._filters[self.name_shown] = message.text
            self._look()
        self._caption()

    async def on_view_asked(self, message: ViewAsked) -> None:
        """A click on a view's name."""
        await self.action_view(message.name)

    def on_view_question_changed(self, message: View.QuestionChanged) -> None:
        """Scrolled, sorted, zoomed."""
        message.stop()
        self._look()
        self._caption()

    async def on_view_opened(self, message: View.Opened) -> None:
        """One step deeper: session, its calls, a call's messages."""
        message.stop()
        if not self.stale:
            await self.open(message.subject)

    async def open(self, subject: Subject) -> None:
        """Look at something more closely."""
        if subject.kind == "session":
            self._filters.pop("calls", None)
            await self.go("calls", subject.key)
        else:
            cast("UnderglassApp", self.app).open_subject(subject)

    def answered(self, answered: Answered) -> None:
        """Show what the store said, unless another view or session is looked at by now."""
        asked = answered.asked
        if asked.view != self.name_shown or asked.scope.session_id != self._session:
            return
        if answered.why is not None:
            if asked.scope == self.scope:
                self._refused = answered
                self.query_one(FilterInput).say(answered.why)
                self._caption()
            return
        self._refused = None
        self.query_one(FilterInput).say(None)
        self.view.show(answered.value, asked.scope)
        self._shown[self.name_shown] = asked.scope
        self._draw()

    async def _show(self, name: str) -> None:
        switcher = self.query_one(ContentSwitcher)
        self.name_shown = name
        self._refused = None
        self.query_one(ViewBar).show(name)
        if name not in self._views:
            view = view_class(name)()
            view.id = _id(name)
            self._views[name] = view
            view.display = False
            await switcher.mount(view)
        shown = self._shown.get(name)
        self._show_state(stale=shown is None or shown.session_id != self._session, empty=False)
        switcher.current = _id(name)
        self._focus_view()
        self._caption()
        self._look()

    def _look(self) -> None:
        cast("UnderglassApp", self.app).look()

    def _feed_changed(self, _feed: FeedState) -> None:
        if self.empty and not self.stale:
            self._draw()

    def _draw(self) -> None:
        """The caption; and why there is nothing, when there is nothing."""
        view, scope = self.view, self.scope
        snapshot = cast("UnderglassApp", self.app).feed.snapshot
        empty = snapshot is not None and view.empty()
        if empty and snapshot is not None:
            title, advice = empty_text(
                self.name_shown,
                view.LABEL if view.table is None else view.table.label,
                scope,
                snapshot,
                hidden=getattr(view, "hidden", None),
                of_session=view.table is None or view.table.has_session,
            )
            self.query_one("#empty", Static).update(
                Content.assemble((title, "bold $text-accent"), "\n\n", advice)
            )
        was_empty = self.empty
        self._show_state(stale=False, empty=empty)
        if was_empty and not empty and self.focused is None:
            self._focus_view()
        self._caption()

    def _show_state(self, *, stale: bool, empty: bool) -> None:
        """What another session had is not shown; nor is a view that holds nothing.

        Styles of few widgets are set, since a class of the screen would style all views anew.
        """
        switcher = self.query_one(ContentSwitcher)
        if stale != self.stale:
            switcher.styles.opacity = 0.0 if stale else 1.0
        if empty != self.empty:
            switcher.display = not empty
            self.query_one("#empty").display = empty
        self.stale, self.empty = stale, empty

    def _caption(self) -> None:
        """Of which session, what, filtered how."""
        parts: list[str | Content | tuple[str, str]] = []
        table = self.view.table
        if self._session is not None and (table is None or table.has_session):
            session = one_line(self._session)[:20]
            parts.append((f"session {session} › ", "bold $text-accent"))
        if self.stale:
            parts.append("reading…")
        else:
            parts.append(self.view.caption())
        if self.scope.where and not self.query_one(FilterInput).display:
            parts.append((f"  /{one_line(self.scope.where)}", "bold $text-warning"))
        if self._refused is not None:
            hint = f" ({self._refused.hint})" if self._refused.hint else ""
            parts.append((f"  {one_line(f'{self._refused.why}{hint}')}", "$text-error"))
        self.query_one("#caption", Static).update(Content.assemble(*parts), layout=False)

    def _focus_view(self) -> None:
        """Keys go to the view."""
        view = self.view
        inside = [view, *view.query("*").results()]
        target = next((each for each in inside if each.can_focus and each.display), None)
        self.set_focus(target, scroll_visible=False)


def _id(name: str) -> str:
    return f"view-{name}"


def _about(table: Table) -> str:
    return ", ".join(column.label for column in table.columns if column.priority == 1)
