"""Amazon Bedrock."""

from __future__ import annotations

from collector.http.events import RequestHead
from collector.llm.bedrock_converse import BedrockConverse
from collector.llm.bedrock_invoke import BedrockInvoke
from collector.llm.bedrock_requests import BEDROCK_REQUESTS
from collector.llm.endpoint import host_of
from collector.llm.provider import Provider


def _mantle(head: RequestHead) -> bool:
    """Bedrock's OpenAI- and Anthropic-like endpoints, `bedrock-mantle.{region}.api.aws`."""
    host = host_of(head) or ""
    return host.startswith("bedrock-mantle.") and host.endswith(".api.aws")


PROVIDER = Provider(
    name="aws.bedrock",
    hosts=("amazonaws.com", "amazonaws.com.cn"),
    price_id="aws",
    priced_as_requested=True,
    apis=(BedrockConverse(), BedrockInvoke()),
    claims=_mantle,
    requests=BEDROCK_REQUESTS,
)
