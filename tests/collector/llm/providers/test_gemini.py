from __future__ import annotations

import pytest

from tests.collector.llm.providers.served import assert_plain, served

HOST = "https://generativelanguage.googleapis.com"


@pytest.mark.parametrize(
    ("url", "api"),
    [
        (f"{HOST}/v1beta/models/gemini-2.5-pro:generateContent", "gemini"),
        (f"{HOST}/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "gemini"),
        (f"{HOST}/v1beta/models/gemini-embedding-001:batchEmbedContents", "gemini.embeddings"),
        ("https://cloudcode-pa.googleapis.com/v1internal:streamGenerateContent", "gemini"),
        (
            "https://daily-cloudcode-pa.sandbox.googleapis.com/v1internal:generateContent",
            "gemini",
        ),
        (
            "https://autopush-cloudcode-pa.sandbox.googleapis.com/v1internal:generateContent",
            "gemini",
        ),
        ("https://gateway.example/v1beta/models/gemini-2.5-pro:generateContent", "gemini"),
    ],
)
def test_apis(url: str, api: str) -> None:
    served("gcp.gemini", url, api)


def test_openais_api() -> None:
    assert_plain("gcp.gemini", f"{HOST}/v1beta/openai", "gemini-2.5-flash")
