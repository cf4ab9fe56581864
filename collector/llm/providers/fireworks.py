"""Fireworks AI."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="fireworks_ai",
    hosts=("api.fireworks.ai",),
    price_id="fireworks",
)
