"""Cerebras."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="cerebras",
    hosts=("api.cerebras.ai",),
)
