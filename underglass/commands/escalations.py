"""`underglass escalations`: when a human, a policy or root was needed."""

from __future__ import annotations

from underglass.listing import listing


def _kinds() -> frozenset[str]:
    from analysis.findings import ESCALATION_KINDS

    return ESCALATION_KINDS


command = listing(
    "escalations",
    "Find denials, questions to humans, hand-offs and privilege changes.",
    empty="no escalations found",
    table="findings",
    kinds=_kinds,
    analysed=True,
)
