"""How a streamed body is cut into events.

In: body bytes after content decoding. Out: `StreamEvent`s, to the response decoders of
`collector.llm`. A `Framing` is chosen by media type (`collector.llm.body`); each is a module
beside this one.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class StreamEvent(NamedTuple):
    """One event. `data` is as sent, which JSON parsers take without a copy.

    `event` is its name; `message` where the stream names none. `id`: of server-sent events, the
    last id, which lasts until the stream sends another; None: it sent none yet.
    """

    event: str
    data: bytes
    id: str | None = None


class Framing(Protocol):
    """Cuts one body. An event of more than `limit_bytes` is skipped and counted."""

    skipped_bytes: int

    def __init__(self, limit_bytes: int) -> None: ...

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take body bytes and return the events that they end. Never raises."""

    def finish(self) -> list[StreamEvent]:
        """Note the end of the body; events that need no end of their own are returned."""

    @property
    def pending_bytes(self) -> int:
        """Bytes of an event that has not ended."""
