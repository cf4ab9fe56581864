from __future__ import annotations

from tests.collector.llm.providers.served import assert_plain


def test_chat() -> None:
    assert_plain("morph", "https://api.morphllm.com/v1", "morph-v3-fast")
