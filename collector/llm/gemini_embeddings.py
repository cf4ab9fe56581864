"""Google's embeddings: `:embedContent` and `:batchEmbedContents`, and Vertex AI's `:predict`.

In: request and response bodies. Out: `LlmRequest`, `LlmResponse`. Format:
https://ai.google.dev/api/embeddings and "Text embeddings API" in Vertex AI's reference. The
vectors are not kept.
"""

from __future__ import annotations

from collector.http.events import RequestHead, ResponseHead
from collector.llm.embedding_body import EmbeddingBody
from collector.llm.fields import count, mapping, objects, parse_object, word
from collector.llm.google_path import GooglePath, google_path
from collector.llm.model import Json, JsonObject, LlmRequest, Usage

_METHODS = ("embedContent", "batchEmbedContents")


class GeminiEmbeddings:
    """The `Api` of Google's embedding models, on the Gemini API and on Vertex AI."""

    name = "gemini.embeddings"
    operation = "embeddings"
    native_provider = "gcp.gemini"

    def matches(self, head: RequestHead) -> bool:
        """Could this request be a call of this API?"""
        path = google_path(head)
        return path is not None and (path.method in _METHODS or _predicts(path))

    def has_shape(self, body: JsonObject) -> bool:
        """A content to embed, or requests of one each."""
        requests = objects(body, "requests")
        return "parts" in mapping(body, "content") or (
            bool(requests) and all("parts" in mapping(one, "content") for one in requests)
        )

    def parse_request(self, head: RequestHead, body: bytes) -> LlmRequest | None:
        """The request, or None when the body is not of this API's shape. A message is what one
        vector is asked for; `requests` in `params` are the settings of each."""
        request = parse_object(body)
        if request is None:
            return None
        requests, instances = request.pop("requests", None), request.pop("instances", None)
        named = word(request, "model")
        messages: list[Json]
        if type(requests) is list:
            each = [one for one in requests if type(one) is dict]
            messages = [one.pop("content", None) for one in each]
            named = next((name for one in each if (name := word(one, "model"))), None)
            request["requests"] = [
                {key: value for key, value in one.items() if key != "model"} for one in each
            ]
        elif type(instances) is list:
            messages = instances
        elif "content" in request:
            messages = [request.pop("content")]
        else:
            return None
        path = google_path(head)
        model = (path.model if path else None) or named
        return LlmRequest(
            request_model=model.removeprefix("models/") if model else None,
            stream=False,
            messages=tuple(messages),
            params={key: value for key, value in request.items() if key != "model"},
        )

    def response_decoder(self, head: ResponseHead, request: LlmRequest) -> EmbeddingsResponse:
        """A decoder for the response that begins with `head`."""
        return EmbeddingsResponse(head)


class EmbeddingsResponse(EmbeddingBody):
    """Reads the body of a response."""

    def _take_json(self, body: JsonObject) -> None:
        if "error" in body:
            self._fail(body)
            return
        vectors = [mapping(one, "embeddings") for one in objects(body, "predictions")]
        vectors += objects(body, "embeddings")
        if "embedding" in body:
            vectors.append(mapping(body, "embedding"))
        self._ended = bool(vectors)
        tokens = count(mapping(body, "usageMetadata"), "promptTokenCount")
        if tokens is None:
            counted = [_tokens(mapping(one, "statistics")) for one in vectors]
            if counted and None not in counted:
                tokens = sum(each or 0 for each in counted)
        self._counts = None if tokens is None else Usage(input_tokens=tokens, output_tokens=0)


def _predicts(path: GooglePath) -> bool:
    """Vertex AI's older embedding models: `:predict` is what any model there is asked with."""
    named = path.model or ""
    return path.method == "predict" and path.publisher == "google" and "embedding" in named


def _tokens(statistics: JsonObject) -> int | None:
    found = count(statistics, "token_count")
    return count(statistics, "tokenCount") if found is None else found
