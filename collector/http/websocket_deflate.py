"""Compression of WebSocket messages: permessage-deflate (RFC 7692).

In: the `Sec-WebSocket-Extensions` header of the response that opened the WebSocket, then the
payload of each compressed message of one direction. Out: what was agreed, and the messages, to
`collector.http.websocket_frames`.

Any window size inflates with the largest window, so `*_max_window_bits` need no care.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from collector.http.events import Headers

_NAME = "permessage-deflate"
_TAIL = b"\x00\x00\xff\xff"  # of an empty block, which senders leave out (RFC 7692, 7.2.1)
_WINDOW_BYTES = 32 << 10


class Extensions(NamedTuple):
    """What a server agreed to. `others`: an extension that is not known, whatever it does."""

    deflate: bool = False
    client_takeover: bool = True
    server_takeover: bool = True
    others: bool = False


def negotiated(headers: Headers) -> Extensions:
    """The extensions in a response's headers (RFC 6455, 9.1)."""
    found = Extensions()
    values = ",".join(value for name, value in headers if name == "sec-websocket-extensions")
    for extension in values.split(","):
        name, *parameters = (part.strip().lower() for part in extension.split(";"))
        if name == _NAME:
            found = found._replace(
                deflate=True,
                client_takeover="client_no_context_takeover" not in parameters,
                server_takeover="server_no_context_takeover" not in parameters,
            )
        elif name:
            found = found._replace(others=True)
    return found


class Inflater:
    """Inflates the compressed messages of one direction, none to more than `limit_bytes`.

    With `takeover` each message may refer back to the last 32 KiB of those before it: once one of
    them is missing, no later one can be read, and `broken` says so for good.
    """

    def __init__(self, *, takeover: bool, limit_bytes: int) -> None:
        self._takeover = takeover
        self._limit_bytes = limit_bytes
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._fresh = True
        self.broken = False
        self.too_long = False  # was the last message?

    def lose(self) -> None:
        """A compressed message is missing or was not inflated to its end."""
        self.broken = self._takeover
        self._renew()

    def message(self, payload: bytes) -> bytes | None:
        """The message, or None when it cannot be known."""
        self.too_long = False
        if self.broken:
            return None
        if not self._takeover and not self._fresh:
            self._renew()
        self._fresh = False
        stream = self._stream
        try:
            data = stream.decompress(payload, self._limit_bytes + 1)
            if len(data) > self._limit_bytes:
                self.too_long = True
                self.lose()
                return None
            ends_a_block = not stream.decompress(_TAIL, 1)
        except zlib.error:
            self.lose()
            return None
        if not ends_a_block:
            self.lose()
            return None
        if stream.eof and not self._goes_on_after(data, stream.unused_data):
            return None
        return data

    def _goes_on_after(self, data: bytes, rest: bytes) -> bool:
        """A sender may end the deflate stream with a message (7.2.3.4); the next begins a new
        one, which may refer back. False when there is more behind the end."""
        if rest not in (_TAIL, b"\x00" + _TAIL):
            self.lose()
            return False
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS, zdict=data[-_WINDOW_BYTES:])
        return True

    def _renew(self) -> None:
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._fresh = True
