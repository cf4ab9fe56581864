"""MiniMax: `https://api.minimax.io/v1`, in China `https://api.minimaxi.com/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="minimax",
    hosts=("api.minimax.io", "api.minimaxi.com"),
)
