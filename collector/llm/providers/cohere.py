"""Cohere."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="cohere",
    hosts=("api.cohere.ai", "api.cohere.com"),
)
