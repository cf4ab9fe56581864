"""Anthropic."""

from __future__ import annotations

from collector.llm.anthropic_messages import AnthropicMessages
from collector.llm.provider import Provider

PROVIDER = Provider(
    name="anthropic",
    hosts=("api.anthropic.com",),
    apis=(AnthropicMessages(),),
)
