"""Chutes: `https://llm.chutes.ai/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="chutes",
    hosts=("llm.chutes.ai",),
)
