"""`underglass tools`: what the model asked for and what came back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from underglass.listing import listing

if TYPE_CHECKING:
    from analysis.reading import Reader
    from analysis.result import Record


def _rows(reader: Reader, since_ns: int | None, session: str | None) -> list[Record]:
    from analysis import reading

    return reading.tools(reader, since_ns, session).records()


command = listing(
    "tools", "List tool calls with their results.", _rows, empty="no tool calls stored"
)
