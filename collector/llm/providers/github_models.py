"""GitHub Models: `https://models.github.ai/inference`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="github_models",
    hosts=("models.github.ai", "models.inference.ai.azure.com"),
)
