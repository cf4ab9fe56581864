"""DeepInfra: `https://api.deepinfra.com/v1/openai`. It estimates what a call cost."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="deepinfra",
    hosts=("api.deepinfra.com",),
)
