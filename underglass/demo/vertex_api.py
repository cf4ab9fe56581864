"""Anthropic's API on Vertex AI, server side: bodies as Anthropic's, the model in the target.

In: request bodies and their targets. Out: as `anthropic_api`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import unquote

from collector.llm.model import JsonObject
from underglass.demo.anthropic_api import AnthropicMessages
from underglass.demo.reply import ApiRequest

TARGET = re.compile(
    r".*/publishers/anthropic/models/(?P<model>[^/:?]+):(?P<method>rawPredict|streamRawPredict)"
)


class VertexAnthropic(AnthropicMessages):
    """POST .../publishers/anthropic/models/MODEL:rawPredict and :streamRawPredict."""

    name = "anthropic.vertex"

    def read(self, body: JsonObject, target: str) -> ApiRequest:
        """Read a request body and its target."""
        asked = TARGET.match(target)
        if asked is None or "anthropic_version" not in body:
            raise ValueError(f"no request for Vertex AI: {target}")
        model = unquote(asked["model"])
        stream = asked["method"] == "streamRawPredict"
        return replace(super().read({**body, "model": model}, target), stream=stream)
