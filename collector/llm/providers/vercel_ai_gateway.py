"""Vercel's AI Gateway: `https://ai-gateway.vercel.sh/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="vercel_ai_gateway",
    hosts=("ai-gateway.vercel.sh",),
)
