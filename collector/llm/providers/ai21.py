"""AI21 Labs: `https://api.ai21.com/studio/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="ai21",
    hosts=("api.ai21.com",),
)
