"""Azure OpenAI.

A path may name a deployment, whose name its owner chose: it says nothing of the model. It is what
was requested where the body names none; the model is the one that the response names.
"""

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
