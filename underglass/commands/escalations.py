"""`underglass escalations`: when a human, a policy or root was needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from underglass.listing import listing

if TYPE_CHECKING:
    from analysis.reading import Reader
    from analysis.result import Record


def _rows(reader: Reader, since_ns: int | None, session: str | None) -> list[Record]:
    from analysis.findings import ESCALATION_KINDS, finding_records, findings

    return finding_records(
        findings(reader, since_ns=since_ns, session=session, kinds=ESCALATION_KINDS)
    )


command = listing(
    "escalations",
    "Find denials, questions to humans, hand-offs and privilege changes.",
    _rows,
    empty="no escalations found",
    analysed=True,
)
