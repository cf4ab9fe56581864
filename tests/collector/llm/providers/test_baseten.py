from __future__ import annotations

import pytest

from tests.collector.llm.providers.served import assert_plain


@pytest.mark.parametrize(
    "base_url",
    [
        "https://inference.baseten.co/v1",
        "https://model-abc123.api.baseten.co/environments/production/sync/v1",
    ],
)
def test_chat(base_url: str) -> None:
    assert_plain("baseten", base_url, "deepseek-ai/DeepSeek-V3.1")
