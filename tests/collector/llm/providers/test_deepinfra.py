from __future__ import annotations

from collector.llm.model import Usage
from tests.collector.llm.providers.served import answered, chunks, completion, served, streamed

BASE = "https://api.deepinfra.com/v1/openai"
MODEL = "Qwen/Qwen3-235B-A22B-Instruct-2507"
USAGE = {
    "prompt_tokens": 1695,
    "completion_tokens": 203,
    "total_tokens": 1898,
    "completion_tokens_details": None,
    "prompt_tokens_details": None,
    "estimated_cost": 0.00034215,
}


def test_it_estimates_the_cost() -> None:
    api = served("deepinfra", f"{BASE}/chat/completions")
    whole = answered(api, completion(MODEL, usage=USAGE))
    for found in (whole, streamed(api, chunks(MODEL, [{"content": "Hello!"}], USAGE))):
        assert found.usage == Usage(input_tokens=1695, output_tokens=203, cost_usd=0.00034215)


def test_other_apis_of_the_host() -> None:
    served("deepinfra", f"{BASE}/embeddings", "openai.embeddings")
    served("deepinfra", "https://api.deepinfra.com/anthropic/v1/messages", "anthropic.messages")
