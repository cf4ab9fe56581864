"""`underglass processes`: the programs that agents ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

from underglass.listing import listing

if TYPE_CHECKING:
    from analysis.reading import Reader
    from analysis.result import Record


def _rows(reader: Reader, since_ns: int | None, session: str | None) -> list[Record]:
    from analysis import reading

    return reading.processes(reader, since_ns, session).records()


command = listing(
    "processes", "List the programs that watched agents ran.", _rows, empty="no processes stored"
)
