"""Perplexity."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="perplexity",
    hosts=("api.perplexity.ai",),
)
