from __future__ import annotations

from tests.collector.llm.providers.served import assert_plain


def test_chat() -> None:
    assert_plain("hyperbolic", "https://api.hyperbolic.xyz/v1", "meta-llama/Llama-3.3-70B-Instruct")
