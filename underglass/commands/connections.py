"""`underglass connections`: whom programs connected to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from underglass.listing import listing

if TYPE_CHECKING:
    from analysis.reading import Reader
    from analysis.result import Record


def _rows(reader: Reader, since_ns: int | None, session: str | None) -> list[Record]:
    from analysis import reading

    return reading.connections(reader, since_ns, session).records()


command = listing(
    "connections",
    "List the addresses and hosts that watched agents' programs connected to.",
    _rows,
    empty="no connections stored",
)
