from __future__ import annotations

import pytest

from collector.llm.model import Usage
from tests.collector.llm.providers.served import answered, chunks, completion, served, streamed

USAGE = {"prompt_tokens": 19, "completion_tokens": 21, "total_tokens": 40, "cached_tokens": 10}


@pytest.mark.parametrize("host", ["api.moonshot.ai", "api.moonshot.cn"])
def test_cached_tokens_and_reasoning(host: str) -> None:
    api = served("moonshot_ai", f"https://{host}/v1/chat/completions")
    deltas = [{"role": "assistant", "reasoning_content": "Hm"}, {"content": "Hello!"}]
    events = chunks("kimi-k2-thinking", deltas)
    del events[-2]["usage"]
    events[-2]["choices"][0]["usage"] = USAGE
    whole = answered(api, completion("kimi-k2-thinking", usage=USAGE))
    for found in (whole, streamed(api, events)):
        assert found.usage == Usage(input_tokens=19, output_tokens=21, cache_read_tokens=10)


def test_other_apis_of_its_hosts() -> None:
    served("moonshot_ai", "https://api.moonshot.ai/anthropic/v1/messages", "anthropic.messages")
    served("moonshot_ai", "https://api.kimi.com/coding/v1/chat/completions")
