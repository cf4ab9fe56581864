from __future__ import annotations

from tests.collector.llm.providers.served import assert_plain


def test_chat() -> None:
    assert_plain("scaleway", "https://api.scaleway.ai/v1", "qwen3-235b-a22b-instruct-2507")
