from __future__ import annotations

from tests.collector.llm.providers.served import assert_plain


def test_chat() -> None:
    assert_plain(
        "friendli_ai", "https://api.friendli.ai/serverless/v1", "meta-llama-3.1-8b-instruct"
    )
