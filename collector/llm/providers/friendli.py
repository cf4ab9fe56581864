"""FriendliAI: `https://api.friendli.ai/serverless/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="friendli_ai",
    hosts=("api.friendli.ai",),
)
