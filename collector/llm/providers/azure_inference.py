"""Azure AI inference (Foundry)."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="azure.ai.inference",
    hosts=("services.ai.azure.com", "inference.ai.azure.com"),
    price_id="azure",
)
