"""Where secrets stand in frames that name files and Unix sockets.

In: FILE_TOUCHED and CONNECTED frames as the kernel writes them, paths whole or name by name.
Out: spans of the frame to overwrite, to `collector.redaction`. A name may hold a key (downloads and
caches are named after URLs), and so may the query of a URL that is part of a name.
"""

from __future__ import annotations

from itertools import accumulate

from collector import secret_shapes as shapes
from collector.secret_shapes import Span
from probes import frames
from probes.action_frames import CONNECTED, HEADER_BYTES, TOUCHED

_PATHS_AT = HEADER_BYTES + TOUCHED.size
_ADDRESS_BYTES = 112  # of which the first two are the family
_ADDRESS_AT = HEADER_BYTES + CONNECTED.size - _ADDRESS_BYTES
_AF_UNIX = b"\1\0"
_SIZES = slice(7, 11)  # of the names as given and as walked, old and new, in TOUCHED


def secrets_in(frame: bytes) -> list[Span]:
    """Spans of secrets in the paths of a frame, in order and apart."""
    if frame[4] == frames.FILE_TOUCHED and len(frame) >= _PATHS_AT:
        if not _may_hold_secret(frame[_PATHS_AT:]):
            return []
        sizes = TOUCHED.unpack_from(frame, HEADER_BYTES)[_SIZES]
        ends = accumulate(sizes, initial=_PATHS_AT)
        return [
            span for size, end in zip(sizes, list(ends)[1:], strict=True)
            for span in _in_names(frame, end - size, min(end, len(frame)))
        ]  # fmt: skip
    if frame[4] == frames.CONNECTED and frame[_ADDRESS_AT : _ADDRESS_AT + 2] == _AF_UNIX:
        return _in_names(frame, _ADDRESS_AT + 2, _ADDRESS_AT + _ADDRESS_BYTES)
    return []


def _may_hold_secret(paths: bytes) -> bool:
    return shapes.may_hold_key(paths) or b"=" in paths


def _in_names(frame: bytes, start: int, end: int) -> list[Span]:
    """Spans in NUL-separated names."""
    spans: list[Span] = []
    for name in frame[start:end].split(b"\0"):
        if _may_hold_secret(name):
            found = shapes.keys(name) + [one.span(1) for one in shapes.QUERY.finditer(name)]
            spans += [(start + begin, start + stop) for begin, stop in shapes.merged(found)]
        start += len(name) + 1
    return spans
