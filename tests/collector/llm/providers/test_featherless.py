from __future__ import annotations

from tests.collector.llm.providers.served import assert_plain


def test_chat() -> None:
    assert_plain(
        "featherless_ai", "https://api.featherless.ai/v1", "Qwen/Qwen2.5-Coder-32B-Instruct"
    )
