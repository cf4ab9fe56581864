"""Morph: `https://api.morphllm.com/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="morph",
    hosts=("api.morphllm.com",),
)
