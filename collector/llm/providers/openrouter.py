"""OpenRouter."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="openrouter",
    hosts=("openrouter.ai",),
)
