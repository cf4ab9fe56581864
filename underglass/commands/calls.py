"""`underglass calls`: every call to a model."""

from __future__ import annotations

from underglass.listing import listing

command = listing(
    "calls",
    "List LLM calls, the newest last.",
    empty="no LLM calls stored yet; watch an agent: underglass run -- CMD",
)
