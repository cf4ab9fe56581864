from __future__ import annotations

import pytest

from tests.collector.llm.providers.served import assert_plain, served


@pytest.mark.parametrize(
    "host",
    [
        "dbc-a1b2.cloud.databricks.com",
        "adb-12.3.azuredatabricks.net",
        "12.3.gcp.databricks.com",
    ],
)
def test_chat(host: str) -> None:
    base = f"https://{host}/serving-endpoints"
    assert_plain("databricks", base, "databricks-claude-sonnet-4-5")
    served("databricks", f"{base}/embeddings", "openai.embeddings")
    served("databricks", f"{base}/anthropic/v1/messages", "anthropic.messages")


def test_what_else_a_workspace_serves_is_not_claimed() -> None:
    served("openai", "https://dbc-a1b2.cloud.databricks.com/apps/x/v1/chat/completions")
