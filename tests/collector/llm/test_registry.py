from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collector.http.events import RequestHead
from collector.llm import providers, registry
from collector.llm.registry import APIS, PROVIDERS, match, match_body, provider_of
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
        ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini"),
        ("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "gemini"),
        ("/v1internal:streamGenerateContent?alt=sse", "gemini"),
        ("/v1beta/models/gemini-embedding-001:batchEmbedContents", "gemini.embeddings"),
        ("/v1/publishers/anthropic/models/claude-x:streamRawPredict", "anthropic.vertex"),
        ("/api/chat", "ollama.chat"),
        ("/api/generate", "ollama.generate"),
        ("/api/embeddings", "ollama.embeddings"),
        ("/v1beta/models/gemini-2.5-pro:countTokens", None),
        ("/api/show", None),
        ("/v1/messages/count_tokens", None),
        ("/v1/messages/batches", None),
        ("/v1/threads/thread_1/messages", None),
        ("/v1/models", None),
        ("/v1/embeddings", "openai.embeddings"),
        ("/v1/responses/resp_1/cancel", None),
        ("/v1/completions", "openai.completions"),
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
        ("generativelanguage.googleapis.com", "/v1beta/models/m:generateContent", "gcp.gemini"),
        ("cloudcode-pa.googleapis.com", "/v1internal:generateContent", "gcp.gemini"),
        (
            "daily-cloudcode-pa.sandbox.googleapis.com",
            "/v1internal:generateContent",
            "gcp.gemini",
        ),
        (
            "aiplatform.googleapis.com",
            "/v1/projects/p/locations/global/publishers/google/models/m:generateContent",
            "gcp.vertex_ai",
        ),
        (
            "europe-west1-aiplatform.googleapis.com",
            "/v1/projects/p/locations/l/publishers/anthropic/models/m:rawPredict",
            "gcp.vertex_ai",
        ),
        ("localhost:11434", "/api/chat", "ollama"),
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


USER = {"role": "user", "content": "hi"}
SYSTEM = {"role": "system", "content": "be brief"}
FUNCTION = {"type": "function", "function": {"name": "ls", "parameters": {}}}
CONTENT = {"role": "user", "parts": [{"text": "hi"}]}
CLAUDE = {"max_tokens": 9, "system": "be brief", "messages": [USER]}
GOOGLE = {
    "contents": [CONTENT],
    "systemInstruction": CONTENT,
    "tools": [{"functionDeclarations": [{"name": "ls"}]}],
    "generationConfig": {"temperature": 0},
}


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"model": "m", **CLAUDE}, "anthropic.messages"),
        (
            {"model": "m", "max_tokens": 9, "messages": [USER], "tools": [{"input_schema": {}}]},
            "anthropic.messages",
        ),
        ({"anthropic_version": "vertex-2023-10-16", **CLAUDE}, "anthropic.vertex"),
        ({"anthropic_version": "bedrock-2023-05-31", **CLAUDE}, "bedrock.invoke"),
        ({"schemaVersion": "messages-v1", "messages": [USER]}, "bedrock.invoke"),
        ({"messages": [USER], "inferenceConfig": {"maxTokens": 9}}, "bedrock.converse"),
        ({"model": "m", "messages": [SYSTEM, USER]}, "openai.chat"),
        ({"model": "m", "messages": [USER], "tools": [FUNCTION]}, "openai.chat"),
        ({"model": "m", "input": "hi", "store": False, "instructions": "x"}, "openai.responses"),
        ({"model": "m", "input": [USER], "previous_response_id": "r"}, "openai.responses"),
        (GOOGLE, "gemini"),
        ({"model": "m", "project": "p", "request": GOOGLE}, "gemini"),
        ({"contents": [CONTENT]}, None),
        ({"content": CONTENT, "taskType": "CLUSTERING"}, "gemini.embeddings"),
        ({"requests": [{"model": "models/m", "content": CONTENT}]}, "gemini.embeddings"),
        (
            {"model": "m", "messages": [SYSTEM, USER], "tools": [FUNCTION], "options": {}},
            "ollama.chat",
        ),
        ({"model": "m", "prompt": "hi", "keep_alive": "5m"}, "ollama.generate"),
        ({"model": "m", "messages": [USER], "safety_mode": "OFF"}, "cohere.chat"),
        ({"query": "hi"}, None),
        ({}, None),
    ],
)
def test_a_body_without_a_path_is_of_one_api_or_of_none(
    body: dict[str, Any], name: str | None
) -> None:
    assert [api.name for api in APIS if api.has_shape(body)] == ([name] if name else [])
    found = match_body(body)
    assert (found.name if found else None) == name


def test_a_provider_is_added_by_adding_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dropped_in.py").write_text(
        "from collector.llm.provider import Provider\n"
        'PROVIDER = Provider(name="dropped_in", hosts=("models.example",))\n'
    )
    monkeypatch.setattr(providers, "__path__", [*providers.__path__, str(tmp_path)])
    found = {provider.name: provider for provider in registry._found()}
    assert found["dropped_in"].hosts == ("models.example",)
    assert found.keys() == {provider.name for provider in PROVIDERS} | {"dropped_in"}


def test_every_provider_has_a_test_of_its_own() -> None:
    modules = {path.stem for path in Path(providers.__path__[0]).glob("[a-z]*.py")}
    tests = {path.stem for path in Path(__file__).parent.glob("providers/test_*.py")}
    assert {f"test_{module}" for module in modules} == tests


def test_hosts_and_names_are_unique() -> None:
    hosts = [host for provider in PROVIDERS for host in provider.hosts]
    assert len(set(hosts)) == len(hosts)
    assert len({provider.name for provider in PROVIDERS}) == len(PROVIDERS)
    assert all(host == host.lower() and not host.startswith(".") for host in hosts)


def test_price_ids_are_those_of_the_price_tables() -> None:
    from genai_prices.data_snapshot import get_snapshot

    known = {provider.id for provider in get_snapshot().providers}
    assert {provider.price_id for provider in PROVIDERS if provider.price_id} <= known
