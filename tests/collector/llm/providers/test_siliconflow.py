from __future__ import annotations

import pytest

from tests.collector.llm.providers.served import answered, assert_plain, completion, served


@pytest.mark.parametrize("host", ["api.siliconflow.com", "api.siliconflow.cn"])
def test_chat(host: str) -> None:
    assert_plain("siliconflow", f"https://{host}/v1", "Qwen/Qwen3-8B")


def test_reasoning_content() -> None:
    message = {"role": "assistant", "content": "Hello!", "reasoning_content": "Greet."}
    usage = {"prompt_tokens": 14, "completion_tokens": 9, "total_tokens": 23,
             "completion_tokens_details": {"reasoning_tokens": 4}}  # fmt: skip
    api = served("siliconflow", "https://api.siliconflow.com/v1/chat/completions")
    found = answered(api, completion("deepseek-ai/DeepSeek-R1", message, usage))
    assert found.output == (message,)
    assert found.usage is not None
    assert (found.usage.output_tokens, found.usage.reasoning_tokens) == (9, 4)
