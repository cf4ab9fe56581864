from __future__ import annotations

from collector.llm.model import LlmError, Usage
from tests.collector.llm.providers.served import answered, served

API = served("anthropic", "https://api.anthropic.com/v1/messages?beta=true", "anthropic.messages")


def test_message() -> None:
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [{"type": "text", "text": "Hello!"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 4, "cache_read_input_tokens": 10, "output_tokens": 9},
    }
    found = answered(API, body)
    assert found.model == "claude-sonnet-4-5-20250929"
    assert found.usage == Usage(input_tokens=14, output_tokens=9, cache_read_tokens=10)


def test_error() -> None:
    error = {"type": "overloaded_error", "message": "Overloaded"}
    found = answered(API, {"type": "error", "error": error, "request_id": "req_1"}, 529)
    assert found.error == LlmError("overloaded_error", "Overloaded")


def test_openais_api() -> None:
    served("anthropic", "https://api.anthropic.com/v1/chat/completions")
