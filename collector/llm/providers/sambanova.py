"""SambaNova Cloud: `https://api.sambanova.ai/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="sambanova",
    hosts=("api.sambanova.ai",),
)
