"""The seam between HTTP exchanges and LLM APIs.

An API module offers one `Api`; `collector.llm.registry` lists them in the order of trial.
`collector.calls` asks `matches` once per request, `parse_request` when the body is whole, and
feeds the response body (after content decoding) to the `ResponseDecoder`.
"""

from __future__ import annotations

from typing import Protocol

from collector.http.events import RequestHead, ResponseHead
from collector.llm.model import LlmRequest, LlmResponse


class ResponseDecoder(Protocol):
    """Accumulates one response. Never raises on what a server sends."""

    def feed(self, data: bytes, ktime_ns: int) -> None:
        """Take decoded body bytes that arrived at `ktime_ns`."""

    def snapshot(self) -> LlmResponse:
        """What is known so far; cheap enough to call a few times a second."""

    def finish(self, complete: bool) -> LlmResponse:
        """The final response. `complete` says whether the HTTP body arrived whole."""


class Api(Protocol):
    """One wire format of one or more providers."""

    name: str  # stored in calls.api, e.g. `anthropic.messages`

    def matches(self, head: RequestHead) -> bool:
        """Could this request be a call of this API? Decided by method and path, not by host."""

    def provider(self, head: RequestHead) -> str:
        """OpenTelemetry's `gen_ai.provider.name` for the host, e.g. `anthropic`, `openai`."""

    def parse_request(self, head: RequestHead, body: bytes) -> LlmRequest | None:
        """The request, or None when the body is not of this API's shape."""

    def response_decoder(self, head: ResponseHead, request: LlmRequest) -> ResponseDecoder:
        """A decoder for the response that begins with `head`."""
