from __future__ import annotations

from tests.collector.llm.providers.served import assert_plain


def test_chat() -> None:
    assert_plain("lambda_ai", "https://api.lambda.ai/v1", "llama3.1-8b-instruct")
