from __future__ import annotations

from collector.llm.model import LlmError, Usage
from tests.collector.llm.providers.served import answered, chunks, completion, served, streamed

API = served("groq", "https://api.groq.com/openai/v1/chat/completions")
TIMES = {"queue_time": 0.03, "prompt_time": 0.001, "completion_time": 0.04, "total_time": 0.05}
USAGE = {
    "prompt_tokens": 18,
    "completion_tokens": 5,
    "total_tokens": 23,
    "prompt_tokens_details": {"cached_tokens": 8},
    **TIMES,
}
COUNTED = Usage(input_tokens=18, output_tokens=5, cache_read_tokens=8)


def test_usage_of_a_stream_stands_apart() -> None:
    events = chunks("llama-3.3-70b-versatile", [{"role": "assistant", "content": "Hello!"}])
    events[0]["x_groq"] = {"id": "req_1"}
    del events[1]["usage"]
    events[1]["x_groq"] = {"id": "req_1", "usage": USAGE}
    found = streamed(API, events)
    assert found.usage == COUNTED
    assert found.complete


def test_json() -> None:
    body = completion("openai/gpt-oss-20b", usage=USAGE, x_groq={"id": "req_1"})
    body["choices"][0]["message"]["reasoning"] = "Greet."
    found = answered(API, body)
    assert found.usage == COUNTED
    assert found.output[0]["reasoning"] == "Greet."


def test_a_failed_tool_call() -> None:
    error = {
        "message": "Failed to call a function.",
        "type": "invalid_request_error",
        "code": "tool_use_failed",
        "failed_generation": "<function=x>",
    }
    found = answered(API, {"error": error}, 400)
    assert found.error == LlmError("tool_use_failed", "Failed to call a function.")
