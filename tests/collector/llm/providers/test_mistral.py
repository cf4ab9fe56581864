from __future__ import annotations

from collector.llm.model import LlmError, ToolCall
from tests.collector.llm.providers.served import (
    COUNTED,
    answered,
    chunks,
    completion,
    served,
    streamed,
)

API = served("mistral_ai", "https://api.mistral.ai/v1/chat/completions")
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "Greet."}], "closed": True}


def test_content_in_parts() -> None:
    text = {"type": "text", "text": "Hello!"}
    message = {"role": "assistant", "content": [THINKING, text], "prefix": False}
    found = answered(API, completion("magistral-medium-2509", message))
    assert found.output == (message,)
    deltas = [
        {"role": "assistant", "content": [THINKING]},
        {"content": "Hel"},
        {"content": "lo!"},
    ]
    stream = streamed(API, chunks("magistral-medium-2509", deltas))
    assert stream.output[0]["content"] == [THINKING, text]
    assert stream.usage == COUNTED
    assert stream.first_token_ns == 1_000


def test_tool_calls_come_whole() -> None:
    call = {"id": "D681PevKs", "index": 0, "function": {"name": "get", "arguments": '{"a": 1}'}}
    events = chunks("mistral-large-2411", [{"role": "assistant", "tool_calls": [call]}])
    found = streamed(API, events)
    assert found.tool_calls == (ToolCall("D681PevKs", "get", '{"a": 1}', 1_000),)


def test_errors_are_flat() -> None:
    body = {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": 1500}
    assert answered(API, body, 400).error == LlmError("invalid_model", "Invalid model: x")


def test_other_apis_of_the_host() -> None:
    served("mistral_ai", "https://api.mistral.ai/v1/embeddings", "openai.embeddings")
    fim = "https://codestral.mistral.ai/v1/fim/completions"
    served("mistral_ai", fim, "openai.completions")
