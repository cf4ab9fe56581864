from __future__ import annotations

from tests.collector.llm.providers.served import assert_plain

USAGE = {
    "prompt_tokens": 14,
    "completion_tokens": 9,
    "total_tokens": 23,
    "completion_tokens_per_sec": 398.3,
    "time_to_first_token": 0.07,
    "total_latency": 0.1,
    "stop_reason": "stop",
}


def test_chat() -> None:
    """Times stand beside the tokens."""
    base = "https://api.sambanova.ai/v1"
    assert_plain("sambanova", base, "Meta-Llama-3.3-70B-Instruct", USAGE)
