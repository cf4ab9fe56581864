"""Mistral AI."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="mistral_ai",
    hosts=("mistral.ai",),
    price_id="mistral",
)
