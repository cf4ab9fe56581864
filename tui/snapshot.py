"""What the dashboard knows of the store at one moment, whatever view is on the screen.

In: the place of a store, and the question of the view. Out: `Answer`s and `Snapshot`s, taken in a
thread by `StoreFeed`, never in the one that draws. The store is open only while it is looked at,
so that a collector may take it over at any time; a file that did not change is not read again.
"""

from __future__ import annotations

import datetime
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from analysis.columns import HEALTH
from analysis.health import HOOKED
from analysis.reading import Reader, query
from analysis.report import Cost, Totals
from analysis.where import BadFilter
from collector.database import wal_path
from collector.store_errors import QueryFailed
from probes.events import Source
from tui.view import Question

Row = Mapping[str, Any]
_HEADER_PAUSE_S = 1.0
_PAUSE_FACTOR = 10  # as many times as long as reading took
_RATE_S = 10.0
_MOST_NOT_HOOKED = 8
_LAST_CAPTURE = "ORDER BY started_at DESC, capture_id LIMIT 1"
_PROBES = f"""
SELECT captures.ended_at, captures.command, (
    SELECT max(value) FROM health_counter
    WHERE counter = 'attached_probes' AND health_counter.capture_id = captures.capture_id
) AS attached
FROM captures {_LAST_CAPTURE}
"""
_STATUSES = "SELECT status, count(*) FROM coverage GROUP BY status"
_BLIND = f"""
SELECT path, program, status, detail FROM coverage
WHERE NOT list_contains($hooked::TEXT[], status) ORDER BY rank LIMIT {_MOST_NOT_HOOKED}
"""
_KERNEL_SOURCES = frozenset({"process", *(source.name.lower() for source in Source)})


class Place(Protocol):
    """Where a store is read, such as `analysis.reading_place.ReadingPlace`."""

    def open(self) -> AbstractContextManager[Reader]:
        """A Reader of the file, or of the collector that owns it now."""

    def describe(self, source: str) -> str:
        """Who answered, in words; `source` as the Reader says it."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Sums over all captures; None when no capture counted."""

    captured_events: int | None = None
    lost_events: int | None = None
    lost_bytes: int | None = None
    undecoded_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Capture:
    """The last capture. `attached`: its probes, None when it never said."""

    command: str
    ended_at: datetime.datetime | None
    attached: int | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What every screen shows. `source` is `file` or who answers, such as `collector pid N`.

    `events_per_s`: captured lately; None of a file. `hooked`, `not_hooked_count` and the first
    `not_hooked` stacks are known only as long as there is no call.
    """

    source: str
    totals: Totals
    cost: Cost
    finding_count: int
    losses: Losses
    capture: Capture | None
    events_per_s: float | None = None
    hooked: int = 0
    not_hooked_count: int = 0
    not_hooked: tuple[Row, ...] = ()

    @property
    def live(self) -> bool:
        """Whether a collector answered."""
        return self.source != "file"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the store said to a question; or why it refused (`why`, `hint`)."""

    question: Question
    value: Any = None
    why: str | None = None
    hint: str | None = None


class StoreFeed:
    """Looks at one store. Its methods block; `take` is for one worker thread at a time.

    With `paced` False the snapshot is taken anew at every look, however long that takes.
    """

    def __init__(
        self, place: Place, *, paced: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.place = place
        self._paced = paced
        self._clock = clock
        self._path: Path | None = None  # of a file that answered last
        self._asked: tuple[Question | None, Any] | None = None
        self._header_of: Any = None
        self._header_due = 0.0
        self._counted: deque[tuple[float, int]] = deque(maxlen=64)

    def take(self, question: Question | None) -> Iterator[Answer | Snapshot]:
        """The answer, and a snapshot when it is due. Nothing when nothing changed since.

        Raises `UnderglassError` when the store cannot be read now.
        """
        stamp = None if self._path is None else _stamp(self._path)
        if stamp is not None and self._asked == (question, stamp) and self._header_of == stamp:
            return
        self._asked = None
        with self.place.open() as reader:
            is_file = reader.source == "file"
            if is_file and stamp is None:
                stamp = _stamp(reader.path)
            self._path = reader.path if is_file else None
            if question is not None:
                yield _answer(reader, question)
            changed = stamp is None or stamp != self._header_of
            if changed and (not self._paced or self._clock() >= self._header_due):
                began = self._clock()
                yield self._snapshot(reader)
                pause = max(_HEADER_PAUSE_S, _PAUSE_FACTOR * (self._clock() - began))
                self._header_due = self._clock() + pause
                self._header_of = stamp if is_file else None
        if is_file:
            self._asked = (question, stamp)

    def ask(self, question: Question) -> Any:
        """One answer, for whatever thread asks. Raises `UnderglassError`."""
        with self.place.open() as reader:
            return question.read(reader)

    def _snapshot(self, reader: Reader) -> Snapshot:
        everything = {"since_ns": None, "session": None}
        totals = Totals(*reader.rows(query("report_totals"), everything).rows[0])
        cost = Cost(*reader.rows(query("report_cost"), everything).rows[0])
        captures = reader.rows(_PROBES).rows
        lost = losses(_records(reader, f"SELECT {', '.join(HEALTH.fields)} FROM health"))
        statuses: dict[str, int] = {}
        blind: tuple[Row, ...] = ()
        if not totals.calls:
            statuses = dict(reader.rows(_STATUSES).rows)
            blind = _records(reader, _BLIND, {"hooked": sorted(HOOKED)})
        return Snapshot(
            source=reader.source,
            totals=totals,
            cost=cost,
            finding_count=reader.rows("SELECT count(*) FROM findings").rows[0][0],
            losses=lost,
            capture=Capture(captures[0][1], captures[0][0], captures[0][2]) if captures else None,
            events_per_s=self._rate(lost.captured_events, live=reader.source != "file"),
            hooked=sum(count for status, count in statuses.items() if status in HOOKED),
            not_hooked_count=sum(n for status, n in statuses.items() if status not in HOOKED),
            not_hooked=blind,
        )

    def _rate(self, captured: int | None, *, live: bool) -> float | None:
        """Events a second, over the last seconds in which the counter was read."""
        now = self._clock()
        if captured is None or not live or (self._counted and captured < self._counted[-1][1]):
            self._counted.clear()
        if captured is None or not live:
            return None
        self._counted.append((now, captured))
        while len(self._counted) > 2 and self._counted[0][0] < now - _RATE_S:
            self._counted.popleft()
        (since, before), (until, after) = self._counted[0], self._counted[-1]
        return (after - before) / (until - since) if until > since else None


def losses(health: tuple[Row, ...]) -> Losses:
    """The health counters that the health line shows. Loss is counted where it happens: in the
    kernel; the gaps that it leaves in streams are the same bytes.
    """
    if not health:
        return Losses()

    def total(*counters: str, kernel: bool = True) -> int:
        return sum(
            row["value"]
            for row in health
            if row["counter"] in counters and (row["source"] in _KERNEL_SOURCES) == kernel
        )

    return Losses(
        captured_events=total("captured_events"),
        lost_events=total("lost_events"),
        lost_bytes=total("lost_bytes", "truncated_bytes"),
        undecoded_bytes=total("undecoded_bytes", kernel=False),
    )


def _answer(reader: Reader, question: Question) -> Answer:
    """Filters that cannot be understood and refused queries are answers, too."""
    try:
        return Answer(question, question.read(reader))
    except (BadFilter, QueryFailed) as error:
        return Answer(question, why=str(error).partition("\n")[0], hint=error.hint)


def _records(reader: Reader, sql: str, parameters: dict[str, Any] | None = None) -> tuple[Row, ...]:
    result = reader.rows(sql, parameters)
    return tuple(dict(zip(result.columns, row, strict=True)) for row in result)


def _stamp(path: Path) -> Any:
    """Changes whenever the file or its write-ahead log does."""
    found: list[tuple[int, int, int] | None] = []
    for each in (path, wal_path(path)):
        try:
            status = os.stat(each)
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError:
            found.append(None)
    return tuple(found)
