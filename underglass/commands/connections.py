"""`underglass connections`: whom programs connected to."""

from __future__ import annotations

from underglass.listing import listing

command = listing(
    "connections",
    "List the addresses and hosts that watched agents' programs connected to.",
    empty="no connections stored",
)
