"""Groq."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="groq",
    hosts=("api.groq.com",),
)
