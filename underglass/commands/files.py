"""`underglass files`: what programs did to files."""

from __future__ import annotations

from underglass.listing import listing

command = listing(
    "files",
    "List what the programs of watched agents did to files.",
    empty="no file events stored",
)
