"""Z.ai."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="z_ai",
    hosts=("api.z.ai",),
    price_id="zai",
)
