"""Scaleway's Generative APIs: `https://api.scaleway.ai/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="scaleway",
    hosts=("api.scaleway.ai",),
)
