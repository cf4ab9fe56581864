"""`underglass loops`: repeated work that makes no progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from underglass.listing import listing

if TYPE_CHECKING:
    from analysis.reading import Reader
    from analysis.result import Record


def _rows(reader: Reader, since_ns: int | None, session: str | None) -> list[Record]:
    from analysis.findings import LOOP_KINDS, RUNAWAY_KINDS, finding_records, findings

    kinds = LOOP_KINDS | RUNAWAY_KINDS
    return finding_records(findings(reader, since_ns=since_ns, session=session, kinds=kinds))


command = listing(
    "loops",
    "Find work that repeats without progress, and sessions that do not come to an end.",
    _rows,
    empty="no loops found",
    analysed=True,
)
