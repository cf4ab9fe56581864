"""What the response bodies of Amazon Bedrock's APIs share.

In: response bodies, and the events of `collector.http.event_stream`. Out: to the modules of
Converse and InvokeModel, which derive from `BedrockBody`. Formats: "Converse" and "InvokeModel"
in the Amazon Bedrock API reference, errors as in the AWS REST-JSON protocol (Smithy).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import unquote

import orjson

from collector.http.events import RequestHead, ResponseHead, header
from collector.http.framing import StreamEvent
from collector.llm.body import BodyDecoder
from collector.llm.endpoint import path_of
from collector.llm.fields import count, word
from collector.llm.model import Json, JsonObject, Usage

_FAILURES = ("exception:", "error:")
_MODEL = "/model/"
_TYPE_CHARS = 200
_COUNTS = "x-amzn-bedrock-"
_COUNT = re.compile("[0-9]{1,15}")


def model_of(head: RequestHead) -> str | None:
    """The model that a path names: an id, an inference profile's, or the ARN of either."""
    _, found, rest = path_of(head).rpartition(_MODEL)
    if not found:
        return None
    return unquote(rest.rpartition("/")[0]) or None


def usage_from(
    uncached: int | None, output: int | None, read: int | None, written: int | None
) -> Usage:
    """Tokens as Bedrock counts them: its input leaves out what the cache read and wrote.

    ("Prompt caching" in the Amazon Bedrock user guide.)
    """
    return Usage(
        input_tokens=None if uncached is None else uncached + (read or 0) + (written or 0),
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


class BedrockBody(BodyDecoder):
    """A body whose stream may end in an exception, and whose errors a header names."""

    def __init__(self, head: ResponseHead) -> None:
        super().__init__(head)
        self._named_error = _error_name(header(head.headers, "x-amzn-errortype") or "")

    def _take_events(self, events: list[StreamEvent]) -> None:
        super()._take_events(list(self._without_failures(events)))

    def _without_failures(self, events: list[StreamEvent]) -> Iterator[StreamEvent]:
        for event in events:
            if event.event.startswith(_FAILURES):
                self._fail_as(event)
            else:
                yield event

    def _fail_as(self, event: StreamEvent) -> None:
        payload: Json = None
        try:
            payload = orjson.loads(event.data)
        except orjson.JSONDecodeError:
            payload = event.data[:4_000].decode("utf-8", "replace")
        kind = event.event.partition(":")[2]
        super()._fail(_worded(payload))
        if self._error is not None and kind:
            self._error = replace(self._error, error_type=kind[:_TYPE_CHARS])

    def _fail(self, payload: Json) -> None:
        """Note an error; its type stands in a header, or in the body's `__type`."""
        super()._fail(_worded(payload))
        kind = self._named_error
        if not kind and type(payload) is dict:
            kind = _error_name(word(payload, "__type") or "")
        if kind and self._error is not None and self._status >= 400:
            self._error = replace(self._error, error_type=kind)


def usage_in_headers(head: ResponseHead) -> Usage | None:
    """Tokens as InvokeModel's response headers count them; None when they do not."""
    counts: JsonObject = {}
    for name, value in head.headers:
        is_count = name.startswith(_COUNTS) and name.endswith("-token-count")
        if is_count and _COUNT.fullmatch(value):
            counts[name.removeprefix(_COUNTS)] = int(value)
    return known_usage(
        usage_from(
            counts.get("input-token-count"),
            counts.get("output-token-count"),
            counts.get("cache-read-input-token-count"),
            counts.get("cache-write-input-token-count"),
        )
    )


def usage_in_metrics(metrics: JsonObject) -> Usage | None:
    """Tokens of `amazon-bedrock-invocationMetrics`, which ends InvokeModel's streams."""
    return known_usage(
        usage_from(
            count(metrics, "inputTokenCount"),
            count(metrics, "outputTokenCount"),
            count(metrics, "cacheReadInputTokenCount"),
            count(metrics, "cacheWriteInputTokenCount"),
        )
    )


def known_usage(usage: Usage) -> Usage | None:
    """None for a usage that says nothing."""
    return None if usage == Usage() else usage


def _error_name(text: str) -> str:
    """The name in `ThrottlingException:http://...` or `com.amazon.coral#ThrottlingException`."""
    return text.partition(":")[0].rpartition("#")[2].strip()[:_TYPE_CHARS]


def _worded(payload: Json) -> Json:
    """Some of AWS's services write `Message`."""
    if type(payload) is dict and "message" not in payload and "Message" in payload:
        return {**payload, "message": payload["Message"]}
    return payload
