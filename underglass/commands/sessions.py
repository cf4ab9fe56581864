"""`underglass sessions`: who talked to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from underglass.listing import listing

if TYPE_CHECKING:
    from analysis.reading import Reader
    from analysis.result import Record


def _rows(reader: Reader, since_ns: int | None, session: str | None) -> list[Record]:
    from analysis import reading

    return reading.sessions(reader, since_ns, session).records()


command = listing(
    "sessions",
    "List sessions: agent, calls, tokens, cost, errors.",
    _rows,
    empty="no sessions stored yet; watch an agent: underglass run -- CMD",
)
