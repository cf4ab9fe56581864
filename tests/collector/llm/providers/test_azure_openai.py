from __future__ import annotations

from collector.llm.model import LlmError
from tests.collector.llm.providers.served import (
    COUNTED,
    answered,
    chunks,
    completion,
    requested,
    served,
    streamed,
)

BASE = "https://me.openai.azure.com/openai/deployments/my%20gpt"
CHAT = f"{BASE}/chat/completions?api-version=2025-01-01-preview"
API = served("azure.ai.openai", CHAT)


def test_the_deployment_is_what_was_asked_and_the_model_what_answers() -> None:
    messages = [{"role": "user", "content": "Hi"}]
    assert requested(API, CHAT, {"messages": messages}).request_model == "my gpt"
    named = {"messages": messages, "model": "gpt-4o"}
    assert requested(API, CHAT, named).request_model == "gpt-4o"
    filtered = [{"prompt_index": 0, "content_filter_results": {}}]
    body = completion("gpt-4o-2024-11-20", prompt_filter_results=filtered)
    found = answered(API, body)
    assert (found.model, found.usage) == ("gpt-4o-2024-11-20", COUNTED)


def test_the_first_chunk_filters() -> None:
    first = {"choices": [], "id": "", "model": "", "object": "", "prompt_filter_results": []}
    found = streamed(API, [first, *chunks("gpt-4o-2024-11-20", [{"content": "Hello!"}])])
    assert (found.model, found.response_id) == ("gpt-4o-2024-11-20", "cmpl-1")


def test_a_refused_prompt() -> None:
    error = {
        "message": "The response was filtered",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
    }
    found = answered(API, {"error": error}, 400)
    assert found.error == LlmError("content_filter", "The response was filtered")


def test_other_apis_and_hosts() -> None:
    embeddings = f"{BASE}/embeddings?api-version=2024-10-21"
    api = served("azure.ai.openai", embeddings, "openai.embeddings")
    assert requested(api, embeddings, {"input": "Hi"}).request_model == "my gpt"
    api = served("azure.ai.openai", f"{BASE}/completions", "openai.completions")
    assert requested(api, f"{BASE}/completions", {"prompt": "Hi"}).request_model == "my gpt"
    responses = "https://me.openai.azure.com/openai/v1/responses"
    served("azure.ai.openai", responses, "openai.responses")
    served("azure.ai.openai", "https://me.cognitiveservices.azure.com/openai/v1/chat/completions")
    served("azure.ai.openai", "https://gateway.example/openai/deployments/d/chat/completions")
