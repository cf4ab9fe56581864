from __future__ import annotations

import pytest

from collector.llm.registry import model_provider
from tests.collector.llm.providers.served import served


@pytest.mark.parametrize(
    ("url", "api"),
    [
        (
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-pro-v1%3A0/converse",
            "bedrock.converse",
        ),
        (
            "https://bedrock-runtime.cn-north-1.amazonaws.com.cn/model/m/converse-stream",
            "bedrock.converse",
        ),
        (
            "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com/model/m/invoke",
            "bedrock.invoke",
        ),
        (
            "https://vpce-1.bedrock-runtime.eu-central-1.vpce.amazonaws.com"
            "/model/m/invoke-with-response-stream",
            "bedrock.invoke",
        ),
        (
            "https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1/chat/completions",
            "openai.chat",
        ),
        ("https://bedrock-mantle.us-east-1.api.aws/v1/responses", "openai.responses"),
        ("https://bedrock-mantle.us-east-1.api.aws/anthropic/v1/messages", "anthropic.messages"),
        ("https://localhost:4566/model/m/converse", "bedrock.converse"),
    ],
)
def test_apis(url: str, api: str) -> None:
    served("aws.bedrock", url, api)


def test_amazons_other_hosts_serve_no_models() -> None:
    assert model_provider("bedrock-runtime.us-east-1.amazonaws.com") == "aws.bedrock"
    assert model_provider("s3.us-east-1.amazonaws.com") is None
