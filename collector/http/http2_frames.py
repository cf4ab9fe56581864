"""Frame heads of HTTP/2 (RFC 9113 section 4), and where in bytes they may stand.

In: bytes of one direction of a connection. Out: heads, to `collector.http.http2` and
`collector.http2_redaction`; to `collector.protocol`, whether bytes are frames at all.
"""

from __future__ import annotations

import re
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES = 9

DATA = 0
HEADERS = 1
STREAM_PRIORITY = 2
RST_STREAM = 3
SETTINGS = 4
PUSH_PROMISE = 5
PING = 6
GOAWAY = 7
WINDOW_UPDATE = 8
CONTINUATION = 9

END_STREAM = 0x01  # of DATA and HEADERS
END_HEADERS = 0x04  # of HEADERS, PUSH_PROMISE and CONTINUATION
PADDED = 0x08  # of DATA, HEADERS and PUSH_PROMISE
PRIORITY = 0x20  # of HEADERS

_MAX_FRAME_BYTES = 1 << 20  # of frames other than DATA
_OF_STREAMS = frozenset({DATA, HEADERS, STREAM_PRIORITY, RST_STREAM, PUSH_PROMISE, CONTINUATION})
_OF_CONNECTIONS = frozenset({SETTINGS, PING, GOAWAY})
_SIZES = {STREAM_PRIORITY: 5, RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}

_FLAGS = (0x09, 0x2D, 0x00, 0x00, 0x01, 0x0C, 0x01, 0x00, 0x00, 0x04)  # in use, by kind

_FIRST_SETTINGS = re.compile(rb"(?s)\x00[\x00-\x03].\x04\x00\x00{4}")
_CANDIDATE = re.compile(
    rb"(?s)(?=\x00[\x00-\x40].(?:[\x00\x04\x06][\x00\x01\x08\x09]|\x01[\x00-\x0d\x20-\x2d]"
    rb"|[\x02\x03\x07\x08]\x00|\x05[\x00-\x0c]|\x09[\x00\x04])\x00...)"
)


class FrameHead(NamedTuple):
    """A frame's first nine bytes; `size` is of what follows them."""

    size: int
    kind: int
    flags: int
    stream: int


def head_at(data: bytes, at: int = 0) -> FrameHead | None:
    """The head at `at`, where nine bytes must be; None when none can stand there.

    Frames of kinds that RFC 9113 does not know may stand anywhere.
    """
    size = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
    kind = data[at + 3]
    stream = int.from_bytes(data[at + 5 : at + HEAD_BYTES], "big") & 0x7FFFFFFF
    if kind in _OF_STREAMS:
        valid = stream > 0
    else:
        valid = stream == 0 or kind not in _OF_CONNECTIONS
    if kind:
        valid = valid and size <= _MAX_FRAME_BYTES and _SIZES.get(kind, size) == size
        valid = valid and (kind != SETTINGS or size % 6 == 0)
    return FrameHead(size, kind, data[at + 4], stream) if valid else None


def is_common_head(data: bytes, at: int = 0) -> bool:
    """Does a head stand at `at`, where nine bytes must be, such as peers send today?"""
    kind = data[at + 3]
    if kind > CONTINUATION or data[at + 4] & ~_FLAGS[kind] or data[at + 5] & 0x80:
        return False
    head = head_at(data, at)
    return head is not None and head.size <= _MAX_FRAME_BYTES


def begins_direction(data: bytes) -> bool | None:
    """Do a server's first bytes stand here? None: not enough of them to tell."""
    if len(data) < HEAD_BYTES:
        rest = b"\0\0\0\x04\0\0\0\0\0"[len(data) :]
        return None if data and _FIRST_SETTINGS.fullmatch(data + rest) else False
    return _FIRST_SETTINGS.match(data) is not None and head_at(data) is not None


def find_frames(data: bytes, at: int = 0, *, certain: bool = False) -> int:
    """Where frames begin that reach to the end of `data`, the last one perhaps cut; -1: nowhere.

    Stricter than `head_at`: sizes, flags and streams must be such as are in common use. With
    `certain`, a single frame that is cut is believed only where `data` begins.
    """
    whole_head = certain and not at and len(data) >= HEAD_BYTES
    if whole_head and is_common_head(data) and _frames_from(data, 0)[0]:
        return 0
    zero = data.find(b"\0", at)  # text has none
    if zero < 0:
        return -1
    for candidate in _CANDIDATE.finditer(data, zero):
        begin = candidate.start()
        heads, end = _frames_from(data, begin)
        if heads and not (certain and begin and heads == 1 and end > len(data)):
            return begin
    return -1


def _frames_from(data: bytes, at: int) -> tuple[int, int]:
    """How many heads stand there, up to the end of `data`, and where the last frame ends; 0: what
    stands there are no frames."""
    heads = 0
    while at + HEAD_BYTES <= len(data):
        head = head_at(data, at)
        if head is None:
            return 0, at
        heads += 1
        at += HEAD_BYTES + head.size
    return heads, at
