"""`underglass sessions`: who talked to a model."""

from __future__ import annotations

from underglass.listing import listing

command = listing(
    "sessions",
    "List sessions: agent, calls, tokens, cost, errors.",
    empty="no sessions stored yet; watch an agent: underglass run -- CMD",
)
