"""Cohere's Rerank API: `POST .../v1/rerank`, `/v2/rerank`; also Voyage's, Jina's and vLLM's.

In: request and response bodies. Out: `LlmRequest` with one message, the query and its documents;
`LlmResponse` with the order of the documents. Format: Cohere's API reference, "Rerank API (v2)".
Cohere bills searches, which are no tokens; others count tokens.
"""

from __future__ import annotations

import re

from collector.http.events import RequestHead, ResponseHead
from collector.llm.body import BodyDecoder
from collector.llm.endpoint import PostedTo
from collector.llm.fields import count, mapping, objects, parse_object, text, word
from collector.llm.model import Json, JsonObject, LlmRequest, ToolCall, Usage

_PATH = re.compile(r"(?:^|/)v[12]/rerank$")


class CohereRerank(PostedTo):
    """The `Api` of Rerank."""

    name = "cohere.rerank"
    operation = "rerank"
    path = _PATH
    native_provider = "cohere"

    def has_shape(self, body: JsonObject) -> bool:
        """A query and the documents to order."""
        return text(body, "query") is not None and type(body.get("documents")) is list

    def parse_request(self, head: RequestHead, body: bytes) -> LlmRequest | None:
        """The request, or None when the body is not of this API's shape."""
        request = parse_object(body)
        if request is None or not self.has_shape(request):
            return None
        query, documents = request.pop("query"), request.pop("documents")
        return LlmRequest(
            request_model=word(request, "model"),
            stream=False,
            messages=({"role": "user", "content": query, "documents": documents},),
            params={key: value for key, value in request.items() if key != "model"},
        )

    def response_decoder(self, head: ResponseHead, request: LlmRequest) -> RerankResponse:
        """A decoder for the response that begins with `head`."""
        return RerankResponse(head)


class RerankResponse(BodyDecoder):
    """Reads a rerank response. `output`: `{"results": [{index, relevance_score}..]}`."""

    def __init__(self, head: ResponseHead) -> None:
        super().__init__(head)
        self._counts: Usage | None = None
        self._results: list[JsonObject] | None = None

    def _take_event(self, event: JsonObject) -> None:
        self._take_json(event)

    def _take_json(self, body: JsonObject) -> None:
        if body.get("error"):
            self._fail(body)
            return
        self._response_id = word(body, "id")
        self._model = word(body, "model")
        tokens = count(mapping(body, "usage"), "total_tokens")
        billed = mapping(mapping(body, "meta"), "billed_units")
        if tokens is None:
            tokens = count(billed, "input_tokens") or None
        if tokens is not None:
            self._counts = Usage(input_tokens=tokens, output_tokens=0)
        key = "results" if "results" in body else "data"
        if type(body.get(key)) is list:
            self._results = [
                {name: one[name] for name in ("index", "relevance_score") if name in one}
                for one in objects(body, key)
            ]
            self._ended = True

    def _usage(self) -> Usage | None:
        return self._counts

    def _output(self) -> tuple[Json, ...]:
        return () if self._results is None else ({"results": self._results},)

    def _tool_calls(self, final: bool) -> tuple[ToolCall, ...]:
        return ()
