from __future__ import annotations

from tests.collector.llm.providers.served import COUNTED, assert_plain, chunks, served, streamed

MODEL = "meta-llama/Llama-3.3-70B-Instruct-Turbo"


def test_chat() -> None:
    assert_plain("together_ai", "https://api.together.xyz/v1", MODEL)
    assert_plain("together_ai", "https://api.together.ai/v1", MODEL)


def test_a_choices_text_beside_its_delta() -> None:
    api = served("together_ai", "https://api.together.xyz/v1/chat/completions")
    delta = {"token_id": 9906, "role": "assistant", "content": "Hello!", "tool_calls": None}
    events = chunks(MODEL, [delta])
    events[0]["choices"][0] |= {"text": "Hello!", "seed": 7, "logprobs": None}
    found = streamed(api, events)
    assert found.output[0]["content"] == "Hello!"
    assert found.usage == COUNTED


def test_other_apis_of_the_host() -> None:
    served("together_ai", "https://api.together.xyz/v1/completions", "openai.completions")
    served("together_ai", "https://api.together.xyz/v1/embeddings", "openai.embeddings")
    served("together_ai", "https://api.together.xyz/v1/rerank", "cohere.rerank")
