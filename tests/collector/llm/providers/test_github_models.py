from __future__ import annotations

import pytest

from tests.collector.llm.providers.served import assert_plain


@pytest.mark.parametrize(
    ("base_url", "model"),
    [
        ("https://models.github.ai/inference", "openai/gpt-4.1"),
        ("https://models.github.ai/orgs/octo/inference", "openai/gpt-4.1"),
        ("https://models.inference.ai.azure.com", "gpt-4o"),
    ],
)
def test_chat(base_url: str, model: str) -> None:
    assert_plain("github_models", base_url, model)
