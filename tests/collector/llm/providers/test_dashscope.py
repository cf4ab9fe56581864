from __future__ import annotations

import pytest

from collector.llm.model import Usage
from tests.collector.llm.providers.served import answered, assert_plain, completion, served

PATH = "compatible-mode/v1"


@pytest.mark.parametrize("host", ["dashscope", "dashscope-intl", "dashscope-us"])
def test_chat(host: str) -> None:
    assert_plain("dashscope", f"https://{host}.aliyuncs.com/{PATH}", "qwen3-coder-plus")


def test_cached_tokens_and_reasoning() -> None:
    usage = {"prompt_tokens": 3019, "completion_tokens": 104, "total_tokens": 3123,
             "prompt_tokens_details": {"cached_tokens": 2048}}  # fmt: skip
    message = {"role": "assistant", "content": "Hello!", "reasoning_content": "Greet."}
    api = served("dashscope", f"https://dashscope.aliyuncs.com/{PATH}/chat/completions")
    found = answered(api, completion("qwen-plus", message, usage))
    assert found.usage == Usage(input_tokens=3019, output_tokens=104, cache_read_tokens=2048)
    assert found.output == (message,)


def test_other_apis_and_hosts() -> None:
    anthropic = "https://dashscope-intl.aliyuncs.com/apps/anthropic/v1/messages"
    served("dashscope", anthropic, "anthropic.messages")
    served("dashscope", f"https://dashscope.aliyuncs.com/{PATH}/embeddings", "openai.embeddings")
    served("dashscope", "https://portal.qwen.ai/v1/chat/completions")
