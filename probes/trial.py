"""Hooks on trial: what was found by a resolver is believed once it captured something sensible.

In: connections and their first bytes, from files whose hooks no symbol vouches for. Out: verdicts
by file and stack. Programs speak HTTP/1, HTTP/2 or WebSocket over TLS here; a connection that
begins with anything else speaks against the hook, and a few of those without one that speaks for
it end the trial.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from probes.events import ConnectionKey
from probes.hooks import FileKey

MOST_FAILURES = 3
LOOK_BYTES = 64
_HTTP1 = re.compile(rb"(?:[A-Z]{3,16} [^ \r\n]+(?: HTTP/1\.|\Z)|[A-Z]{1,16}\Z|HTTP/1\.[01] \d)")
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HTTP2_TYPES = 10  # DATA to CONTINUATION
_HTTP2_MOST_BYTES = 1 << 20


def looks_right(data: bytes) -> bool:
    """Could a connection that carries HTTP begin, or go on at a call's boundary, like this?"""
    if _HTTP1.match(data) or _PREFACE.startswith(data[: len(_PREFACE)]):
        return True
    if len(data) < 9:
        return False
    length = int.from_bytes(data[:3], "big")
    stream = int.from_bytes(data[5:9], "big")
    return length <= _HTTP2_MOST_BYTES and data[3] < _HTTP2_TYPES and stream < 1 << 24


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of one stack's trial in one file."""

    file: FileKey
    stack: str
    believed: bool


class Trials:
    """Stacks on trial, and the connections whose first bytes will decide."""

    def __init__(self) -> None:
        self._failures: dict[tuple[FileKey, str], int] = {}
        self._since: dict[tuple[FileKey, str], int] = {}
        self._waiting: dict[ConnectionKey, tuple[FileKey, str]] = {}

    def __bool__(self) -> bool:
        return bool(self._failures)

    @property
    def waiting(self) -> bool:
        """Are there connections whose first bytes will be judged?"""
        return bool(self._waiting)

    def begin(self, file: FileKey, stack: str, since_ns: int) -> None:
        """Hooks were attached that nothing has confirmed.

        `since_ns`: a time before that (CLOCK_MONOTONIC); connections that began earlier, under
        other hooks, say nothing of these.
        """
        self._failures.setdefault((file, stack), 0)
        self._since[file, stack] = since_ns

    def opened(self, connection: ConnectionKey, file: FileKey, stack: str) -> None:
        """A connection was seen first by a hook of this file."""
        subject = (file, stack)
        if subject in self._failures and connection.epoch >= self._since[subject]:
            self._waiting[connection] = subject

    def first_bytes(self, connection: ConnectionKey, data: bytes) -> Verdict | None:
        """Judge the first bytes of a connection; a verdict when it is the last one needed."""
        subject = self._waiting.pop(connection, None)
        if subject is None:
            return None
        believed = looks_right(data[:LOOK_BYTES])
        self._failures[subject] += not believed
        if not believed and self._failures[subject] < MOST_FAILURES:
            return None
        self._end(subject)
        return Verdict(*subject, believed=believed)

    def _end(self, subject: tuple[FileKey, str]) -> None:
        del self._failures[subject], self._since[subject]
        self._waiting = {key: other for key, other in self._waiting.items() if other != subject}

    def abandon(self, file: FileKey) -> None:
        """A file's hooks are taken out undecided."""
        for subject in [one for one in self._failures if one[0] == file]:
            self._end(subject)
        self._waiting = {key: one for key, one in self._waiting.items() if one[0] != file}

    def forget(self, pid: int) -> None:
        """A process ended; what its connections would have said is not known."""
        for connection in [key for key in self._waiting if key.tgid == pid]:
            del self._waiting[connection]
