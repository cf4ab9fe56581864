from __future__ import annotations

from tests.collector.llm.providers.served import answered, assert_plain, completion, served

BASE = "https://integrate.api.nvidia.com/v1"
MODEL = "nvidia/llama-3.3-nemotron-super-49b-v1.5"


def test_chat() -> None:
    assert_plain("nvidia", BASE, MODEL)


def test_reasoning_content() -> None:
    message = {"role": "assistant", "content": "Hello!", "reasoning_content": "Greet."}
    found = answered(served("nvidia", f"{BASE}/chat/completions"), completion(MODEL, message))
    assert found.output == (message,)


def test_embeddings() -> None:
    served("nvidia", f"{BASE}/embeddings", "openai.embeddings")
