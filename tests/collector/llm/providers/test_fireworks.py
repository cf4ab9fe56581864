from __future__ import annotations

from collector.llm.model import Usage
from tests.collector.llm.providers.served import answered, assert_plain, completion, served

BASE = "https://api.fireworks.ai/inference/v1"
MODEL = "accounts/fireworks/models/deepseek-v3p1"


def test_chat() -> None:
    assert_plain("fireworks_ai", BASE, MODEL)


def test_cached_tokens() -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23,
             "prompt_tokens_details": {"cached_tokens": 16}}  # fmt: skip
    found = answered(
        served("fireworks_ai", f"{BASE}/chat/completions"), completion(MODEL, usage=usage)
    )
    assert found.usage == Usage(input_tokens=20, output_tokens=3, cache_read_tokens=16)


def test_other_apis_of_the_host() -> None:
    served("fireworks_ai", f"{BASE}/completions", "openai.completions")
    served("fireworks_ai", f"{BASE}/responses", "openai.responses")
    served("fireworks_ai", f"{BASE}/messages", "anthropic.messages")
