from __future__ import annotations

import pytest

from collector.http.events import RequestHead
from collector.llm.registry import APIS, match, provider_of
from tests.collector.llm.wire import post


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/v1/messages", "anthropic.messages"),
        ("/v1/messages?beta=true", "anthropic.messages"),
        ("/v1/messages/", "anthropic.messages"),
        ("/api/anthropic/v1/messages", "anthropic.messages"),
        ("http://127.0.0.1:4000/v1/messages", "anthropic.messages"),
        ("/v1/chat/completions", "openai.chat"),
        ("/chat/completions", "openai.chat"),
        ("/api/v1/chat/completions", "openai.chat"),
        ("/openai/deployments/x/chat/completions?api-version=2025-01-01", "openai.chat"),
        ("/v1/responses", "openai.responses"),
        ("/responses", "openai.responses"),
        ("/backend-api/codex/responses", "openai.responses"),
        ("/v1/responses/compact", "openai.responses"),
        ("/v1/messages/count_tokens", None),
        ("/v1/messages/batches", None),
        ("/v1/threads/thread_1/messages", None),
        ("/v1/models", None),
        ("/v1/embeddings", None),
        ("/v1/responses/resp_1/cancel", None),
        ("/v1/completions", None),
        ("/?next=/v1/messages", None),
        ("*", None),
        ("", None),
    ],
)
def test_match_by_path(target: str, name: str | None) -> None:
    found = match(post(target))
    assert (found.name if found else None) == name


def test_only_post_matches() -> None:
    assert match(post("/v1/messages", method="GET")) is None
    assert match(post("/v1/chat/completions", method="OPTIONS")) is None
    assert match(post("/v1/responses", method="GET")) is None


def test_names_are_unique() -> None:
    assert len({api.name for api in APIS}) == len(APIS)


@pytest.mark.parametrize(
    ("host", "target", "provider"),
    [
        ("api.anthropic.com", "/v1/messages", "anthropic"),
        ("localhost:8080", "/v1/messages", "anthropic"),
        ("api.deepseek.com", "/anthropic/v1/messages", "deepseek"),
        ("API.OpenAI.com:443", "/v1/chat/completions", "openai"),
        ("gateway.example", "/v1/chat/completions", "openai"),
        ("[::1]:8000", "/v1/responses", "openai"),
        ("me.openai.azure.com", "/openai/v1/responses", "azure.ai.openai"),
        ("gw.example", "/openai/deployments/d/chat/completions", "azure.ai.openai"),
        ("api.deepseek.com", "/chat/completions", "deepseek"),
        ("api.groq.com", "/openai/v1/chat/completions", "groq"),
        ("api.mistral.ai", "/v1/chat/completions", "mistral_ai"),
        ("api.x.ai", "/v1/chat/completions", "x_ai"),
        ("notapi.x.ai", "/v1/chat/completions", "openai"),
        ("openrouter.ai", "/api/v1/chat/completions", "openrouter"),
        ("api.individual.githubcopilot.com", "/chat/completions", "github_copilot"),
        (
            "us-east5-aiplatform.googleapis.com",
            "/v1/projects/p/locations/l/endpoints/openapi/chat/completions",
            "gcp.vertex_ai",
        ),
    ],
)
def test_provider_by_host(host: str, target: str, provider: str) -> None:
    head = post(target, host)
    found = match(head)
    assert found is not None
    assert provider_of(head, found) == provider


def test_provider_without_host_header() -> None:
    head = RequestHead(1, "POST", "https://api.groq.com/openai/v1/chat/completions", "HTTP/1.1", ())
    found = match(head)
    assert found is not None
    assert provider_of(head, found) == "groq"
    bare = RequestHead(1, "POST", "/v1/responses", "HTTP/1.1", ())
    api = match(bare)
    assert api is not None
    assert provider_of(bare, api) == "openai"
