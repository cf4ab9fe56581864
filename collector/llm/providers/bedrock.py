"""Amazon Bedrock."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="aws.bedrock",
    hosts=("amazonaws.com",),
    price_id="aws",
)
