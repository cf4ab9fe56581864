"""Nscale: `https://inference.api.nscale.com/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="nscale",
    hosts=("inference.api.nscale.com",),
)
