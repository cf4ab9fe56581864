"""`underglass tools`: what the model asked for and what came back."""

from __future__ import annotations

from underglass.listing import listing

command = listing(
    "tools",
    "List tool calls with their results.",
    empty="no tool calls stored",
)
