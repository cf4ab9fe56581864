"""Azure OpenAI."""

from __future__ import annotations

from collector.http.events import RequestHead
from collector.llm.provider import Provider


def _by_deployment(head: RequestHead) -> bool:
    return "/openai/deployments/" in head.target


PROVIDER = Provider(
    name="azure.ai.openai",
    hosts=("openai.azure.com", "cognitiveservices.azure.com"),
    price_id="azure",
    claims=_by_deployment,
)
