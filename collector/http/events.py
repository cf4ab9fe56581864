"""Nouns of HTTP as a bystander sees it: what the decoders in this package yield.

In: nothing; this module only names things. Out: to `collector.exchange`.
Times are nanoseconds of the kernel's monotonic clock, taken when the TLS call that
delivered the *last* byte of the event returned. Header names are lower-case, values are
latin-1 text as sent.
"""

from __future__ import annotations

from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]


def header(headers: Headers, name: str) -> str | None:
    """First value of a header, or None. `name` is lower-case."""
    for key, value in headers:
        if key == name:
            return value
    return None


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request line and its header fields. `version` is the number alone, such as `1.1`."""

    ktime_ns: int
    method: str
    target: str
    version: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A final or an interim (1xx) response head; interim ones have no body and no end."""

    ktime_ns: int
    status: int
    reason: str
    version: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class BodyData:
    """Body bytes after transfer decoding (chunked removed), before content decoding."""

    ktime_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class MessageEnd:
    """The end of a message. `wire_bytes` counts every byte of it: head, framing, trailers.

    `complete` is False when bytes were lost inside the message or the stream was cut;
    `lost_bytes` then says how many bytes of the message are known to be missing.
    """

    ktime_ns: int
    complete: bool
    wire_bytes: int
    lost_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Skipped:
    """Bytes that could not be attributed to a message, and why (a `SkipReason` word)."""

    ktime_ns: int
    length: int
    reason: str


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The connection left HTTP/1.1 (101, or 2xx to CONNECT); later bytes are another protocol's."""

    ktime_ns: int
    protocol: str


@dataclass(frozen=True, slots=True)
class Passed:
    """Bytes of the protocol that the connection was upgraded to."""

    ktime_ns: int
    data: bytes


HttpEvent = RequestHead | ResponseHead | BodyData | MessageEnd | Skipped | Upgraded | Passed
