"""Harnesses of `collector.llm`: a request or a response of one of the APIs.

The first byte of an input chooses the API, the rest is dealt out as `steps.parsed` says.
"""

from __future__ import annotations

import orjson

from collector.http.events import RequestHead, ResponseHead
from collector.llm.api import Api
from collector.llm.fields import dump
from collector.llm.model import LlmRequest, LlmResponse, Usage
from collector.llm.registry import APIS
from collector.normalisation import arguments_hash, canonical_arguments
from tests.fuzz.steps import parsed, pieces

API_NAMES = (
    "anthropic.messages",
    "anthropic.vertex",
    "bedrock.converse",
    "bedrock.invoke",
    "cohere.chat",
    "cohere.embed",
    "cohere.rerank",
    "gemini",
    "gemini.embeddings",
    "ollama.chat",
    "ollama.embeddings",
    "ollama.generate",
    "openai.chat",
    "openai.completions",
    "openai.embeddings",
    "openai.image_edits",
    "openai.image_generations",
    "openai.image_variations",
    "openai.responses",
    "openai.speech",
    "openai.transcriptions",
    "openai.translations",
    "watsonx.chat",
)
"""By their first byte. A new one goes to the end, so that inputs that are kept mean the same."""
_APIS = {api.name: api for api in APIS}
MAX_COUNT = (1 << 63) - 1  # of a BIGINT
MEDIA_TYPES = (
    "text/event-stream; charset=utf-8",
    "application/json",
    "",
    "application/x-ndjson",
    "application/vnd.amazon.eventstream",
    "application/json-seq",
    "text/plain",
)
STATUSES = (200, 400, 529, 201)
_REQUEST = LlmRequest(request_model="m", stream=True)
_TARGETS = (
    "/v1/messages",
    "/v1/chat/completions?key=a",
    "/model/anthropic.claude-v2%3A1/invoke-with-response-stream",
    "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
    "",
    "/\u00ff%zz",
)


def of_api(name: str, raw: bytes) -> bytes:
    """The input with the byte before it that chooses the API."""
    return bytes([API_NAMES.index(name)]) + raw


def _chosen(raw: bytes) -> Api:
    return _APIS[API_NAMES[(raw[0] if raw else 0) % len(API_NAMES)]]


def requests(raw: bytes) -> None:
    """A request body; the first choice is the target."""
    api, source = _chosen(raw), parsed(raw[1:])
    target = _TARGETS[source.choice(0) % len(_TARGETS)]
    head = RequestHead(1, "POST", target, "1.1", (("host", "localhost"),))
    api.matches(head)
    found = api.parse_request(head, source.data)
    assert found == api.parse_request(head, source.data)
    try:
        body = orjson.loads(source.data)
    except orjson.JSONDecodeError:
        body = None
    if isinstance(body, dict):
        assert api.has_shape(body) in (True, False)
    if found is None:
        return
    assert found.request_model is None or type(found.request_model) is str
    assert type(found.stream) is bool
    for part in (*found.system, *found.messages, *found.tools, found.params):
        dump(part)
    for result in found.tool_results:
        result.text.encode()
        assert result.tool_call_id is None or type(result.tool_call_id) is str
        assert result.is_error in (None, True, False)


def responses(raw: bytes) -> None:
    """A response body, whole and split, with a look at it on the way; the first choice is the
    media type, the second the status."""
    api, source = _chosen(raw), parsed(raw[1:])
    media_type = MEDIA_TYPES[source.choice(0) % len(MEDIA_TYPES)]
    headers = (("content-type", media_type),) if media_type else ()
    head = ResponseHead(2, STATUSES[source.choice(1) % len(STATUSES)], "", "1.1", headers)
    parts = pieces(source.data, source.choices[2:])
    whole = _decoded(api, head, [source.data][: len(source.data)], complete=True)
    assert _decoded(api, head, parts, complete=True) == whole
    assert _decoded(api, head, parts, complete=True, looks=True) == whole
    assert not _decoded(api, head, parts, complete=False).complete
    _is_storable(whole)


def _decoded(
    api: Api, head: ResponseHead, parts: list[bytes], *, complete: bool, looks: bool = False
) -> LlmResponse:
    decoder = api.response_decoder(head, _REQUEST)
    for part in parts:
        decoder.feed(part, 1_000)
        if looks:
            assert not decoder.snapshot().complete
    return decoder.finish(complete)


def _is_storable(found: LlmResponse) -> None:
    for word in (found.response_id, found.model, found.finish_reason):
        assert word is None or type(word) is str
        assert word is None or word.encode() is not None
    dump(found.output)
    for call in found.tool_calls:
        assert type(call.name) is str
        assert call.tool_call_id is None or type(call.tool_call_id) is str
        arguments_hash(canonical_arguments(call.arguments))
    if found.usage is not None:
        _is_usage(found.usage)
    assert all(at == 1_000 for at in found.chunk_ns)
    assert found.first_token_ns == (found.chunk_ns[0] if found.chunk_ns else None)


def _is_usage(usage: Usage) -> None:
    counts = (
        *(usage.input_tokens, usage.output_tokens, usage.reasoning_tokens),
        *(usage.cache_read_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens),
    )
    assert all(count is None or 0 <= count <= MAX_COUNT for count in counts)
