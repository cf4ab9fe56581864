"""Lambda: `https://api.lambda.ai/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="lambda_ai",
    hosts=("api.lambda.ai",),
)
