"""Google's Gemini API, and Code Assist, which serves its models to Google's CLI and IDEs.

OpenTelemetry has `gcp.gemini` for generativelanguage.googleapis.com, `gcp.vertex_ai` for
aiplatform.googleapis.com, and `gcp.gen_ai` for any Google endpoint. Code Assist is neither of the
first two hosts; it counts as `gcp.gemini`, because it is the Gemini models that it serves, without
a Vertex AI project of the caller's, and because they are priced and named alike.
"""

from __future__ import annotations

from collector.llm.gemini import Gemini
from collector.llm.gemini_embeddings import GeminiEmbeddings
from collector.llm.google_requests import GEMINI_REQUESTS
from collector.llm.provider import Provider

PROVIDER = Provider(
    name="gcp.gemini",
    hosts=(
        "generativelanguage.googleapis.com",
        "cloudcode-pa.googleapis.com",
        "daily-cloudcode-pa.sandbox.googleapis.com",
        "autopush-cloudcode-pa.sandbox.googleapis.com",
    ),
    price_id="google",
    apis=(Gemini(), GeminiEmbeddings()),
    requests=GEMINI_REQUESTS,
)
