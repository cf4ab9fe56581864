"""Heads of HTTP/2 (RFC 9113 section 8): decoded fields as the heads that HTTP/1 has, too.

In: header lists, perhaps with unknown names and values. Out: `RequestHead` and `ResponseHead`, to
`collector.http.http2`. Values pass through `Mask` before anything else sees them.

What is not known is left out; of pseudo-header fields it reads as "" (method, target) or 0
(status), which no message can have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from collector.http.events import Headers, RequestHead, ResponseHead, header
from collector.http.hpack_fields import RawField

Mask = Callable[[bytes, bytes], bytes]  # name and value -> the value without secrets

VERSION = "2"
_KEPT_TEXTS = 256
_KEPT_BYTES = 512  # of one value
_OF_REQUESTS = frozenset((b":method", b":path", b":scheme", b":authority", b":protocol"))


class FieldTexts:
    """Header lists as text; those of one direction repeat themselves."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._known: dict[RawField, tuple[str, str]] = {}

    def __call__(self, fields: Sequence[RawField]) -> Headers:
        """The fields of which name and value are known."""
        known, texts = self._known, []
        for field in fields:
            text = known.get(field)
            if text is None:
                name, value = field
                if name is None or value is None:
                    continue
                name = name.lower()
                value = self._mask(name, value)
                text = (name.decode("latin-1"), value.decode("latin-1"))
                if len(value) <= _KEPT_BYTES:
                    if len(known) >= _KEPT_TEXTS:
                        known.clear()
                    known[field] = text
            texts.append(text)
        return tuple(texts)


def is_head(fields: Sequence[RawField], *, last: bool) -> bool:
    """Does a block of a stream of which no head was seen hold one, rather than trailers? `last`:
    it ends its message, as trailers must. Where that cannot be told, no."""
    if any(name is not None and name.startswith(b":") for name, _ in fields):
        return True
    return not last and any(name is None for name, _ in fields)


def is_request(fields: Sequence[RawField]) -> bool | None:
    """Is it a request's head, not a response's? None: there is no telling."""
    for name, _ in fields:
        if name in _OF_REQUESTS:
            return True
        if name == b":status":
            return False
    return None


def request_head(ktime_ns: int, headers: Headers) -> RequestHead:
    """With a `host` field, as in HTTP/1; the target of a CONNECT is its authority."""
    authority = header(headers, ":authority")
    target = header(headers, ":path")
    method = header(headers, ":method") or ""
    if target is None:
        target = authority or "" if method == "CONNECT" else ""
    if authority and header(headers, "host") is None:
        headers = (*headers, ("host", authority))
    return RequestHead(ktime_ns, method, target, VERSION, headers)


def response_head(ktime_ns: int, headers: Headers) -> ResponseHead:
    """Status 0: not known."""
    status = header(headers, ":status") or ""
    number = int(status) if len(status) == 3 and status.isascii() and status.isdigit() else 0
    return ResponseHead(ktime_ns, number, "", VERSION, headers)
