"""Volcengine's Ark (Doubao): `https://ark.cn-beijing.volces.com/api/v3`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="volcengine",
    hosts=("ark.cn-beijing.volces.com",),
)
