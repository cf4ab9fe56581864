from __future__ import annotations

from tests.collector.llm.providers.served import assert_plain, served


def test_chat() -> None:
    assert_plain("zhipu_ai", "https://open.bigmodel.cn/api/paas/v4", "glm-4.6")


def test_anthropics_api() -> None:
    url = "https://open.bigmodel.cn/api/anthropic/v1/messages"
    served("zhipu_ai", url, "anthropic.messages")
