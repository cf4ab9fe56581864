"""OVHcloud AI Endpoints: `https://oai.endpoints.kepler.ai.cloud.ovh.net/v1`."""

from __future__ import annotations

from collector.llm.provider import Provider

PROVIDER = Provider(
    name="ovhcloud",
    hosts=("endpoints.kepler.ai.cloud.ovh.net",),
)
