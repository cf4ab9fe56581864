"""Two pages about one call: what its request says anew, and its HTTP exchange.

In: ids. Out: nothing; Esc goes back to the call. Raw data is read in a thread, with progress, while
the store is closed; leaving the page ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from analysis.raw_http import KEEP_HINT, RawPlace, exchange_lines, known_lines
from analysis.request_diff import RequestDiff
from analysis.request_diff_lines import diff_lines
from probes.errors import UnderglassError
from tui.call_questions import DiffQuestion, RawQuestion
from tui.screens.lines import LinesScreen
from tui.text_lines import Line

if TYPE_CHECKING:
    from collector.raw_exchange import RawExchange
    from tui.app import UnderglassApp


class DiffScreen(LinesScreen):
    """What a request says that the one before it did not."""

    def __init__(self, before: str, after: str) -> None:
        super().__init__()
        self.question = DiffQuestion(before, after)

    def on_mount(self) -> None:
        """Compare."""
        cast("UnderglassApp", self.app).ask(self.question, self._compared)

    def _compared(self, diff: RequestDiff | None, error: UnderglassError | None) -> None:
        if diff is None:
            self.say(str(error), "bold $text-error")
            return
        _title, *lines = diff_lines(diff)
        self.show(f"What {diff.after} says that {diff.before} did not", lines)


class RawScreen(LinesScreen):
    """The HTTP exchange of a call."""

    def __init__(self, call: Any) -> None:
        super().__init__()
        self.call = call

    def on_mount(self) -> None:
        """Ask where the raw data is."""
        question = RawQuestion(str(self.call["call_id"]))
        cast("UnderglassApp", self.app).ask(question, self._placed)

    def _placed(self, place: RawPlace | None, error: UnderglassError | None) -> None:
        if place is None:
            self.say(str(error), "bold $text-error")
        elif place.path is None:
            self._without(place.why, KEEP_HINT)
        else:
            self.say(f"reading {place.path}…")
            self.run_worker(lambda: self._find(place), thread=True)

    def _find(self, place: RawPlace) -> None:
        """In the worker thread."""
        assert place.path is not None
        try:
            size = max(1, place.path.stat().st_size)
            told = 0

            def progress(done: int) -> None:
                nonlocal told
                per_cent = 100 * done // size
                if per_cent > told:
                    told = per_cent
                    self.app.call_from_thread(self.say, f"reading raw data: {per_cent} %")

            from collector.raw_exchange import find_exchange

            found = find_exchange(place.path, place.wanted, progress, lambda: not self.is_mounted)
            lines = [] if found is None else list(exchange_lines(found))
            self.app.call_from_thread(self._found, place, found, lines)
        except (UnderglassError, OSError) as error:
            self.app.call_from_thread(self._without, str(error), "")

    def _found(self, place: RawPlace, found: RawExchange | None, lines: list[Line]) -> None:
        if found is None:
            self._without(f"the raw data does not hold it: {place.path}", "")
        else:
            self.show(f"HTTP exchange of {place.wanted.call_id}", lines)

    def _without(self, why: str, hint: str) -> None:
        """What the store knows, and how to know more next time."""
        known: list[Line] = [((why, "warn"),)]
        if hint:
            known.append(((hint, "dim"),))
        known += [(), (("what the store knows of the exchange", "head"),)]
        self.show("No raw data", [*known, *known_lines(self.call)])
