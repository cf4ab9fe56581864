"""Together AI."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="together_ai",
    hosts=("api.together.xyz", "api.together.ai"),
    price_id="together",
)
