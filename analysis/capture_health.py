"""Is the capture healthy: what came, what was lost and what to do about it, who is seen.

In: the views `health`, `captures` and `coverage`. Out: a `HealthPage`: for each source captured +
lost + truncated + ignored bytes, which are all that the programs sent and received through it;
losses and what could not be decoded by cause, with the remedy where there is one; programs, those
of which least is seen first. Drawn by `tui.views.health`; `underglass health` and `coverage` print
the same counters.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from analysis.reading import Reader, query
from analysis.table_layout import Row

MOST_CAPTURES = 5
MOST_PROGRAMS = 300
_LOSING = frozenset(
    {
        "lost_events", "lost_bytes", "truncated_bytes", "lost_content_bytes", "truncated_paths",
        "truncated_messages", "unkept_bytes",
    }
)  # fmt: skip
_ACTIONS = frozenset({"process", "file", "network", "privilege"})
_DERIVED = frozenset({"stream", "http", "probe", "dns", "content", "rpc", "raw_data"})
_FEWER = "watch fewer programs: --pid or --name instead of --all"
_RING = "UNDERGLASS_RING_KIB=131072 makes the buffer larger; 32768 if not set"
_FIXES = {
    "ring_full": _RING,
    "connection_table_full": _FEWER,
    "targets_table_full": _FEWER,
    "size_limit": "keep more: --raw-limit 4G",
    "write_failed": "make room on the disk of the store",
}
_MEANS = {
    "ring_full": "came faster than they were taken",
    "read_fault": "the program's memory could not be read",
    "nested_too_deep": "TLS calls inside each other",
    "connection_table_full": "too many connections open at once",
    "targets_table_full": "too many processes at once: the latest are not followed",
    "call_too_long": "calls are cut after 2 MiB",
    "argv_too_long": "command lines beyond 64 KiB are cut",
    "gap": "holes in streams",
    "too_long": "messages too long to keep",
    "not_http": "connections that speak something else",
    "server_side": "connections to a server that is watched",
    "no_llm_call": "HTTP without a call to a model",
    "joined_late": "connections that were open when capture came",
    "undecided": "connections that ended before their protocol was known",
    "too_short": "connections that ended before their protocol was known",
    "cut": "messages that the end of the capture cut",
    "closed": "messages that the end of the connection cut",
    "resync": "bytes behind a message where no other began",
    "half_not_joined": "TLS records whose socket was not seen",
    "request_body": "request bodies that are no JSON",
    "response_body": "response bodies that could not be read",
    "response_events": "streams of events that could not be read",
    "socket_message": "WebSocket messages that could not be read",
    "upgraded": "another protocol behind 101 Switching Protocols",
    "request_abandoned": "requests that were given up",
    "response_without_request": "answers to requests that were not seen",
    "not_json_rpc": "channels that carry something else",
    "no_answer": "datagrams that are no answer of a name server",
}
_HARMLESS = frozenset({"not_http", "server_side", "no_llm_call", "not_json_rpc", "no_answer"})


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """What one source saw. Bytes are None for sources that count events alone."""

    source: str
    events: int
    lost_events: int
    captured_bytes: int | None
    lost_bytes: int
    truncated_bytes: int
    ignored_bytes: int

    @property
    def sent_bytes(self) -> int | None:
        """All that the programs sent and received through it."""
        if self.captured_bytes is None:
            return None
        return self.captured_bytes + self.lost_bytes + self.truncated_bytes + self.ignored_bytes


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that is missing: events or bytes, as `counter` says. `fix`: what to do."""

    source: str
    counter: str
    cause: str
    value: int
    meaning: str
    fix: str | None


@dataclass(frozen=True, slots=True)
class CaptureState:
    """One capture. `ended_at` None: it runs, or it crashed."""

    capture_id: str
    started_at: datetime.datetime | None
    ended_at: datetime.datetime | None
    command: str
    version: str
    raw_state: str | None
    attached: int | None
    events: int | None


@dataclass(frozen=True, slots=True)
class HealthPage:
    """`reader` is who answered: `file` or `collector pid N`. `read_ns`: when (Unix time).

    `programs` are rows of `coverage`; `ranks` how many there are by rank (1 unseen ... 5 hooked).
    """

    reader: str
    captures: tuple[CaptureState, ...]
    capture_total: int
    sources: tuple[SourceHealth, ...]
    losses: tuple[Loss, ...]
    undecoded: tuple[Loss, ...]
    programs: tuple[Row, ...]
    ranks: dict[int, int]
    program_total: int
    running_calls: int
    read_ns: int = field(default=0, compare=False)

    @property
    def events(self) -> int:
        """Events that all captures together saw."""
        return sum(one.events for one in self.sources)

    @property
    def live(self) -> bool:
        """Does a collector answer, which captures?"""
        return self.reader != "file"


def health_page(reader: Reader, now_ns: int) -> HealthPage:
    """Health of everything in the store."""
    counters = [
        {"source": source, "counter": counter, "cause": cause, "value": value}
        for source, counter, cause, value in reader.rows(query("health"))
    ]
    captures = reader.rows(query("health_captures"), {"limit": MOST_CAPTURES}).rows
    coverage = query("health_programs").replace("{coverage}", query("coverage"))
    programs = reader.rows(coverage, {"limit": MOST_PROGRAMS})
    records = [dict(zip(programs.columns, row, strict=True)) for row in programs]
    running = reader.rows(query("health_running")).rows[0][0]
    return HealthPage(
        reader=reader.source,
        captures=tuple(CaptureState(*row[:-1]) for row in captures),
        capture_total=captures[0][-1] if captures else 0,
        sources=sources(counters),
        losses=losses(counters),
        undecoded=undecoded(counters),
        programs=tuple(records),
        ranks={row["rank"]: row["alike"] for row in records},
        program_total=records[0]["total"] if records else 0,
        running_calls=running,
        read_ns=now_ns,
    )


def sources(counters: Iterable[Row]) -> tuple[SourceHealth, ...]:
    """The probes' sources, those with most bytes first, then those that count events alone."""
    by_source: dict[str, dict[str, int]] = {}
    for row in counters:
        if row["source"] not in _DERIVED:
            counted = by_source.setdefault(row["source"], {})
            counted[row["counter"]] = counted.get(row["counter"], 0) + row["value"]
    found = [
        SourceHealth(
            source=source,
            events=counted.get("captured_events", 0),
            lost_events=counted.get("lost_events", 0),
            captured_bytes=None if source in _ACTIONS else counted.get("captured_bytes", 0),
            lost_bytes=counted.get("lost_bytes", 0),
            truncated_bytes=counted.get("truncated_bytes", 0),
            ignored_bytes=counted.get("ignored_bytes", 0),
        )
        for source, counted in by_source.items()
        if "captured_events" in counted
    ]
    return tuple(
        sorted(
            found,
            key=lambda one: (
                one.sent_bytes is None, -(one.sent_bytes or 0), -one.events, one.source
            ),
        )
    )  # fmt: skip


def losses(counters: Iterable[Row]) -> tuple[Loss, ...]:
    """What was lost, most first. Holes in streams are the same bytes, told where they were lost:
    they stand alone when nothing else tells of them."""
    found = [
        _loss(row)
        for row in counters
        if row["value"] and row["counter"] in _LOSING and row["source"] != "stream"
    ]
    if not any(one.counter in ("lost_bytes", "truncated_bytes") for one in found):
        found += [
            _loss(row)
            for row in counters
            if row["value"] and row["source"] == "stream" and row["counter"] == "lost_bytes"
        ]
    return tuple(sorted(found, key=_most))


def undecoded(counters: Iterable[Row]) -> tuple[Loss, ...]:
    """What was captured and not understood, that which matters first, then most first."""
    found = [
        _loss(row)
        for row in counters
        if row["value"] and row["counter"] in ("undecoded_bytes", "undecoded_events")
    ]
    return tuple(sorted(found, key=lambda one: (is_harmless(one), *_most(one))))


def is_harmless(loss: Loss) -> bool:
    """Was what could not be decoded none of our business?"""
    return loss.cause in _HARMLESS


def advice(program: Row) -> str:
    """What a row of coverage means, and what to do where something is missing."""
    rank = program["rank"]
    detail = program["detail"] or ""
    if rank == 1:
        return f"{detail or 'no TLS stack found'}; what it says is not seen. See docs/limits.md"
    if rank == 2:
        what = "unhooked, as what came was no HTTP" if program["status"] == "rejected" else ""
        return "; ".join(filter(None, (what, detail, "underglass coverage --now looks again")))
    if rank == 4:
        return f"{detail}; until its first bytes look like HTTP"
    return str(detail)


def _loss(row: Row) -> Loss:
    cause = row["cause"]
    fix = _FIXES.get(cause)
    if cause == "ring_full" and row["source"] in _ACTIONS:
        fix = _FEWER  # these rings have one size
    return Loss(
        row["source"], row["counter"], cause, row["value"],
        _MEANS.get(cause, cause.replace("_", " ")), fix,
    )  # fmt: skip


def _most(loss: Loss) -> tuple[Any, ...]:
    return (-loss.value, loss.source, loss.counter, loss.cause)
