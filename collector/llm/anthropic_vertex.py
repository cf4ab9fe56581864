"""Anthropic's Messages API on Vertex AI: `POST .../publishers/anthropic/models/MODEL:rawPredict`,
and `:streamRawPredict`.

In: request and response bodies. Out: `LlmRequest`, `LlmResponse`. Format: "Claude on Vertex AI" in
Anthropic's documentation: bodies as in `anthropic_messages`, but the model is in the path, and
`anthropic_version` in the request's body.
"""

from __future__ import annotations

from collector.http.events import RequestHead
from collector.llm.anthropic_messages import AnthropicMessages, messages_request
from collector.llm.fields import word
from collector.llm.google_path import google_path
from collector.llm.model import JsonObject, LlmRequest

_METHODS = ("rawPredict", "streamRawPredict")
_TOKEN_COUNT = "count-tokens"  # has the place of a model in its path


class AnthropicVertex(AnthropicMessages):
    """The `Api` of Anthropic's models on Vertex AI."""

    name = "anthropic.vertex"
    native_provider = "gcp.vertex_ai"

    def matches(self, head: RequestHead) -> bool:
        """Could this request be a call of this API?"""
        path = google_path(head)
        return (
            path is not None
            and path.publisher == "anthropic"
            and path.method in _METHODS
            and path.model != _TOKEN_COUNT
        )

    def has_shape(self, body: JsonObject) -> bool:
        """Messages, and the version that Vertex AI asks for."""
        version = word(body, "anthropic_version") or ""
        return type(body.get("messages")) is list and version.startswith("vertex-")

    def parse_request(self, head: RequestHead, body: bytes) -> LlmRequest | None:
        """The request, or None when the body is not of this API's shape."""
        path = google_path(head)
        return messages_request(body, path.model if path else "")
