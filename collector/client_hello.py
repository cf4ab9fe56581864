"""The server that a ClientHello names (RFC 8446 section 4.1.2, RFC 6066 section 3).

In: the first bytes that a process sent on a socket, perhaps cut. Out: the host name, to
`collector.coverage`. Every length is checked against what holds it; nothing is guessed from a
message that is not whole up to the name.
"""

from __future__ import annotations

import re

_HANDSHAKE_RECORD = 22
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_HOST_NAME = 0
_MAX_RECORD_BYTES = 1 << 14
_MAX_RECORDS = 16
_HOST = re.compile(rb"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\Z")


class _CutError(Exception):
    """The message goes on beyond the bytes at hand, or contradicts itself."""


class _Fields:
    """Reads length-prefixed fields one after the other. Raises _CutError at the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise _CutError
        self._at, taken = end, self._data[self._at : end]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, length_size: int) -> bytes:
        return self.take(self.number(length_size))

    def rest(self, size: int) -> bytes:
        """Up to `size` bytes, fewer when the data is cut."""
        taken = self._data[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def __bool__(self) -> bool:
        return self._at < len(self._data)


def server_name(data: bytes) -> str | None:
    """The lower-case host name that a ClientHello asks for; None when it names none, or is cut
    before it does, or when the bytes are no ClientHello."""
    try:
        hello = _Fields(_handshake(data))
        if hello.number(1) != _CLIENT_HELLO:
            return None
        body = _Fields(hello.rest(hello.number(3)))
        if body.number(1) != 3:  # legacy_version: SSL 3.0 and all that followed
            return None
        body.take(1 + 32)
        body.vector(1)  # session id
        if len(body.vector(2)) % 2 or not body.vector(1):  # cipher suites, compression methods
            return None
        extensions = _Fields(body.rest(body.number(2)))
        while extensions:
            kind = extensions.number(2)
            content = extensions.vector(2)
            if kind == _SERVER_NAME:
                return _host(content)
    except _CutError:
        pass
    return None


def _handshake(data: bytes) -> bytes:
    """Handshake bytes of the records at hand; the last may be cut. Raises _CutError."""
    records = _Fields(data)
    parts: list[bytes] = []
    while records and len(parts) < _MAX_RECORDS:
        if records.number(1) != _HANDSHAKE_RECORD or records.number(1) != 3:
            break
        records.take(1)
        size = records.number(2)
        if not 0 < size <= _MAX_RECORD_BYTES:
            break
        parts.append(records.rest(size))
    return b"".join(parts)


def _host(content: bytes) -> str | None:
    names = _Fields(_Fields(content).vector(2))
    while names:
        kind, name = names.number(1), names.vector(2)
        if kind == _HOST_NAME:
            return name.decode("ascii").lower() if _HOST.match(name) else None
    return None
