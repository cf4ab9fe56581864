from __future__ import annotations

from tests.collector.llm.providers.served import assert_plain


def test_chat() -> None:
    assert_plain("ovhcloud", "https://oai.endpoints.kepler.ai.cloud.ovh.net/v1", "gpt-oss-120b")
