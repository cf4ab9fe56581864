"""`underglass processes`: the programs that agents ran."""

from __future__ import annotations

from underglass.listing import listing

command = listing(
    "processes",
    "List the programs that watched agents ran.",
    empty="no processes stored",
)
