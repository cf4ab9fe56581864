from __future__ import annotations

from tests.collector.llm.providers.served import assert_plain


def test_chat() -> None:
    assert_plain("chutes", "https://llm.chutes.ai/v1", "deepseek-ai/DeepSeek-V3.1")
