from __future__ import annotations

import json

import pytest

from collector.llm.model import Usage
from tests.collector.llm.providers.served import (
    answered,
    assert_plain,
    chunks,
    completion,
    served,
    streamed,
)


def test_chat() -> None:
    assert_plain("openai", "https://api.openai.com/v1", "gpt-4o-2024-08-06")


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://api.openai.com/v1/responses", "openai.responses"),
        ("https://chatgpt.com/backend-api/codex/responses", "openai.responses"),
        ("https://eu.api.openai.com/v1/chat/completions", "openai.chat"),
        ("https://api.openai.com/v1/embeddings", "openai.embeddings"),
        ("https://api.openai.com/v1/completions", "openai.completions"),
    ],
)
def test_apis(url: str, api: str) -> None:
    served("openai", url, api)


def test_servers_of_ones_own_are_told_by_shape() -> None:
    """vLLM, SGLang and llama.cpp at any host: their additions are kept apart from the tokens."""
    api = served("openai", "https://gpu7.example:8000/v1/chat/completions")
    timings = {"prompt_n": 12, "predicted_n": 9, "cache_n": 2, "predicted_per_second": 80.5}
    llama = answered(api, completion("qwen3-8b.gguf", timings=timings))
    unasked = completion("qwen3-8b.gguf", usage={}, timings=timings)
    timed = answered(api, unasked)
    assert timed.usage == Usage(input_tokens=14, output_tokens=9, cache_read_tokens=2)
    last = [*chunks("qwen3-8b.gguf", [{"content": "Hello!"}], usage={}, timings=timings)]
    early = {"prompt_n": 12, "predicted_n": 1, "cache_n": 2}
    last[0]["timings"] = early  # with `timings_per_token`
    assert streamed(api, last).usage == timed.usage
    message = {"role": "assistant", "content": None, "reasoning_content": "Greet."}
    usage = {"prompt_tokens": 14, "completion_tokens": 9, "total_tokens": 23,
             "prompt_tokens_details": {"cached_tokens": 2}}  # fmt: skip
    vllm = answered(api, completion("Qwen/Qwen3-8B", message, usage, kv_transfer_params=None))
    assert llama.usage == Usage(input_tokens=14, output_tokens=9)
    assert vllm.usage == Usage(input_tokens=14, output_tokens=9, cache_read_tokens=2)
    assert vllm.output == (message,)
    assert json.dumps(llama.output) == json.dumps([{"role": "assistant", "content": "Hello!"}])
