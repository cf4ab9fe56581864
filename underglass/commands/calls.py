"""`underglass calls`: every call to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from underglass.listing import listing

if TYPE_CHECKING:
    from analysis.reading import Reader
    from analysis.result import Record


def _rows(reader: Reader, since_ns: int | None, session: str | None) -> list[Record]:
    from analysis import reading

    return reading.calls(reader, since_ns, session).records()


command = listing(
    "calls",
    "List LLM calls, oldest first.",
    _rows,
    empty="no LLM calls stored yet; watch an agent: underglass run -- CMD",
)
