from __future__ import annotations

from tests.collector.llm.providers.served import assert_plain, served

BASE = "https://ai-gateway.vercel.sh/v1"


def test_chat() -> None:
    assert_plain("vercel_ai_gateway", BASE, "anthropic/claude-sonnet-4.5")


def test_other_apis_of_the_host() -> None:
    served("vercel_ai_gateway", f"{BASE}/responses", "openai.responses")
    served("vercel_ai_gateway", f"{BASE}/embeddings", "openai.embeddings")
    served("vercel_ai_gateway", f"{BASE}/messages", "anthropic.messages")
