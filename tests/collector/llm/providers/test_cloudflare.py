from __future__ import annotations

import pytest

from collector.llm.registry import match, provider_of
from tests.collector.llm.providers.served import assert_plain, served
from tests.collector.llm.wire import post

GATEWAY = "https://gateway.ai.cloudflare.com/v1/account/gateway"


def test_workers_ai() -> None:
    base = "https://api.cloudflare.com/client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/ai/v1"
    assert_plain("cloudflare", base, "@cf/meta/llama-3.1-8b-instruct")
    assert_plain("cloudflare", f"{GATEWAY}/workers-ai/v1", "@cf/openai/gpt-oss-120b")
    served("cloudflare", f"{base}/embeddings", "openai.embeddings")


@pytest.mark.parametrize(
    ("path", "provider", "api"),
    [
        ("openai/chat/completions", "openai", "openai.chat"),
        ("openai/responses", "openai", "openai.responses"),
        ("anthropic/v1/messages", "anthropic", "anthropic.messages"),
        ("groq/chat/completions", "groq", "openai.chat"),
        ("grok/v1/chat/completions", "x_ai", "openai.chat"),
        (
            "aws-bedrock/bedrock-runtime/us-east-1/model/m/converse",
            "aws.bedrock",
            "bedrock.converse",
        ),
        ("compat/chat/completions", "cloudflare", "openai.chat"),
    ],
)
def test_the_gateways_path_names_the_provider(path: str, provider: str, api: str) -> None:
    served(provider, f"{GATEWAY}/{path}", api)


def test_the_rest_of_the_api_is_not_claimed() -> None:
    head = post("/client/v4/zones/chat/completions", "api.cloudflare.com")
    api = match(head)
    assert api is not None
    assert provider_of(head, api) == "openai"
