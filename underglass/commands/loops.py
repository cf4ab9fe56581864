"""`underglass loops`: repeated work that makes no progress."""

from __future__ import annotations

from underglass.listing import listing


def _kinds() -> frozenset[str]:
    from analysis.findings import LOOP_KINDS, RUNAWAY_KINDS

    return LOOP_KINDS | RUNAWAY_KINDS


command = listing(
    "loops",
    "Find work that repeats without progress, and sessions that do not come to an end.",
    empty="no loops found",
    table="findings",
    kinds=_kinds,
    analysed=True,
)
