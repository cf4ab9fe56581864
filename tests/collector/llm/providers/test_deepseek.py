from __future__ import annotations

from collector.llm.model import Usage
from tests.collector.llm.providers.served import answered, chunks, completion, served, streamed
from tests.collector.llm.wire import REQUEST, response

URL = "https://api.deepseek.com/chat/completions"
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 40,
    "total_tokens": 140,
    "prompt_cache_hit_tokens": 64,
    "prompt_cache_miss_tokens": 36,
    "completion_tokens_details": {"reasoning_tokens": 25},
}
COUNTED = Usage(input_tokens=100, output_tokens=40, cache_read_tokens=64, reasoning_tokens=25)


def test_reasoning_and_cache_hits() -> None:
    api = served("deepseek", URL)
    message = {"role": "assistant", "content": "4", "reasoning_content": "2+2"}
    whole = answered(api, completion("deepseek-reasoner", message, USAGE))
    deltas = [
        {"role": "assistant", "content": None, "reasoning_content": ""},
        {"content": None, "reasoning_content": "2+"},
        {"content": None, "reasoning_content": "2"},
        {"content": "4", "reasoning_content": None},
    ]
    stream = streamed(api, chunks("deepseek-reasoner", deltas, USAGE))
    for found in (whole, stream):
        (said,) = found.output
        assert (said["content"], said["reasoning_content"]) == ("4", "2+2")
        assert found.usage == COUNTED
    assert stream.first_token_ns == 1_001


def test_keep_alive_comments() -> None:
    api = served("deepseek", URL)
    decoder = api.response_decoder(response(), REQUEST)
    decoder.feed(b": keep-alive\n\n: keep-alive\n\n", 1)
    decoder.feed(b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n', 2)
    assert decoder.finish(True).first_token_ns == 2


def test_other_apis_of_the_host() -> None:
    served("deepseek", "https://api.deepseek.com/anthropic/v1/messages", "anthropic.messages")
    served("deepseek", "https://api.deepseek.com/beta/completions", "openai.completions")
