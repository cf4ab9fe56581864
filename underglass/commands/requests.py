"""`underglass requests`: what agents asked providers that is no call to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from underglass.listing import listing

if TYPE_CHECKING:
    from analysis.reading import Reader
    from analysis.result import Record


def _rows(reader: Reader, since_ns: int | None, session: str | None) -> list[Record]:
    from analysis import reading

    return reading.requests(reader, since_ns, session).records()


command = listing(
    "requests",
    "List requests to providers that infer nothing: token counts, model lists, batches, files.",
    _rows,
    empty="no such requests stored",
)
