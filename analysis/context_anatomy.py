"""What fills a session's requests, put together for people: parts of one, and growth turn by turn.

In: records of `queries/context.sql` (`context_records`). Out: `Part`s of a request, largest tools
and files under them, and a `TurnGrowth` for each turn: `underglass context` and the dashboard's
view print these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.reading import Reader, query
from analysis.result import Record

PARTS: tuple[tuple[str, str], ...] = (
    ("system_bytes", "system prompt"),
    ("tool_schema_bytes", "tool schemas"),
    ("user_bytes", "user"),
    ("assistant_bytes", "assistant"),
    ("tool_result_bytes", "tool results"),
    ("other_bytes", "other"),
)
"""Fields of a request and their names, in the order in which they are sent."""
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Part:
    """Something in a request. `level` 0: a part of `PARTS`, or all files; 1: one of what is in it,
    or the rest of those (`rest` says how many). `field`: of `PARTS`, or `files`."""

    level: int
    field: str
    name: str
    size_bytes: int
    rest: int = 0


@dataclass(frozen=True, slots=True)
class TurnGrowth:
    """One turn. `turn` None: it is not known which. `last`: the request at its end, but none that
    asks for a summary; `grown_bytes` and `again_share` are over all of its `requests`."""

    turn: int | None
    requests: tuple[Record, ...]
    last: Record
    grown_bytes: int
    again_share: float
    compacted: bool


def context_records(reader: Reader, session_id: str, since_ns: int | None = None) -> list[Record]:
    """The requests of a session whose messages are known, in order. Raises `QueryFailed`."""
    about = {"session": session_id, "since_ns": since_ns}
    return reader.rows(query("context"), about).records()


def without_summaries(rows: Sequence[Record]) -> Sequence[Record]:
    """Without requests that only ask for a summary, unless there are no others."""
    return [row for row in rows if row["compaction"] != "request"] or rows


def sent_again(rows: Iterable[Mapping[str, Any]]) -> float | None:
    """The share of what was sent that had been sent before; None when nothing was."""
    pairs = [(row["resent_bytes"], row["total_bytes"]) for row in rows]
    total = sum(size for _, size in pairs)
    return sum(again for again, _ in pairs) / total if total else None


def parts_of(row: Mapping[str, Any], most: int = MOST_NAMED) -> list[Part]:
    """What fills one request: parts that are not empty, the largest tools and files below them."""
    found: list[Part] = []
    for field, name in PARTS:
        if not row[field]:
            continue
        found.append(Part(0, field, name, row[field]))
        if field == "tool_result_bytes":
            found += _named(field, row["parts"].get("tools") or {}, most)
    files = row["parts"].get("files") or {}
    if files:
        found.append(Part(0, "files", "of it files", sum(files.values())))
        found += _named("files", files, most)
    return found


def _named(field: str, sizes: Mapping[str, int], most: int) -> list[Part]:
    named = list(sizes.items())
    found = [Part(1, field, name, size) for name, size in named[:most]]
    if rest := sum(size for _, size in named[most:]):
        found.append(Part(1, field, f"{len(named) - most} more", rest, len(named) - most))
    return found


def growth(rows: Iterable[Record]) -> list[TurnGrowth]:
    """A `TurnGrowth` for each turn, in order."""
    turns: dict[Any, list[Record]] = {}
    for row in rows:
        turns.setdefault(row["turn"], []).append(row)
    return [
        TurnGrowth(
            turn=turn,
            requests=tuple(held),
            last=without_summaries(held)[-1],
            grown_bytes=sum(
                row["grown_bytes"] or 0 for row in held if row["compaction"] != "request"
            ),
            again_share=sent_again(held) or 0.0,
            compacted=any(row["compaction"] in ("after", "generic") for row in held),
        )
        for turn, held in turns.items()
    ]
