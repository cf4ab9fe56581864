"""GitHub Copilot."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="github_copilot",
    hosts=("githubcopilot.com",),
    price_id="github-copilot",
)
