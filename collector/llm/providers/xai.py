"""xAI."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="x_ai",
    hosts=("api.x.ai",),
    price_id="x-ai",
)
