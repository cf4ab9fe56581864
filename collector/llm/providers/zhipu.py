"""Zhipu AI: `https://open.bigmodel.cn/api/paas/v4`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="zhipu_ai",
    hosts=("open.bigmodel.cn",),
    price_id="zhipuai",
)
