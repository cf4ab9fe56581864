from __future__ import annotations

import pytest

from collector.llm.model import Usage
from tests.collector.llm.providers.served import answered, chunks, completion, served, streamed

API = served("x_ai", "https://api.x.ai/v1/chat/completions")


def test_reasoning_is_counted_apart_and_cost_in_ticks() -> None:
    usage = {
        "prompt_tokens": 32,
        "completion_tokens": 9,
        "total_tokens": 135,
        "prompt_tokens_details": {"text_tokens": 32, "cached_tokens": 6},
        "completion_tokens_details": {"reasoning_tokens": 94},
        "num_sources_used": 0,
        "cost_in_usd_ticks": 37_756_000,
    }
    deltas = [{"role": "assistant", "reasoning_content": "Hm"}, {"content": "Hello!"}]
    for found in (
        answered(API, completion("grok-4-0709", usage=usage)),
        streamed(API, chunks("grok-4-0709", deltas, usage)),
    ):
        assert found.usage is not None
        assert found.usage.cost_usd == pytest.approx(0.0037756)
        assert found.usage == Usage(
            input_tokens=32,
            output_tokens=103,
            cache_read_tokens=6,
            reasoning_tokens=94,
            cost_usd=found.usage.cost_usd,
        )


def test_regions_and_other_apis() -> None:
    served("x_ai", "https://us-east-1.api.x.ai/v1/chat/completions")
    served("x_ai", "https://api.x.ai/v1/responses", "openai.responses")
    served("x_ai", "https://api.x.ai/v1/messages", "anthropic.messages")
