"""Cohere's Embed API, version 2: `POST /v2/embed`.

In: request and response bodies. Out: `LlmRequest`, `LlmResponse`. Format: Cohere's API reference,
"Embed API (v2)". A request holds `texts`, `images` (data URIs) or `inputs` of mixed content.
"""

from __future__ import annotations

import re

from collector.http.events import RequestHead, ResponseHead
from collector.llm.embedding_body import EmbeddingBody
from collector.llm.endpoint import PostedTo
from collector.llm.fields import parse_object, word
from collector.llm.model import JsonObject, LlmRequest
from collector.llm.prompts import prompt_messages

_PATH = re.compile(r"(?:^|/)v2/embed$")
_INPUTS = ("texts", "images", "inputs")


class CohereEmbed(PostedTo):
    """The `Api` of Cohere's embeddings."""

    name = "cohere.embed"
    operation = "embeddings"
    path = _PATH
    native_provider = "cohere"

    def has_shape(self, body: JsonObject) -> bool:
        """What is embedded, and what for."""
        return "input_type" in body and any(type(body.get(key)) is list for key in _INPUTS)

    def parse_request(self, head: RequestHead, body: bytes) -> LlmRequest | None:
        """The request, or None when the body is not of this API's shape."""
        request = parse_object(body)
        if request is None:
            return None
        inputs = [request.pop(key) for key in _INPUTS if type(request.get(key)) is list]
        model = word(request, "model")
        if not inputs or model is None:
            return None
        return LlmRequest(
            request_model=model,
            stream=False,
            messages=tuple(message for one in inputs for message in prompt_messages(one)),
            params={key: value for key, value in request.items() if key != "model"},
        )

    def response_decoder(self, head: ResponseHead, request: LlmRequest) -> EmbeddingBody:
        """A decoder for the response that begins with `head`."""
        return EmbeddingBody(head)
