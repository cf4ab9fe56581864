from __future__ import annotations

import pytest

from tests.collector.llm.providers.served import assert_plain, served

REGIONAL = "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1"


@pytest.mark.parametrize(
    ("url", "api"),
    [
        (f"{REGIONAL}/publishers/google/models/gemini-2.5-pro:generateContent", "gemini"),
        (f"{REGIONAL}/endpoints/1234:streamGenerateContent?alt=sse", "gemini"),
        (f"{REGIONAL}/publishers/google/models/text-embedding-005:predict", "gemini.embeddings"),
        (
            f"{REGIONAL}/publishers/anthropic/models/claude-sonnet-4@20250514:streamRawPredict",
            "anthropic.vertex",
        ),
        (
            "https://aiplatform.googleapis.com/v1/publishers/google/models/g:generateContent?key=k",
            "gemini",
        ),
        (
            "https://aiplatform.us.rep.googleapis.com/v1/publishers/google/models/g:embedContent",
            "gemini.embeddings",
        ),
    ],
)
def test_apis(url: str, api: str) -> None:
    served("gcp.vertex_ai", url, api)


def test_openais_api() -> None:
    assert_plain("gcp.vertex_ai", f"{REGIONAL}/endpoints/openapi", "google/gemini-2.5-flash")
