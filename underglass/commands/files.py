"""`underglass files`: what programs did to files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from underglass.listing import listing

if TYPE_CHECKING:
    from analysis.reading import Reader
    from analysis.result import Record


def _rows(reader: Reader, since_ns: int | None, session: str | None) -> list[Record]:
    from analysis import reading

    return reading.files(reader, since_ns, session).records()


command = listing(
    "files",
    "List what the programs of watched agents did to files.",
    _rows,
    empty="no file events stored",
)
