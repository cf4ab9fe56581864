"""`underglass loops`: repeated work that makes no progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from underglass.listing import listing

if TYPE_CHECKING:
    from analysis.reading import Reader
    from analysis.result import Record


def _rows(reader: Reader, since_ns: int | None, session: str | None) -> list[Record]:
    from analysis.findings import finding_records, findings
    from analysis.loops import LOOP_KINDS

    return finding_records(findings(reader, since_ns=since_ns, session=session, kinds=LOOP_KINDS))


command = listing(
    "loops",
    "Find tool calls that repeat with the same result, and cycles of them.",
    _rows,
    empty="no loops found",
)
