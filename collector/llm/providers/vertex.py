"""Google Cloud's Vertex AI."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="gcp.vertex_ai",
    hosts=("aiplatform.googleapis.com",),
    price_id="google",
)
