"""What the response bodies of embeddings APIs share: tokens, and vectors that are not kept.

In: one JSON body. Out: an `LlmResponse` without output, to the modules of OpenAI's and Cohere's
embeddings. Nothing is generated, so output tokens are known to be 0 where input tokens are known.
"""

from __future__ import annotations

from collector.http.events import ResponseHead
from collector.llm.body import BodyDecoder
from collector.llm.fields import count, mapping, word
from collector.llm.model import Json, JsonObject, ToolCall, Usage


class EmbeddingBody(BodyDecoder):
    """Reads the body of an embeddings response."""

    def __init__(self, head: ResponseHead) -> None:
        super().__init__(head)
        self._counts: Usage | None = None

    def _take_event(self, event: JsonObject) -> None:
        self._take_json(event)

    def _take_json(self, body: JsonObject) -> None:
        if body.get("error"):
            self._fail(body)
            return
        self._response_id = word(body, "id")
        self._model = word(body, "model")
        self._counts = _usage_of(body)
        self._ended = any(key in body for key in ("data", "embeddings", "results"))

    def _usage(self) -> Usage | None:
        return self._counts

    def _output(self) -> tuple[Json, ...]:
        return ()

    def _tool_calls(self, final: bool) -> tuple[ToolCall, ...]:
        return ()


def _usage_of(body: JsonObject) -> Usage | None:
    """`usage` as OpenAI counts (Voyage and Jina say the total alone), or Cohere's billed units."""
    usage = mapping(body, "usage")
    billed = mapping(mapping(body, "meta"), "billed_units")
    counts = (
        count(usage, "prompt_tokens"),
        count(usage, "total_tokens"),
        _sum(count(billed, "input_tokens"), count(billed, "image_tokens")),
    )
    input_tokens = next((value for value in counts if value is not None), None)
    return None if input_tokens is None else Usage(input_tokens=input_tokens, output_tokens=0)


def _sum(*values: int | None) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
