from __future__ import annotations

from tests.collector.llm.providers.served import assert_plain


def test_chat() -> None:
    assert_plain(
        "nscale", "https://inference.api.nscale.com/v1", "meta-llama/Llama-4-Scout-17B-16E-Instruct"
    )
