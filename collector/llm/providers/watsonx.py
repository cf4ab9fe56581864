"""IBM watsonx.ai."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="ibm.watsonx.ai",
    hosts=("ml.cloud.ibm.com",),
)
