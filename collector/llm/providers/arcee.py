"""Arcee AI: `https://api.arcee.ai/api/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="arcee",
    hosts=("api.arcee.ai",),
)
