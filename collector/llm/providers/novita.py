"""Novita AI: `https://api.novita.ai/openai/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="novita_ai",
    hosts=("api.novita.ai",),
    price_id="novita",
)
