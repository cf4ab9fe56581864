"""Seams of the stand-in's HTTP: the way back for a response, whatever the version of HTTP.

`connection` owns the transport (a `Wire`), `http1` and `http2` are its `Speaker`s: they hand
whole requests, each with a `Channel`, to the `Answer` that `model_server` gives.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Protocol

from underglass.demo.http_server import BadRequest, Request
from underglass.demo.reply import Piece

Headers = list[tuple[str, str]]


class Wire(Protocol):
    """A connection as speakers use it."""

    number: int
    client_port: int
    error: str | None

    @property
    def closed(self) -> bool:
        """Is the connection gone, or about to be?"""

    @property
    def paused(self) -> bool:
        """Should the writer wait for `drained`?"""

    async def drained(self) -> None:
        """Wait until the client has read enough, or is gone."""

    def send(self, data: bytes | memoryview) -> None:
        """Write bytes; over TLS, each call makes records of its own."""

    def close(self) -> None:
        """Close the connection once everything written has been sent."""

    def speak(self, speaker: Speaker) -> None:
        """The connection is upgraded: all that follows is the speaker's."""


class Channel(ABC):
    """The way back for one response: counts what it puts on the wire, with and without framing.

    `transport`: http, or websocket for its messages. Of HTTP/1.1 alone are `keep_alive`, may
    another request follow on the connection, and `speaker`, of what it was upgraded to.
    """

    http_version: str
    transport = "http"
    stream_id: int | None = None

    def __init__(self, connection: Wire) -> None:
        self.connection = connection
        self.keep_alive = True
        self.speaker: Callable[[Wire, Answer], Speaker] | None = None
        self.interim_bytes = 0
        self.sent_bytes = 0
        self.body_bytes = 0
        self.body_hash = hashlib.sha256()
        self.first_byte_ns: int | None = None

    @property
    def closed(self) -> bool:
        """Is nobody there any more to read the response?"""
        return self.connection.closed

    @abstractmethod
    async def begin(
        self,
        status: int,
        headers: Headers,
        *,
        length: int | None,
        body: bytes = b"",
        ended: bool = False,
    ) -> bool:
        """Send the head and `body`. Without a `length` pieces follow, until the last one."""

    @abstractmethod
    async def send(self, piece: Piece, last: bool) -> bool:
        """Send a piece of the body; was it put on the wire as a whole?"""

    def _count(self, wire_bytes: int, body: bytes | memoryview) -> None:
        if self.first_byte_ns is None:
            self.first_byte_ns = time.monotonic_ns()
        self.sent_bytes += wire_bytes
        if body:
            self.body_bytes += len(body)
            self.body_hash.update(body)


Answer = Callable[[Channel, Request | BadRequest, int], Awaitable[bool]]
"""Answers a request received at a time (ns); says whether the connection stays open."""


class Speaker(Protocol):
    """One version of HTTP on one connection. `tasks` are the exchanges that run."""

    version: str
    tasks: set[asyncio.Task[None]]

    def received(self, data: bytes) -> None:
        """Take bytes of the client."""

    def lost(self) -> None:
        """Learn that the connection is gone."""

    def go_away(self) -> None:
        """Take no further requests; running exchanges go on."""
