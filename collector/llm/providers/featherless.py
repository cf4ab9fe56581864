"""Featherless AI: `https://api.featherless.ai/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="featherless_ai",
    hosts=("api.featherless.ai",),
)
