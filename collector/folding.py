"""Equal events in a row as one row, with their number and the times of the first and the last.

In: events of `collector.file_events` and `collector.network_events`, each with the places that it
is about (a process and a path, or an address). Out: rows that are new or changed. Nothing is lost:
the counts of the rows add up to the number of events. Which events share a row follows from their
order and their times alone, not from when rows are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from collector.rows import FileEventRow, NetworkEventRow

Row = TypeVar("Row", FileEventRow, NetworkEventRow)

MAX_PAUSE_NS = 10_000_000_000
"""Between two events in a row. What comes later is another try or another look, with a wait before
it that the times of one row would hide; 10 s leaves a file that is polled in one row."""


@dataclass(slots=True, eq=False)
class OpenRow(Generic[Row]):
    """A row that may still count more events. `row` is that of its first one, with what was
    learned since. `alike`: what the events have in common. `settled`: nothing that is learned of
    one of them changes the row."""

    row: Row
    alike: Hashable
    last_ns: int
    count: int = 1
    settled: bool = False

    def counted(self) -> Row:
        """The row with all its events."""
        if self.count == 1:
            return self.row
        return replace(self.row, count=self.count, last_ns=self.last_ns)


class Folding(Generic[Row]):
    """The open rows, by place; of more than `limit` places those used longest ago are final."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: dict[Hashable, OpenRow[Row]] = {}
        self._changed: dict[OpenRow[Row], None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(
        self,
        places: tuple[Hashable, ...],
        alike: Hashable,
        at_ns: int,
        begin: Callable[[], Row],
    ) -> OpenRow[Row]:
        """Count an event in the row that is open at all its places, or in one that `begin` makes.

        An event more than `MAX_PAUSE_NS` after the row's last one begins another row, and so does
        one that is older than the row, as it came out of order: a row's `first_ns` never changes,
        by which the store finds it.
        """
        found = self._open.get(places[0])
        if (
            found is not None
            and found.alike == alike
            and found.row.first_ns <= at_ns <= found.last_ns + MAX_PAUSE_NS
            and all(self._open.get(place) is found for place in places)
        ):
            found.count += 1
            found.last_ns = max(found.last_ns, at_ns)
        else:
            found = OpenRow(begin(), alike, at_ns)
        for place in places:
            self._open.pop(place, None)
            self._open[place] = found
        while len(self._open) > self._limit:
            del self._open[next(iter(self._open))]
        self._changed[found] = None
        return found

    def change(self, opened: OpenRow[Row], row: Row) -> None:
        """More is known of a row, perhaps of one that is final by now."""
        opened.row = row
        self._changed[opened] = None

    def take(self) -> Iterator[Row]:
        """Rows that are new or changed since the last call."""
        changed, self._changed = self._changed, {}
        return (opened.counted() for opened in changed)
