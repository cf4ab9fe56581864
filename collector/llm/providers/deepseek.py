"""DeepSeek."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="deepseek",
    hosts=("api.deepseek.com",),
)
