"""Voyage AI: `https://api.voyageai.com/v1`, embeddings and reranking."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="voyage_ai",
    hosts=("api.voyageai.com",),
    price_id="voyageai",
)
