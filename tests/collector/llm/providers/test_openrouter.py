from __future__ import annotations

import json

from collector.llm.model import LlmError, Usage
from tests.collector.llm.providers.served import chunks, served, streamed
from tests.collector.llm.wire import REQUEST, response

URL = "https://openrouter.ai/api/v1/chat/completions"
MODEL = "anthropic/claude-sonnet-4.5"
USAGE = {
    "prompt_tokens": 194,
    "completion_tokens": 2,
    "total_tokens": 196,
    "cost": 0.95,
    "cost_details": {"upstream_inference_cost": 19},
    "prompt_tokens_details": {"cached_tokens": 10, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 1},
}


def test_cost_comments_and_reasoning_details() -> None:
    detail = {"type": "reasoning.text", "text": "Hm", "format": "anthropic-claude-v1", "index": 0}
    events = chunks(
        MODEL,
        [
            {"role": "assistant", "content": "", "reasoning": "Hm", "reasoning_details": [detail]},
            {"role": "assistant", "content": "Hello!"},
        ],
        USAGE,
        provider="Anthropic",
    )
    decoder = served("openrouter", URL).response_decoder(response(), REQUEST)
    decoder.feed(b": OPENROUTER PROCESSING\n\n", 1)
    for number, event in enumerate(events, 2):
        data = event if isinstance(event, str) else json.dumps(event)
        decoder.feed(f"data: {data}\n\n".encode(), number)
    found = decoder.finish(True)
    assert found.usage == Usage(
        input_tokens=194,
        output_tokens=2,
        cache_read_tokens=10,
        reasoning_tokens=1,
        cost_usd=0.95,
    )
    (message,) = found.output
    assert (message["content"], message["reasoning"]) == ("Hello!", "Hm")
    assert message["reasoning_details"] == [detail]
    assert found.complete
    assert found.first_token_ns == 2


def test_a_providers_error_inside_a_stream() -> None:
    broken = {
        "id": "gen-1",
        "object": "chat.completion.chunk",
        "error": {"code": "server_error", "message": "Provider disconnected"},
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
    }
    found = streamed(served("openrouter", URL), [*chunks(MODEL, [{"content": "Hel"}])[:1], broken])
    assert found.error == LlmError("server_error", "Provider disconnected")
    assert found.finish_reason == "error"
    assert found.output[0]["content"] == "Hel"


def test_other_apis_of_the_host() -> None:
    served("openrouter", "https://openrouter.ai/api/v1/responses", "openai.responses")
    served("openrouter", "https://openrouter.ai/api/v1/messages", "anthropic.messages")
    served("openrouter", "https://openrouter.ai/api/v1/completions", "openai.completions")
    served("openrouter", "https://openrouter.ai/api/v1/embeddings", "openai.embeddings")
