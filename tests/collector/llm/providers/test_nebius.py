from __future__ import annotations

import pytest

from tests.collector.llm.providers.served import assert_plain


@pytest.mark.parametrize(
    ("base_url", "model"),
    [
        ("https://api.tokenfactory.nebius.com/v1", "Qwen/Qwen3-235B-A22B-Instruct-2507"),
        ("https://api.studio.nebius.ai/v1", "Qwen/Qwen3-32B"),
    ],
)
def test_chat(base_url: str, model: str) -> None:
    assert_plain("nebius", base_url, model)
