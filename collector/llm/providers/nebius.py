"""Nebius Token Factory: `https://api.tokenfactory.nebius.com/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="nebius",
    hosts=("api.tokenfactory.nebius.com", "api.studio.nebius.ai", "api.studio.nebius.com"),
)
