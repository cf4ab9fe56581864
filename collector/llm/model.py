"""Nouns of an LLM call, the same for every provider.

In: nothing; this module only names things. The modules beside it produce these from HTTP
bodies; `collector.calls` and the store consume them. `None` always means *not known*:
it is never replaced by zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

Json = Any
JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider reported them.

    `input_tokens` includes cache reads and cache writes for every provider (Anthropic's own
    number excludes them, so its decoder adds them). `cache_write_1h_tokens` is the part of
    `cache_write_tokens` with the longer lifetime. Audio and image tokens are parts of the totals
    and, with `cache_`, of `cache_read_tokens`. `web_searches` counts those of the provider's own
    tool that it bills by number. `cost_usd` only when the provider states it.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    cache_audio_read_tokens: int | None = None
    input_image_tokens: int | None = None
    output_image_tokens: int | None = None
    cache_image_read_tokens: int | None = None
    web_searches: int | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that the model made. `arguments` is the joined JSON text, as sent.

    `match_id`: what finds its result where `tool_call_id` does not, because the API gives none or
    clients drop or replace it (`collector.llm.call_matching`).
    """

    tool_call_id: str | None
    name: str
    arguments: str
    requested_ns: int
    match_id: str | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A tool result that a request carries back. `text` is its text parts, joined by newlines.

    It is of the call with its `tool_call_id`, else of the one with its `match_id`.
    """

    tool_call_id: str | None
    text: str
    is_error: bool | None
    match_id: str | None = None


class ToolResults(Sequence[ToolResult]):
    """The results in messages, read when they are asked for.

    A history that is resent holds hundreds that were told before; `behind` reads only what comes
    after so many messages. `read` finds the results in messages, each by itself.
    """

    __slots__ = ("_messages", "_read")

    def __init__(
        self, messages: Sequence[Json], read: Callable[[Sequence[Json]], Sequence[ToolResult]]
    ) -> None:
        self._messages = messages
        self._read = read

    def behind(self, count: int) -> Sequence[ToolResult]:
        """Those behind the first `count` messages."""
        return self._read(self._messages[count:])

    def __len__(self) -> int:
        return len(self.behind(0))

    @overload
    def __getitem__(self, index: int) -> ToolResult: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ToolResult]: ...
    def __getitem__(self, index: int | slice) -> ToolResult | Sequence[ToolResult]:
        return self.behind(0)[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


@dataclass(frozen=True, slots=True)
class LlmError:
    """`error_type` is the provider's word (`rate_limit_error`), else the HTTP status as text.

    `retry_after_s`: how long it asks to wait, where the body says so.
    """

    error_type: str
    message: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class LlmRequest:
    """One request body, split into the parts that conversations resend and the rest.

    `system`, `messages` and `tools` hold the provider's own JSON, one entry a message or
    schema; `params` holds every other top-level field (temperature, max_tokens, metadata...).
    `operation`, where the body tells it and the path does not; None: that of the API.
    `previous_response_id` and `conversation_id` name what the server puts before `messages`.
    """

    request_model: str | None
    stream: bool
    system: tuple[Json, ...] = ()
    messages: tuple[Json, ...] = ()
    tools: tuple[Json, ...] = ()
    params: JsonObject = field(default_factory=dict)
    tool_results: Sequence[ToolResult] = ()
    operation: str | None = None
    previous_response_id: str | None = None
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True)
class LlmResponse:
    """What came back, whole or as far as it was seen.

    `output` is the assistant's message(s) in the provider's JSON shape, joined from deltas.
    `first_token_ns` is the time of the first event that carries generated content (text,
    thinking or tool arguments; never a ping or a role-only delta); None for unstreamed calls.
    `chunk_ns` holds the time of each such event. `complete` is False when the terminal event
    or the end of the body was not seen. `service_tier` is the tier that served it, in the
    provider's word; `speed` is Anthropic's `fast` or `standard`. `limit_events` are those that
    `collector.llm.rate_limits` reads.
    """

    response_id: str | None = None
    model: str | None = None
    usage: Usage | None = None
    finish_reason: str | None = None
    output: tuple[Json, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    error: LlmError | None = None
    first_token_ns: int | None = None
    chunk_ns: tuple[int, ...] = ()
    complete: bool = False
    service_tier: str | None = None
    speed: str | None = None
    limit_events: tuple[JsonObject, ...] = ()
