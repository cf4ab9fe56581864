from __future__ import annotations

import pytest

from tests.collector.llm.providers.served import assert_plain


@pytest.mark.parametrize("path", ["openai/v1", "v3/openai", "openai"])
def test_chat(path: str) -> None:
    assert_plain("novita_ai", f"https://api.novita.ai/{path}", "deepseek/deepseek-v3.1")
