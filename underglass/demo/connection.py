"""Client connections: plaintext bytes counted both ways, and the HTTP version spoken on them.

In: bytes from asyncio, after TLS. Out: the same bytes to `http1` or to `http2` (when ALPN chose
it, or when the client begins with its preface), and one `ConnectionRecord` when the connection
is gone.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable

from underglass.demo.channel import Answer, Speaker
from underglass.demo.http1 import Http1
from underglass.demo.ledger import ConnectionRecord

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Connection(asyncio.Protocol):
    """One client connection: counts, closes, and holds back when the client reads slowly.

    `http2`: off, auto (as ALPN or the first bytes say), only.
    """

    def __init__(
        self,
        number: int,
        answer: Answer,
        open_connections: set[Connection],
        log: Callable[[ConnectionRecord], None],
        http2: str = "off",
    ) -> None:
        self.number = number
        self.client_port = 0
        self.error: str | None = None
        self._answer = answer
        self._open_connections = open_connections
        self._log = log
        self._http2 = http2
        self._speaker: Speaker | None = None
        self._first_bytes = b""
        self._received, self._sent = hashlib.sha256(), hashlib.sha256()
        self._received_bytes = self._sent_bytes = 0
        self._opened_ns = 0
        self._lost = False
        self._transport: asyncio.Transport
        self._resumed: asyncio.Event = asyncio.Event()
        self._resumed.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection (its TLS handshake, too) stands."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.client_port = transport.get_extra_info("peername")[1]
        self._opened_ns = time.monotonic_ns()
        self._tls = transport.get_extra_info("ssl_object")
        self._open_connections.add(self)
        alpn = None if self._tls is None else self._tls.selected_alpn_protocol()
        if alpn == "h2" or self._http2 == "only":
            self._speak_http2()
        elif alpn is not None or self._http2 == "off":
            self._speaker = Http1(self, self._answer)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came in."""
        self._received.update(data)
        self._received_bytes += len(data)
        if self._speaker is None:
            data = self._first_bytes = self._first_bytes + data
            if data.startswith(PREFACE):
                self._speak_http2()
            elif PREFACE.startswith(data):
                return
            else:
                self._speaker = Http1(self, self._answer)
        assert self._speaker is not None
        self._speaker.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone."""
        self._lost = True
        self._open_connections.discard(self)
        self._resumed.set()
        if self._speaker is not None:
            self._speaker.lost()
        if exc is not None and self.error is None:
            self.error = f"{type(exc).__name__}: {exc}"
        cipher = None if self._tls is None else self._tls.cipher()
        self._log(
            ConnectionRecord(
                connection=self.number,
                client_port=self.client_port,
                http_version=None if self._speaker is None else self._speaker.version,
                alpn=None if self._tls is None else self._tls.selected_alpn_protocol(),
                tls_version=None if self._tls is None else self._tls.version(),
                cipher=None if cipher is None else cipher[0],
                received_bytes=self._received_bytes,
                received_sha256=self._received.hexdigest(),
                sent_bytes=self._sent_bytes,
                sent_sha256=self._sent.hexdigest(),
                error=self.error,
                opened_ns=self._opened_ns,
                closed_ns=time.monotonic_ns(),
            )
        )

    def pause_writing(self) -> None:
        """asyncio: the client reads more slowly than we write."""
        self._resumed.clear()

    def resume_writing(self) -> None:
        """asyncio: the client has caught up."""
        self._resumed.set()

    def send(self, data: bytes | memoryview) -> None:
        """Write bytes; over TLS, each call makes records of its own."""
        if self.closed:
            return
        self._sent.update(data)
        self._sent_bytes += len(data)
        self._transport.write(data)

    @property
    def closed(self) -> bool:
        """Is the connection gone, or about to be?"""
        return self._lost or self._transport.is_closing()

    @property
    def paused(self) -> bool:
        """Should the writer wait for `drained`?"""
        return not self._resumed.is_set()

    async def drained(self) -> None:
        """Wait until the client has read enough, or is gone."""
        await self._resumed.wait()

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """The exchanges that run."""
        return set() if self._speaker is None else set(self._speaker.tasks)

    def go_away(self) -> None:
        """Take no further requests; running exchanges go on."""
        if self._speaker is not None:
            self._speaker.go_away()

    def speak(self, speaker: Speaker) -> None:
        """The connection is upgraded: all that follows is the speaker's."""
        self._speaker = speaker

    def close(self) -> None:
        """Close the connection once everything written has been sent."""
        self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def _speak_http2(self) -> None:
        from underglass.demo.http2 import Http2

        self._speaker = Http2(self, self._answer)
