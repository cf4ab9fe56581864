"""Google's Gemini API."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="gcp.gemini",
    hosts=("generativelanguage.googleapis.com",),
    price_id="google",
)
