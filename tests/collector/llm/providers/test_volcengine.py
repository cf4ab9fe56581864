from __future__ import annotations

from tests.collector.llm.providers.served import assert_plain


def test_chat() -> None:
    assert_plain("volcengine", "https://ark.cn-beijing.volces.com/api/v3", "doubao-seed-1-6-250615")
