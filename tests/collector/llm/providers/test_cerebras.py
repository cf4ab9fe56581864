from __future__ import annotations

from tests.collector.llm.providers.served import COUNTED, answered, chunks, completion, served
from tests.collector.llm.providers.served import streamed as stream

API = served("cerebras", "https://api.cerebras.ai/v1/chat/completions")
TIMES = {"queue_time": 0.0001, "prompt_time": 0.0004, "completion_time": 0.002, "total_time": 0.01}


def test_reasoning_and_times() -> None:
    message = {"role": "assistant", "content": "Hello!", "reasoning": "Greet."}
    whole = answered(API, completion("gpt-oss-120b", message, time_info=TIMES))
    deltas = [{"role": "assistant"}, {"reasoning": "Greet."}, {"content": "Hello!"}]
    for found in (whole, stream(API, chunks("gpt-oss-120b", deltas, time_info=TIMES))):
        assert found.usage == COUNTED
        (said,) = found.output
        assert (said["content"], said["reasoning"]) == ("Hello!", "Greet.")
