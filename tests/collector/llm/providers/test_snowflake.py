from __future__ import annotations

from tests.collector.llm.providers.served import assert_plain, served

ACCOUNT = "https://org-account.snowflakecomputing.com"


def test_chat() -> None:
    assert_plain("snowflake", f"{ACCOUNT}/api/v2/cortex/v1", "claude-sonnet-4-5")


def test_anthropics_api() -> None:
    served("snowflake", f"{ACCOUNT}/api/v2/cortex/v1/messages", "anthropic.messages")


def test_what_else_an_account_serves_is_not_claimed() -> None:
    served("openai", f"{ACCOUNT}/app/v1/chat/completions")
