"""Alibaba Cloud's Model Studio (Qwen): `https://dashscope.aliyuncs.com/compatible-mode/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="dashscope",
    hosts=(
        "dashscope.aliyuncs.com",
        "dashscope-intl.aliyuncs.com",
        "dashscope-us.aliyuncs.com",
        "portal.qwen.ai",
    ),
)
