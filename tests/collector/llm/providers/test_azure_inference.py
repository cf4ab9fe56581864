from __future__ import annotations

import pytest

from tests.collector.llm.providers.served import assert_plain


@pytest.mark.parametrize(
    ("base_url", "model"),
    [
        ("https://me.services.ai.azure.com/models", "Phi-4"),
        ("https://me.inference.ai.azure.com", "Phi-4"),
    ],
)
def test_chat(base_url: str, model: str) -> None:
    assert_plain("azure.ai.inference", base_url, model)
