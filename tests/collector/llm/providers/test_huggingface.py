from __future__ import annotations

from tests.collector.llm.providers.served import assert_plain, served


def test_chat() -> None:
    """The model's name may hold the provider that serves it; it is one name."""
    base = "https://router.huggingface.co/v1"
    assert_plain("huggingface", base, "moonshotai/Kimi-K2-Instruct:groq")


def test_a_providers_own_path() -> None:
    base = "https://router.huggingface.co/together/v1"
    assert_plain("huggingface", base, "deepseek-ai/DeepSeek-V3")
    served("huggingface", "https://router.huggingface.co/v1/responses", "openai.responses")
