"""Which calls answer in a conversation, by `gen_ai.operation.name`: others embed or rank."""

from __future__ import annotations

ANSWERING = frozenset({"chat", "generate_content", "text_completion"})
"""`generate_content` is Gemini's, `text_completion` that of the older completion APIs."""
