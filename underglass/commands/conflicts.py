"""`underglass conflicts`: agents in each other's way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from underglass.listing import listing

if TYPE_CHECKING:
    from analysis.reading import Reader
    from analysis.result import Record


def _rows(reader: Reader, since_ns: int | None, session: str | None) -> list[Record]:
    from analysis.findings import CONFLICT_KINDS, finding_records, findings

    return finding_records(
        findings(reader, since_ns=since_ns, session=session, kinds=CONFLICT_KINDS)
    )


command = listing(
    "conflicts",
    "Find agents that wrote over each other's files, did work twice or waited at locks.",
    _rows,
    empty="no conflicts found",
    analysed=True,
)
