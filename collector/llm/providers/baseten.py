"""Baseten: `https://inference.baseten.co/v1`, a deployment's own host under `api.baseten.co`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="baseten",
    hosts=("inference.baseten.co", "api.baseten.co"),
)
