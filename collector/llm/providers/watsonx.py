"""IBM watsonx.ai."""

from __future__ import annotations

from collector.llm.provider import Provider
from collector.llm.watsonx_chat import WatsonxChat

PROVIDER = Provider(
    name="ibm.watsonx.ai",
    hosts=("ml.cloud.ibm.com",),
    apis=(WatsonxChat(),),
)
