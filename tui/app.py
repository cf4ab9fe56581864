"""The dashboard: `underglass top`.

In: the path of a store. Out: screens. A worker thread looks at the store a few times a second and
posts what it saw, another looks for findings; the thread that draws never waits for them.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.reactive import reactive

from collector.store_errors import StoreLocked, StoreMissing
from probes.errors import UnderglassError
from tui.messages import CallLoaded, FindingsLooked, ReadFailed, SnapshotTaken
from tui.screens.call import CallScreen
from tui.screens.help import HelpScreen
from tui.screens.main import MainScreen
from tui.snapshot import StoreFeed, Window
from tui.state import VIEWS, FeedState

if TYPE_CHECKING:
    from textual.screen import Screen

INTERVAL_S = 0.4


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class UnderglassApp(App[None]):
    """Sessions, calls and findings of one store, as they come in.

    With `interval_s` None the store is looked at only when asked, by `look` and `refresh_feed`.
    """

    TITLE = "underglass"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "Pause"),
        Binding("question_mark", "help", "Help"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
    ]

    feed: reactive[FeedState] = reactive(FeedState())

    def __init__(
        self,
        path: Path,
        *,
        interval_s: float | None = INTERVAL_S,
        clock: Callable[[], datetime.datetime] = _now,
    ) -> None:
        super().__init__()
        self._store = StoreFeed(path)
        self._interval_s = interval_s
        self._clock = clock
        self._window = Window()
        self._looking = False
        self._again = False
        self._looking_for_findings = False

    def get_default_screen(self) -> Screen[None]:
        """The tables."""
        return MainScreen()

    def on_mount(self) -> None:
        """Look once, then again and again."""
        self.refresh_feed()
        if self._interval_s is not None:
            self.set_interval(self._interval_s, self._tick)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette: every view and action by name."""
        yield from super().get_system_commands(screen)
        yield SystemCommand("Pause", "Stop and go on looking at the store", self.action_pause)
        if isinstance(screen, MainScreen):
            for number, view in enumerate(VIEWS, 1):
                yield SystemCommand(
                    view.label, f"Show view {number}", lambda n=number: screen.action_view(n)
                )
            yield SystemCommand("Filter", "Show only rows that fit", screen.action_filter)
            yield SystemCommand("Sort", "Sort by the next column", screen.action_sort)
            yield SystemCommand("Reverse", "Turn the order round", screen.action_reverse)

    def look(self, window: Window) -> None:
        """Look through another window, also while paused."""
        self._window = window
        self.refresh_feed()

    def refresh_feed(self) -> None:
        """Look at the store now, or as soon as the present look is over."""
        if self._looking:
            self._again = True
            return
        self._looking = True
        window = self._window
        self.run_worker(lambda: self._take(window), thread=True, group="feed")

    def load_call(self, screen: CallScreen) -> None:
        """Read a call for its screen."""
        self.run_worker(lambda: self._load(screen), thread=True, group="call", exclusive=True)

    def action_pause(self) -> None:
        """Stop looking, or go on."""
        self.feed = replace(self.feed, paused=not self.feed.paused)
        if not self.feed.paused:
            self.refresh_feed()

    def action_help(self) -> None:
        """Keys, and the columns of the table below."""
        screen = self.screen
        self.push_screen(HelpScreen(screen.table if isinstance(screen, MainScreen) else None))

    def on_snapshot_taken(self, message: SnapshotTaken) -> None:
        """Show what was seen."""
        snapshot = message.snapshot or self.feed.snapshot
        self.feed = replace(self.feed, snapshot=snapshot, checked_at=self._clock(), problem=None)
        self._looked()
        if self._store.findings_due and not self._looking_for_findings:
            self._looking_for_findings = True
            self.run_worker(self._look_for_findings, thread=True, group="findings")

    def on_findings_looked(self) -> None:
        """Show what was found."""
        self._looking_for_findings = False
        self.refresh_feed()

    def on_read_failed(self, message: ReadFailed) -> None:
        """Keep what was seen last, and say that it is old."""
        self.feed = replace(self.feed, problem=message.why)
        self._looked()

    def _tick(self) -> None:
        if not self.feed.paused and not self._looking:
            self.refresh_feed()

    def _looked(self) -> None:
        self._looking = False
        if self._again:
            self._again = False
            self.refresh_feed()

    def _take(self, window: Window) -> None:
        """In the worker thread."""
        try:
            self.post_message(SnapshotTaken(self._store.take(window)))
        except UnderglassError as error:
            self.post_message(ReadFailed(_in_short(error)))

    def _look_for_findings(self) -> None:
        """In a worker thread of its own: it takes seconds in a large store."""
        try:
            self._store.look_for_findings()
        except UnderglassError:
            pass  # still due, so that the next snapshot asks again
        self.post_message(FindingsLooked())

    def _load(self, screen: CallScreen) -> None:
        """In the worker thread."""
        try:
            screen.post_message(CallLoaded(self._store.call(screen.kind, screen.key)))
        except UnderglassError as error:
            screen.post_message(CallLoaded(None, str(error)))


def _in_short(error: UnderglassError) -> str:
    if isinstance(error, StoreLocked):
        return "store in use, retrying"
    if isinstance(error, StoreMissing):
        return "store gone, retrying"
    return "store unreadable, retrying"
