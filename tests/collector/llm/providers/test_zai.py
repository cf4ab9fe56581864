from __future__ import annotations

import pytest

from collector.llm.model import LlmError, Usage
from tests.collector.llm.providers.served import answered, chunks, completion, served, streamed

USAGE = {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23,
         "prompt_tokens_details": {"cached_tokens": 16}}  # fmt: skip


@pytest.mark.parametrize("path", ["/api/paas/v4", "/api/coding/paas/v4"])
def test_reasoning_content(path: str) -> None:
    api = served("z_ai", f"https://api.z.ai{path}/chat/completions")
    message = {"role": "assistant", "content": "Hello!", "reasoning_content": "Greet."}
    whole = answered(api, completion("glm-4.6", message, USAGE, request_id="2025"))
    deltas = [{"role": "assistant", "reasoning_content": "Greet."}, {"content": "Hello!"}]
    for found in (whole, streamed(api, chunks("glm-4.6", deltas, USAGE))):
        assert found.usage == Usage(input_tokens=20, output_tokens=3, cache_read_tokens=16)
        assert found.output[0]["reasoning_content"] == "Greet."


def test_error_and_anthropics_api() -> None:
    api = served("z_ai", "https://api.z.ai/api/anthropic/v1/messages", "anthropic.messages")
    body = {"error": {"code": "1113", "message": "Insufficient balance"}}
    assert answered(api, body, 429).error == LlmError("1113", "Insufficient balance")
