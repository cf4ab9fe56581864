"""OpenAI."""

from __future__ import annotations

from collector.llm.openai_chat import OpenAiChat
from collector.llm.openai_responses import OpenAiResponses
from collector.llm.provider import Provider

PROVIDER = Provider(
    name="openai",
    hosts=("api.openai.com", "chatgpt.com"),
    apis=(OpenAiChat(), OpenAiResponses()),
)
