"""SiliconFlow: `https://api.siliconflow.com/v1`, in China `https://api.siliconflow.cn/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="siliconflow",
    hosts=("api.siliconflow.com", "api.siliconflow.cn"),
)
