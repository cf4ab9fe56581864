"""The seams between HTTP exchanges and LLM APIs.

An API module offers one `Api`; the provider whose format it is lists it (`collector.llm.provider`).
`collector.calls` asks `matches` once per request, `parse_request` when the body is whole, and
feeds the response body (after content decoding) to the `ResponseDecoder`. A `SocketApi` says how
the messages of a WebSocket make requests and responses of an `Api`.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from collector.http.events import Headers, RequestHead, ResponseHead
from collector.llm.model import Json, JsonObject, LlmRequest, LlmResponse


class ResponseDecoder(Protocol):
    """Accumulates one response. Never raises on what a server sends."""

    def feed(self, data: bytes, ktime_ns: int) -> None:
        """Take decoded body bytes that arrived at `ktime_ns`."""

    @property
    def skipped_bytes(self) -> int:
        """Decoded body bytes that said nothing: of events too long, damaged, or no JSON."""

    def snapshot(self) -> LlmResponse:
        """What is known so far; cheap enough to call a few times a second."""

    def said(self) -> tuple[Json, ...]:
        """`output` as far as it has come, texts and tool arguments cut where they are; as cheap."""

    def finish(self, complete: bool) -> LlmResponse:
        """The final response. `complete` says whether the HTTP body arrived whole."""


class Api(Protocol):
    """One wire format of one or more providers."""

    name: str  # stored in calls.api, e.g. `anthropic.messages`
    operation: str  # `gen_ai.operation.name`: chat, text_completion, embeddings, generate_content
    native_provider: str  # whose format it is: the provider where the host tells no other

    def matches(self, head: RequestHead) -> bool:
        """Could this request be a call of this API? Decided by method and path, not by host."""

    def has_shape(self, body: JsonObject) -> bool:
        """Is a body that of this API's request and of no other's? Asked where the path is not
        known."""

    def parse_request(self, head: RequestHead, body: bytes) -> LlmRequest | None:
        """The request, or None when the body is not of this API's shape."""

    def response_decoder(self, head: ResponseHead, request: LlmRequest) -> ResponseDecoder:
        """A decoder for the response that begins with `head`."""


class SocketRequest(NamedTuple):
    """A client's message that asks for a response.

    `lane`: of several that share a WebSocket, each of which answers in order; None: it has but
    one. `waits`: it becomes a call only if a response comes that nothing else has asked for.
    """

    body: bytes
    lane: str | None = None
    waits: bool = False


class SocketEvent(NamedTuple):
    """A server's message that belongs to a response.

    `number` grows within a response. `ends`: it is the last of it. `refuses`: it turns a request
    down, rather than to break off a response. `status` and `headers` are HTTP's, where an error
    tells them.
    """

    lane: str | None = None
    response_id: str | None = None
    number: int | None = None
    ends: bool = False
    refuses: bool = False
    status: int | None = None
    headers: Headers = ()


class SocketApi(Protocol):
    """An `Api` whose requests and responses are messages of a WebSocket.

    A response's messages are fed to the decoder as a JSON text sequence (RFC 7464).
    """

    api: Api

    def matches(self, head: RequestHead) -> bool:
        """Could the WebSocket that this request opens carry calls?"""

    def asked(self, message: bytes) -> SocketRequest | None:
        """What a client's message asks for; None: nothing."""

    def told(self, message: bytes) -> SocketEvent | None:
        """What a server's message tells of a response; None: it belongs to none."""
