"""Anthropic."""

from __future__ import annotations

from collector.llm.anthropic_messages import AnthropicMessages
from collector.llm.anthropic_requests import ANTHROPIC_REQUESTS
from collector.llm.provider import Provider

PROVIDER = Provider(
    name="anthropic",
    hosts=("api.anthropic.com",),
    apis=(AnthropicMessages(),),
    requests=ANTHROPIC_REQUESTS,
)
