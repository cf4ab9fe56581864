"""Moonshot AI."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="moonshot_ai",
    hosts=("api.moonshot.ai", "api.moonshot.cn", "api.kimi.com"),
    price_id="moonshotai",
)
