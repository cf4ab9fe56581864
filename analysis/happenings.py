"""What happens in a store, as it happens: beginnings and ends, each told once.

In: a `Reader`, asked again and again, also another one of the same store after its owner changed.
Out: `Happening`s in order of time. New rows are found by their place in the table, which only
grows while a collector writes; where rows are exchanged for new ones (findings, processes), by time
and id. Ends are looked for among the rows that have begun. Memory is bounded: so many ids are
remembered, and so many open rows are watched for their end.
"""

from __future__ import annotations

import datetime
import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from analysis.columns import TABLES
from analysis.listed import Narrowed, chosen_sql
from analysis.reading import Reader
from analysis.result import Record, rfc3339
from analysis.table_layout import Table
from analysis.where import BadFilter

_PAGE_ROWS = 5000
_MOST_OPEN = 4096
_MANY_OPEN = 256  # of more, the ends are looked for more seldom
_MANY_OPEN_EVERY = 4
_REMEMBERED = 100_000
_FEW_KEYS = 50  # DuckDB's dynamic_or_filter_threshold: up to so many it looks up
_SHORT_NS = 30 * 10**9
"""Rows that are exchanged for new ones come no later than this after their time, mostly..."""
_LONG_NS = 600 * 10**9
"""...and no later than this ever, which is looked into every `_LONG_EVERY` times."""
_LONG_EVERY = 20
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Happening:
    """`record` is the row of the table as `--json` prints it, at the time of telling."""

    event: str
    kind: str
    at_ns: int
    record: Record

    def as_json(self) -> Record:
        """The record with `event` and `at` before it."""
        at = _EPOCH + datetime.timedelta(microseconds=self.at_ns // 1000)
        return {"event": self.event, "at": rfc3339(at), **self.record}


@dataclass(frozen=True, slots=True)
class Kind:
    """What may happen to the rows of one table. Times are SQL, nanoseconds since the epoch;
    `key` names the columns that identify a row.
    """

    name: str
    rows: str
    key: Key
    begin: str
    began: str
    end: str | None = None
    ended: str = ""
    exchanged: bool = False  # rows are deleted and inserted anew, so that their places mean nothing
    shown: str = ""

    @property
    def table(self) -> Table:
        """Its columns."""
        return TABLES[self.shown]


_CALL_END = "CASE WHEN status <> 'running' THEN coalesce(ended_ns, started_ns) END"
KINDS = {
    kind.name: kind
    for kind in (
        Kind("call", "llm_call", ("call_id",), "started_ns", "call_started", _CALL_END,
             "call_ended", shown="calls"),
        Kind("tool", "tool_call", ("call_id", "tool_call_id"), "requested_ns", "tool", "result_ns",
             "tool_result", shown="tools"),
        Kind("finding", "finding", ("finding_id",), "found_ns", "finding", exchanged=True,
             shown="findings"),
        Kind("process", "process", ("process_key",), "started_ns", "process_started", "ended_ns",
             "process_ended", exchanged=True, shown="processes"),
        Kind("file", "file_event", ("file_event_id",), "first_ns", "file", shown="files"),
        Kind("connection", "network_event", ("network_event_id",), "first_ns", "connection",
             shown="connections"),
    )
}  # fmt: skip
"""By name, as `--kind` says it."""


@dataclass(slots=True)
class _Progress:
    """How far one table was read. `open` rows have begun and not ended: their key and begin."""

    kind: Kind
    place: int = -1  # of the last row that was seen
    newest_ns: int = 0
    mark: Any = None
    looked: int = 0
    seen: dict[Key, None] = field(default_factory=dict)
    open: dict[Key, int] = field(default_factory=dict)
    counted: tuple[int, int] | None = None  # a place, and how many rows were up to it
    behind: int | None = None  # there are more new rows; the newest known
    select: tuple[str, dict[str, Any]] = ("", {})


_Pending = tuple[int, int, str, Key, _Progress]


class Happenings:
    """What happened since `since_ns` and was not told yet.

    `session`: the beginning of an id. `where`: a filter of `analysis.where`; kinds whose table
    lacks what it names are left out, and are in `left_out`. Raises BadFilter when all do.
    """

    def __init__(
        self, kinds: Iterable[str], since_ns: int, *, session: str = "", where: str = ""
    ) -> None:
        self._progress = [_Progress(KINDS[name]) for name in kinds]
        self._since_ns = since_ns
        self._session = session
        self._where = where
        self._pending: list[_Pending] = []
        self._number = 0
        self._begun = False
        self.left_out: tuple[str, ...] = ()

    def connected(self, reader: Reader) -> None:
        """Another reader is asked from now on. Raises BadFilter and what queries raise."""
        refused: list[tuple[_Progress, BadFilter]] = []
        for one in self._progress:
            try:
                one.select = self._select(reader, one.kind)
            except BadFilter as error:
                refused.append((one, error))
        if refused:
            if len(refused) == len(self._progress):
                raise refused[0][1]
            self._progress = [one for one in self._progress if one not in [r for r, _ in refused]]
            self.left_out = tuple(one.kind.name for one, _ in refused)
        for one in self._progress:
            if one.counted is not None and self._count(reader, one, one.counted[0]) != one.counted:
                one.mark, one.place = (
                    None,
                    -1,
                )  # the rows are others: what is remembered tells what is new
        if not self._begun:
            for one in self._progress:
                self._open_before(reader, one)
            self._begun = True

    def read(self, reader: Reader) -> Iterator[Happening]:
        """What happened meanwhile, all of it. Raises what queries raise; what was not told by
        then comes the next time."""
        marks = self._marks(reader)
        for one, mark in zip(self._progress, marks, strict=True):
            one.looked += 1
            if one.open and (len(one.open) < _MANY_OPEN or one.looked % _MANY_OPEN_EVERY == 0):
                self._look_for_ends(reader, one)
            again = one.kind.exchanged and one.looked % _LONG_EVERY == 0
            if mark != one.mark or again or one.behind is not None:
                self._look(reader, one)
                one.mark = mark
        while True:
            behind = [one for one in self._progress if one.behind is not None]
            until_ns = min((one.behind or 0 for one in behind), default=None)
            yield from self._tell(reader, until_ns)
            if until_ns is None:
                return
            for one in behind:
                if one.behind == until_ns:
                    self._look(reader, one)

    def _marks(self, reader: Reader) -> Sequence[Any]:
        """For each table a number that is another one when rows have come."""
        numbers = (f"(SELECT max(rowid) FROM {one.kind.rows})" for one in self._progress)
        return tuple(reader.rows(f"SELECT {', '.join(numbers)}").rows[0])

    def _look(self, reader: Reader, one: _Progress) -> None:
        """Note what began in one table."""
        kind = one.kind
        since = self._since_ns
        if kind.exchanged and one.behind is None:
            one.place = -1
            if one.newest_ns:
                span_ns = _SHORT_NS if one.looked % _LONG_EVERY else _LONG_NS
                since = max(since, one.newest_ns - span_ns)
        found = reader.rows(
            f"SELECT rowid, {kind.begin} AS begun, {kind.end or 'NULL'}, {', '.join(kind.key)}"
            f" FROM {kind.rows} WHERE begun >= $since_ns AND rowid > $place"
            f" ORDER BY rowid LIMIT {_PAGE_ROWS}",
            {"since_ns": since, "place": one.place},
        )
        for place, begun_ns, ended_ns, *names in found:
            key = tuple(names)
            one.place = max(one.place, place)
            one.newest_ns = max(one.newest_ns, begun_ns)
            if key in one.seen:
                continue
            one.seen[key] = None
            self._note(one, begun_ns, kind.began, key)
            if ended_ns is not None:
                self._note(one, max(begun_ns, ended_ns), kind.ended, key)
            elif kind.end is not None:
                one.open[key] = begun_ns
        full = len(found) == _PAGE_ROWS
        one.behind = max(row[1] for row in found) if full else None
        _bound(one.seen, _REMEMBERED)
        _bound(one.open, _MOST_OPEN)
        if not kind.exchanged:
            one.counted = self._count(reader, one, one.place)

    def _look_for_ends(self, reader: Reader, one: _Progress) -> None:
        """Note which open rows have ended."""
        for key, ended_ns in self._ends(reader, one):
            if one.open.pop(key, None) is not None:
                self._note(one, ended_ns, one.kind.ended, key)

    def _ends(self, reader: Reader, one: _Progress) -> list[tuple[Key, int]]:
        """Which of the open rows have ended, and when."""
        kind = one.kind
        found = reader.rows(
            f"SELECT {kind.end} AS ended, {', '.join(kind.key)} FROM {kind.rows}"
            f" WHERE {kind.begin} >= $oldest_ns AND {kind.key[-1]} IN"
            " (SELECT unnest($keys::TEXT[])) AND ended IS NOT NULL",
            {"oldest_ns": min(one.open.values()), "keys": [key[-1] for key in one.open]},
        )
        return [(tuple(names), ended_ns) for ended_ns, *names in found]

    def _open_before(self, reader: Reader, one: _Progress) -> None:
        """Rows that began before, and whose end is to be told."""
        kind = one.kind
        if kind.end is None:
            return
        found = reader.rows(
            f"SELECT {kind.begin} AS begun, {', '.join(kind.key)} FROM {kind.rows}"
            f" WHERE begun < $since_ns AND coalesce({kind.end}, $since_ns) >= $since_ns"
            f" ORDER BY begun DESC LIMIT {_MOST_OPEN}",
            {"since_ns": self._since_ns},
        )
        one.open = {tuple(names): begun_ns for begun_ns, *names in reversed(found.rows)}
        one.seen = dict.fromkeys(one.open)

    def _count(self, reader: Reader, one: _Progress, place: int) -> tuple[int, int]:
        sql = f"SELECT count(*) FROM {one.kind.rows} WHERE rowid <= $place"
        return place, reader.rows(sql, {"place": place}).rows[0][0]

    def _note(self, one: _Progress, at_ns: int, event: str, key: Key) -> None:
        heapq.heappush(self._pending, (at_ns, self._number, event, key, one))
        self._number += 1

    def _tell(self, reader: Reader, until_ns: int | None) -> Iterator[Happening]:
        """What is noted, up to a time; a page at a time, taken off the list when it was told."""
        while self._pending and (until_ns is None or self._pending[0][0] <= until_ns):
            page: list[_Pending] = []
            while (
                self._pending
                and len(page) < _PAGE_ROWS
                and (until_ns is None or self._pending[0][0] <= until_ns)
            ):
                page.append(heapq.heappop(self._pending))
            try:
                records = self._records(reader, page)
            except BaseException:
                for each in page:
                    heapq.heappush(self._pending, each)
                raise
            for at_ns, _, event, key, one in page:
                record = records.get((one.kind.name, key))
                if record is not None:
                    yield Happening(event, one.kind.name, at_ns, record)

    def _records(self, reader: Reader, page: Sequence[_Pending]) -> dict[tuple[str, Key], Record]:
        """The rows that fit the filter, by kind and key."""
        found: dict[tuple[str, Key], Record] = {}
        for one in self._progress:
            keys = [key for _, _, _, key, owner in page if owner is one]
            if not keys:
                continue
            sql, given = one.select
            wanted = dict.fromkeys(keys)
            for part in _parts(list(wanted)):
                asked = {**given, "happened": [key[-1] for key in part]}
                for record in reader.rows(sql, asked).records():
                    key = tuple(record[name] for name in one.kind.key)
                    if key in wanted:
                        found[one.kind.name, key] = record
        return found

    def _select(self, reader: Reader, kind: Kind) -> tuple[str, dict[str, Any]]:
        chosen, given = chosen_sql(reader, kind.table, Narrowed(where=self._where))
        sql = f"SELECT * {chosen} AND {kind.key[-1]} IN (SELECT unnest($happened::TEXT[]))"
        if self._session:
            sql += " AND starts_with(session_id, $beginning)"
            given = {**given, "beginning": self._session}
        return sql, given


def _parts(keys: list[Key]) -> Iterator[list[Key]]:
    """Few keys a query, which then reads little of a large table; of many, all in one that reads
    all of it."""
    size = _FEW_KEYS if len(keys) < 10 * _FEW_KEYS else len(keys)
    for at in range(0, len(keys), size or 1):
        yield keys[at : at + size]


def _bound(remembered: dict[Key, Any], most: int) -> None:
    """Forget the oldest."""
    if len(remembered) > most:
        for key in list(remembered)[: len(remembered) - most]:
            del remembered[key]
