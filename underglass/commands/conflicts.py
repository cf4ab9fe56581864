"""`underglass conflicts`: agents in each other's way."""

from __future__ import annotations

from underglass.listing import listing


def _kinds() -> frozenset[str]:
    from analysis.findings import CONFLICT_KINDS

    return CONFLICT_KINDS


command = listing(
    "conflicts",
    "Find agents that wrote over each other's files, did work twice or waited at locks.",
    empty="no conflicts found",
    table="findings",
    kinds=_kinds,
    analysed=True,
)
