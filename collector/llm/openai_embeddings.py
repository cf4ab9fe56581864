"""OpenAI's Embeddings API: `POST .../embeddings`.

In: request and response bodies. Out: `LlmRequest`, `LlmResponse`. Format: OpenAI's API reference,
"Embeddings"; also Azure's, Mistral's, Voyage's, vLLM's. Ollama's `/api/embeddings` is another's.
"""

from __future__ import annotations

import re

from collector.http.events import RequestHead, ResponseHead
from collector.llm.embedding_body import EmbeddingBody
from collector.llm.endpoint import PostedTo, deployment_of
from collector.llm.fields import parse_object, word
from collector.llm.model import JsonObject, LlmRequest
from collector.llm.prompts import prompt_messages

_PATH = re.compile(r"(?:^|(?<!/api)/)embeddings$")
_INPUTS = ("input", "inputs")  # Mistral takes both


class OpenAiEmbeddings(PostedTo):
    """The `Api` of OpenAI's embeddings."""

    name = "openai.embeddings"
    operation = "embeddings"
    path = _PATH
    native_provider = "openai"

    def has_shape(self, body: JsonObject) -> bool:
        """Nothing in a body is this API's alone but the format of vectors."""
        return "input" in body and "encoding_format" in body

    def parse_request(self, head: RequestHead, body: bytes) -> LlmRequest | None:
        """The request, or None when the body is not of this API's shape.

        Azure's path names a deployment.
        """
        request = parse_object(body)
        key = next((key for key in _INPUTS if request is not None and key in request), None)
        if request is None or key is None:
            return None
        return LlmRequest(
            request_model=word(request, "model") or deployment_of(head),
            stream=False,
            messages=prompt_messages(request.pop(key)),
            params={name: value for name, value in request.items() if name != "model"},
        )

    def response_decoder(self, head: ResponseHead, request: LlmRequest) -> EmbeddingBody:
        """A decoder for the response that begins with `head`."""
        return EmbeddingBody(head)
