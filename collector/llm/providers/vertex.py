"""Google Cloud's Vertex AI, which speaks Gemini's API (see `gemini`) and its publishers' own."""

from __future__ import annotations

from collector.llm.anthropic_vertex import AnthropicVertex
from collector.llm.google_requests import VERTEX_REQUESTS
from collector.llm.provider import Provider

PROVIDER = Provider(
    name="gcp.vertex_ai",
    hosts=(
        "aiplatform.googleapis.com",
        "aiplatform.us.rep.googleapis.com",
        "aiplatform.eu.rep.googleapis.com",
    ),
    price_id="google",
    apis=(AnthropicVertex(),),
    requests=VERTEX_REQUESTS,
)
