"""`underglass requests`: what agents asked providers that is no call to a model."""

from __future__ import annotations

from underglass.listing import listing

command = listing(
    "requests",
    "List requests to providers that infer nothing: token counts, model lists, batches, files.",
    empty="no such requests stored",
)
