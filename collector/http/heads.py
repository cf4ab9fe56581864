"""Start lines, header fields and what they say about the length of the body.

In: the bytes of a head. Out: header fields and body framing, to `collector.http.http1`.
RFC 9112 sections 2 to 6, read with the tolerance of real peers: LF alone ends a line, folded
lines are joined, lines that are not fields are passed over.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from collector.http.events import Headers

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_TARGET = rb"[!-~\x80-\xff]"

KNOWN_METHODS = (
    *(b"CONNECT", b"DELETE", b"GET", b"HEAD", b"OPTIONS"),
    *(b"PATCH", b"POST", b"PUT", b"QUERY", b"TRACE"),
)  # none is the end of another, so a method cut by a gap is not taken for one

_REQUEST_LINE = rb"(%s) (%s+) HTTP/(1\.[0-9])[ \t]*\r?\n"
REQUEST_LINE = re.compile(_REQUEST_LINE % (_TOKEN + rb"{1,32}", _TARGET))
KNOWN_REQUEST_LINE = re.compile(_REQUEST_LINE % (b"|".join(KNOWN_METHODS), _TARGET))
STATUS_LINE = re.compile(rb"HTTP/(1\.[0-9]) +([1-9][0-9]{2})(?:[ \t]([^\r\n]*))?\r?\n")
STATUS_BEGIN = re.compile(rb"HTTP/1\.[0-9] [1-9][0-9]{2}[ \r\n]")
STATUS_BEGIN_BYTES = 13

# Where a start line might stand in bytes that are not understood: after CRLF only, as a lone LF
# is common inside text.
REQUEST_CANDIDATE = re.compile(
    rb"\r\n(?=%s{1,32} %s+(?: H| ?\Z)|%s{0,32} ?\Z)" % (_TOKEN, _TARGET, _TOKEN)
)
STATUS_CANDIDATE = re.compile(rb"\r\n(?=H|\Z)")

_METHOD = re.compile(_TOKEN + rb"{1,32}")
_TARGET_PREFIX = re.compile(_TARGET + rb"+")
_VERSION_PREFIX = re.compile(rb"HTTP/1\.[0-9][ \t]*\r?")
_STATUS_PREFIX = re.compile(
    rb"HTTP/1\.[0-9](?: +(?:[1-9][0-9]{0,1}|[1-9][0-9]{2}(?:[ \t].*|\r)?)?)?"
)
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)
_VERSION = b"HTTP/1."


class Framing(Enum):
    """How a body ends when its length is not a number of bytes known from the head."""

    CHUNKED = auto()
    UNTIL_CLOSE = auto()
    ABSENT = auto()  # the head says nothing
    INVALID = auto()  # the head contradicts itself


def may_begin_request(prefix: bytes, known_only: bool = False) -> bool:
    """Could a request line, perhaps only one of a known method, begin with `prefix` (no LF)?"""
    method, space, rest = prefix.partition(b" ")
    if not space:
        if known_only:
            return any(known.startswith(method) for known in KNOWN_METHODS)
        return not method or _METHOD.fullmatch(method) is not None
    if method not in KNOWN_METHODS and (known_only or _METHOD.fullmatch(method) is None):
        return False
    target, space, version = rest.partition(b" ")
    if not space:
        return not target or _TARGET_PREFIX.fullmatch(target) is not None
    if _TARGET_PREFIX.fullmatch(target) is None:
        return False
    return _VERSION.startswith(version) or _VERSION_PREFIX.fullmatch(version) is not None


def may_begin_status(prefix: bytes) -> bool:
    """Could a status line begin with `prefix` (which holds no LF)?"""
    return _VERSION.startswith(prefix) or _STATUS_PREFIX.fullmatch(prefix) is not None


def header_fields(head: bytes) -> Headers:
    """The fields of a head, start line included, in order; folded lines join with one space."""
    fields: list[tuple[str, str]] = []
    for line in head.decode("latin-1").split("\n")[1:]:
        if line[:1] in (" ", "\t"):
            if fields:
                name, value = fields[-1]
                fields[-1] = (name, (value + " " + line.strip(" \t\r")).strip(" "))
            continue
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t")
        if colon and name:
            fields.append((name.lower(), value.strip(" \t\r")))
    return tuple(fields)


def body_framing(headers: Headers) -> int | Framing:
    """The body's length in bytes, or how else it ends (RFC 9112 section 6.3).

    Transfer-Encoding wins over Content-Length; equal lengths may be repeated.
    """
    codings = [coding for coding in _list_members(headers, "transfer-encoding") if coding]
    codings = [coding for coding in codings if coding != "identity"]
    if codings:
        return Framing.CHUNKED if codings[-1] == "chunked" else Framing.UNTIL_CLOSE
    lengths = set(_list_members(headers, "content-length"))
    if not lengths:
        return Framing.ABSENT
    if not all(_LENGTH.fullmatch(length) for length in lengths):
        return Framing.INVALID
    values = {int(length) for length in lengths}
    return values.pop() if len(values) == 1 else Framing.INVALID


def _list_members(headers: Headers, name: str) -> list[str]:
    return [
        member.strip(" \t").lower()
        for key, value in headers
        if key == name
        for member in value.split(",")
    ]
