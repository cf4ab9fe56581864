"""GitHub Copilot."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="github_copilot",
    hosts=(
        "githubcopilot.com",
        "copilot-proxy.githubusercontent.com",
    ),
    price_id="github-copilot",
)
