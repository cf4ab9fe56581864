"""Hugging Face's Inference Providers: `https://router.huggingface.co/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="huggingface",
    hosts=("router.huggingface.co", "api-inference.huggingface.co"),
)
