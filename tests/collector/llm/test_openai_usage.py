from __future__ import annotations

from collector.llm.model import Usage
from collector.llm.openai_usage import usage_of


def test_audio_tokens_of_chat_completions() -> None:
    usage = {
        "prompt_tokens": 50,
        "completion_tokens": 20,
        "total_tokens": 70,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 30},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 15},
    }
    assert usage_of(usage) == Usage(
        input_tokens=50,
        output_tokens=20,
        cache_read_tokens=0,
        reasoning_tokens=0,
        input_audio_tokens=30,
        output_audio_tokens=15,
    )


def test_media_of_realtime_responses() -> None:
    usage = {
        "input_tokens": 100,
        "output_tokens": 40,
        "input_token_details": {
            "text_tokens": 30,
            "audio_tokens": 60,
            "image_tokens": 10,
            "cached_tokens": 48,
            "cached_tokens_details": {"text_tokens": 8, "audio_tokens": 32, "image_tokens": 8},
        },
        "output_token_details": {"text_tokens": 10, "audio_tokens": 30},
    }
    assert usage_of(usage) == Usage(
        input_tokens=100,
        output_tokens=40,
        cache_read_tokens=48,
        input_audio_tokens=60,
        output_audio_tokens=30,
        cache_audio_read_tokens=32,
        input_image_tokens=10,
        cache_image_read_tokens=8,
    )


def test_searches_that_perplexity_counts() -> None:
    found = usage_of({"prompt_tokens": 5, "completion_tokens": 7, "num_search_queries": 2})
    assert found == Usage(input_tokens=5, output_tokens=7, web_searches=2)


def test_nothing_said() -> None:
    assert usage_of({}) is None
    assert usage_of({"prompt_tokens": "5", "prompt_tokens_details": [1]}) is None
