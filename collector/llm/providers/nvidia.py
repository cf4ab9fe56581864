"""NVIDIA NIM: `https://integrate.api.nvidia.com/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="nvidia",
    hosts=("integrate.api.nvidia.com",),
)
