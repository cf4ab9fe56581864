"""IBM watsonx.ai's chat: `POST /ml/v1/text/chat`, JSON, and `/text/chat_stream`.

In: request and response bodies. Out: `LlmRequest`, `LlmResponse`. Format: IBM's watsonx.ai API
reference, "Infer text chat": chat completions whose model is `model_id`; the path says whether the
answer is a stream.
"""

from __future__ import annotations

import re
from dataclasses import replace

from collector.http.events import RequestHead, ResponseHead
from collector.llm.endpoint import path_of
from collector.llm.fields import word
from collector.llm.model import JsonObject, LlmRequest
from collector.llm.openai_chat import OpenAiChat, OpenAiChatResponse

_PATH = re.compile(r"/ml/v1/(?:text|deployments/[^/]+/text)/chat(?:_stream)?$")


class WatsonxChat(OpenAiChat):
    """The `Api` of watsonx.ai's chat."""

    name = "watsonx.chat"
    path = _PATH
    native_provider = "ibm.watsonx.ai"

    def has_shape(self, body: JsonObject) -> bool:
        """Messages for a `model_id`."""
        return type(body.get("messages")) is list and word(body, "model_id") is not None

    def parse_request(self, head: RequestHead, body: bytes) -> LlmRequest | None:
        """The request, or None when the body is not of this API's shape. A deployment has no
        `model_id`."""
        found = super().parse_request(head, body)
        if found is None:
            return None
        model = word(found.params, "model_id")
        params = {key: value for key, value in found.params.items() if key != "model_id"}
        stream = path_of(head).endswith("_stream")
        return replace(found, request_model=model, stream=stream, params=params)

    def response_decoder(self, head: ResponseHead, request: LlmRequest) -> WatsonxChatResponse:
        """A decoder for the response that begins with `head`."""
        return WatsonxChatResponse(head)


class WatsonxChatResponse(OpenAiChatResponse):
    """Accumulates one completion, whose model is `model_id`."""

    def _take_names(self, body: JsonObject) -> None:
        super()._take_names(body)
        self._model = self._model or word(body, "model_id")
