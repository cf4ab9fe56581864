"""Hyperbolic: `https://api.hyperbolic.xyz/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="hyperbolic",
    hosts=("api.hyperbolic.xyz",),
)
