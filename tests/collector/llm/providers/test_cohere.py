from __future__ import annotations

import pytest

from tests.collector.llm.providers.served import assert_plain, served


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/v2/chat", "cohere.chat"),
        ("/v2/embed", "cohere.embed"),
        ("/v2/rerank", "cohere.rerank"),
        ("/v1/rerank", "cohere.rerank"),
    ],
)
def test_apis(path: str, api: str) -> None:
    served("cohere", f"https://api.cohere.com{path}", api)
    served("cohere", f"https://api.cohere.ai{path}", api)


def test_openais_api() -> None:
    assert_plain("cohere", "https://api.cohere.ai/compatibility/v1", "command-a-03-2025")
