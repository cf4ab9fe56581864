from __future__ import annotations

from tests.collector.llm.providers.served import assert_plain


def test_chat() -> None:
    assert_plain("arcee", "https://api.arcee.ai/api/v1", "trinity-mini")
