"""The dashboard: `underglass top`.

In: the place of a store, and what the user chose. Out: screens. A worker thread looks at the store
a few times a second and posts what it saw; the thread that draws never waits for it.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.screen import Screen

from analysis.cells import one_line
from analysis.reading_place import ReadingPlace
from collector.store_errors import StoreLocked, StoreMissing
from probes.errors import UnderglassError
from tui.handing_out import HandingOut
from tui.keys import bind
from tui.messages import LookEnded, ReadFailed, SnapshotTaken, ViewAnswered
from tui.palette import commands
from tui.screens.call import CallScreen
from tui.screens.help import HelpScreen
from tui.screens.main import MainScreen
from tui.screens.record import PLACES, RecordScreen
from tui.settings import INTERVALS_S, USUAL_INTERVAL_S, Settings
from tui.snapshot import Answer, Place, StoreFeed
from tui.state import Answered, Asked, FeedState
from tui.view import Question, Subject
from tui.views import VIEWS

_LOOK_PAUSE = 2  # as many times as long as the last look took
_TYPING_S = 0.2  # after a key another one is likely; to draw it goes before to look
_PATIENCE_S = 1.0
_THEMES = (
    "textual-dark", "textual-light", "nord", "gruvbox", "catppuccin-mocha", "catppuccin-latte",
    "dracula", "tokyo-night", "monokai", "solarized-dark", "solarized-light", "flexoki",
)  # fmt: skip


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class UnderglassApp(HandingOut, App[None]):
    """Sessions, calls and findings of one store, as they come in.

    With `settings.interval_s` None the store is looked at only when asked, by `look`.
    """

    TITLE = "underglass"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("copy"),
        bind("export"),
        bind("pager"),
        bind("screenshot", "picture"),
        bind("theme"),
        bind("pause"),
        bind("faster"),
        bind("slower"),
        bind("help"),
        bind("quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
    ]

    feed: reactive[FeedState] = reactive(FeedState())

    def __init__(
        self,
        place: Place | Path,
        *,
        settings: Settings | None = None,
        first: str = VIEWS[0].name,
        clock: Callable[[], datetime.datetime] = _now,
    ) -> None:
        super().__init__()
        self.settings = settings or Settings()
        paced = self.settings.interval_s is not None
        self._place: Place = ReadingPlace(place) if isinstance(place, Path) else place
        self._store = StoreFeed(self._place, paced=paced)
        self._clock = clock
        self._main = MainScreen(first)
        self._looking = False
        self._again = False
        self._not_before = 0.0
        self._looked_at = 0.0
        self._key_at = 0.0
        self.set_reactive(UnderglassApp.feed, FeedState(interval_s=self.settings.interval_s))

    def get_default_screen(self) -> Screen[None]:
        """The views."""
        return self._main

    def on_mount(self) -> None:
        """Look once, then again and again."""
        self.set_keymap(dict(self.settings.keys))
        if self.settings.theme is not None and self.settings.theme in self.available_themes:
            self.theme = self.settings.theme
        if self.settings.interval_s is not None:
            self.set_interval(INTERVALS_S[0] / 2, self._tick)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The command palette: every view and action by name."""
        yield from super().get_system_commands(screen)
        yield from commands(self, screen, self._main)

    def look(self) -> None:
        """Look at the store now, or as soon as the present look is over; also while paused."""
        if self._looking:
            self._again = True
            return
        self._looking = True
        below = self.screen_stack and not (self.screen is self._main or self.screen.is_modal)
        asked = None if below or not self._main.is_mounted else self._main.asked
        self.run_worker(lambda: self._take(asked), thread=True, group="feed")

    refresh_feed = look

    def ask(
        self,
        question: Question,
        done: Callable[[Any, UnderglassError | None], None],
        *,
        asker: Screen[Any] | None = None,
    ) -> None:
        """Put one question in a worker thread; `done` gets the answer in the one that draws,
        unless `asker`, or the screen whose method it is, was left meanwhile.
        """
        screen = asker or getattr(done, "__self__", None)

        def answered(value: Any, failure: UnderglassError | None) -> None:
            if not isinstance(screen, Screen) or screen in self.screen_stack:
                done(value, failure)

        def read() -> None:
            value, failure = None, None
            try:
                value = self._store.ask(question)
            except UnderglassError as error:
                failure = error
            except OSError as error:
                failure = UnderglassError(str(error))
            self.call_from_thread(answered, value, failure)

        self.run_worker(read, thread=True, group="ask")

    def open_subject(self, subject: Subject) -> None:
        """The screen of a call, or of a record."""
        if subject.kind == "call":
            self.push_screen(CallScreen("call", subject.key))
        elif subject.kind == "tool":
            call_id = subject.record.get("call_id")
            self.push_screen(
                CallScreen("call", call_id) if call_id else CallScreen("tool", subject.key)
            )
        else:
            self.push_screen(RecordScreen(subject))

    async def open_evidence(self, kind: str, key: str) -> None:
        """What a piece of evidence is about."""
        if kind == "session":
            while self.screen is not self._main:
                await self.pop_screen()
            await self._main.open(Subject("session", key, {"session_id": key}))
        elif kind in ("call", "tool"):
            self.push_screen(CallScreen(cast("Any", kind), key))
        elif kind in PLACES:
            self.push_screen(RecordScreen.of_evidence(kind, key))
        else:
            self.notify(f"Evidence of the kind {one_line(kind)} has no screen.", markup=False)

    def action_pause(self) -> None:
        """Stop looking, or go on."""
        self.feed = replace(self.feed, paused=not self.feed.paused)
        if not self.feed.paused:
            self.look()

    def action_faster(self) -> None:
        """Look more often."""
        self._step_interval(-1)

    def action_slower(self) -> None:
        """Look less often."""
        self._step_interval(1)

    def action_theme(self) -> None:
        """The next theme."""
        names = [name for name in _THEMES if name in self.available_themes]
        at = names.index(self.theme) if self.theme in names else -1
        self.theme = names[(at + 1) % len(names)]
        self.notify(self.theme, title="Theme", timeout=2)

    def action_help(self) -> None:
        """Keys that work now, and the columns of the table below."""
        main = self.screen is self._main
        about = self._main.view.ABOUT if main else ""
        table = self._main.table if main else None
        self.push_screen(HelpScreen(self.screen, about, table))

    def on_snapshot_taken(self, message: SnapshotTaken) -> None:
        """Show what was seen, and say when another answers than before."""
        before, after = self.feed.snapshot, message.snapshot
        if before is not None and before.source != after.source:
            self._say(f"Reading {self._place.describe(after.source)} now.")
        elif self.feed.problem is not None and before is not None:
            self._say(f"Reading {self._place.describe(after.source)} again.")
        self.feed = replace(self.feed, snapshot=after, problem=None, checked_at=self._clock())

    def on_view_answered(self, message: ViewAnswered) -> None:
        """Hand the answer to the view."""
        self._main.answered(message.answered)

    def on_look_ended(self) -> None:
        """The store was read; whether it changed or not, that is what it holds now."""
        checked_at = self._clock()
        if self.feed.problem is not None and self.feed.snapshot is not None:
            self._say(f"Reading {self._place.describe(self.feed.snapshot.source)} again.")
        self.feed = replace(self.feed, checked_at=checked_at, now=checked_at, problem=None)
        self._looked()

    def on_read_failed(self, message: ReadFailed) -> None:
        """Keep what was seen last, and say that it is old."""
        if self.feed.problem is None and self.feed.snapshot is not None:
            self.notify(message.why, severity="warning", markup=False)
        self.feed = replace(self.feed, problem=message.why, now=self._clock())
        self._looked()

    def _step_interval(self, step: int) -> None:
        now = self.feed.interval_s or USUAL_INTERVAL_S
        at = min(range(len(INTERVALS_S)), key=lambda n: abs(INTERVALS_S[n] - now))
        chosen = INTERVALS_S[max(0, min(len(INTERVALS_S) - 1, at + step))]
        self.feed = replace(self.feed, interval_s=chosen)
        self._not_before = 0.0

    async def on_event(self, event: events.Event) -> None:
        """Note when a key came."""
        if isinstance(event, events.Key):
            self._key_at = time.monotonic()
        await super().on_event(event)

    def _tick(self) -> None:
        if self.feed.paused or self.feed.problem is not None:
            self.feed = replace(self.feed, now=self._clock())
        now = time.monotonic()
        typing = now - self._key_at < _TYPING_S and now - self._looked_at < _PATIENCE_S
        if not self.feed.paused and not self._looking and not typing and now >= self._not_before:
            self.look()

    def _looked(self) -> None:
        self._looking = False
        if self._again:
            self._again = False
            self.look()

    def _take(self, asked: Asked | None) -> None:
        """In the worker thread."""
        self._looked_at = began = time.monotonic()
        try:
            for seen in self._store.take(asked.question if asked is not None else None):
                if isinstance(seen, Answer):
                    assert asked is not None
                    answered = Answered(asked, seen.value, seen.why, seen.hint)
                    self.post_message(ViewAnswered(answered))
                else:
                    self.post_message(SnapshotTaken(seen))
            ended: LookEnded | ReadFailed = LookEnded()
        except UnderglassError as error:
            ended = ReadFailed(self._in_short(error))
        took = time.monotonic() - began
        interval_s = self.feed.interval_s or USUAL_INTERVAL_S
        self._not_before = began + max(interval_s, _LOOK_PAUSE * took)
        self.post_message(ended)

    def _in_short(self, error: UnderglassError) -> str:
        if self.feed.live:
            return "collector gone, retrying"
        if isinstance(error, StoreLocked):
            return "store in use, retrying"
        if isinstance(error, StoreMissing):
            return "store gone, retrying"
        return "store unreadable, retrying"
