from __future__ import annotations

import json
from typing import Any

from collector.llm.model import ToolCall
from tests.collector.llm.providers.served import chunks, served, streamed

API = served("github_copilot", "https://api.individual.githubcopilot.com/chat/completions")


def test_filter_results_come_first() -> None:
    """Azure's prompt filter makes the first chunk, without choices and of no model."""
    first: Any = {"choices": [], "created": 0, "id": "", "prompt_filter_results": []}
    deltas = [{"role": "assistant", "content": "Hello!", "padding": "abc"}]
    found = streamed(API, [first, *chunks("gpt-4.1-2025-04-14", deltas)])
    assert (found.model, found.response_id) == ("gpt-4.1-2025-04-14", "cmpl-1")
    assert found.output[0]["content"] == "Hello!"


def test_claudes_tool_calls_stand_in_a_second_choice() -> None:
    """Text and tool calls of Claude come as choices of one index in two events."""
    call = {"index": 0, "id": "toolu_1", "type": "function",
            "function": {"name": "read", "arguments": json.dumps({"a": 1})}}  # fmt: skip
    deltas = [{"content": "I read.", "role": "assistant"}, {"tool_calls": [call]}]
    found = streamed(API, chunks("claude-sonnet-4.5", deltas))
    assert found.output[0]["content"] == "I read."
    assert found.tool_calls == (ToolCall("toolu_1", "read", '{"a": 1}', 1_001),)


def test_other_paths_and_hosts() -> None:
    served("github_copilot", "https://api.githubcopilot.com/chat/completions")
    served("github_copilot", "https://api.githubcopilot.com/responses", "openai.responses")
    served("github_copilot", "https://api.githubcopilot.com/v1/messages", "anthropic.messages")
    served("github_copilot", "https://api.githubcopilot.com/embeddings", "openai.embeddings")
    engine = "https://copilot-proxy.githubusercontent.com/v1/engines/gpt-4o-copilot/completions"
    served("github_copilot", engine, "openai.completions")
