"""Reads a `multipart/form-data` body (RFC 7578; its syntax is RFC 2046 section 5.1).

In: body bytes after content decoding, and the boundary of the request's `content-type`. Out:
`Part`s, each when its end was read: values of fields up to a limit, of files what they are
called and their sizes. Lines end in CR LF, or in LF where the first delimiter's does. What looks
like a delimiter but goes on otherwise is content. At most one head, or the end of a content
that may begin a delimiter, is held, besides the content that is kept.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

MAX_HEAD_BYTES = 16 * 1024
MAX_PARTS = 1_000
FIELD_LIMIT_BYTES = 64 * 1024
_MAX_BOUNDARY_BYTES = 256  # RFC 2046 allows 70
_MAX_PADDING_BYTES = 64  # blanks between a boundary and its line end
_FEED_BYTES = 1 << 20
_CR_LF, _LF, _ANY = b"\r\n", b"\n", b"\r?\n"

_PARAMETER = re.compile(
    rb";[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*="
    rb'[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;\s"][^;\s]*)?)',
    re.DOTALL,
)
_ESCAPED = re.compile(rb'\\(["\\])|%(22|0[AaDd])')
_BOUNDARY = re.compile(rb"[\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff]")
_FIELD = re.compile(rb"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:[ \t]*(.*)", re.DOTALL)


class Part(NamedTuple):
    """One part. `file_name` is None for a field; empty for a file without a name.

    `content`: None when there was more than the limit for fields or for files. `complete` is
    False when the end of the part was not seen: `size_bytes` and `content` hold what was.
    """

    name: str
    file_name: str | None
    content_type: str | None
    size_bytes: int
    content: bytes | None
    complete: bool = True

    @property
    def text(self) -> str | None:
        """The value of a whole field; None of a file, and of what was not kept."""
        if self.file_name is not None or self.content is None or not self.complete:
            return None
        return self.content.decode("utf-8", "replace")


class _State(Enum):
    PREAMBLE = auto()
    HEAD = auto()
    CONTENT = auto()
    SKIPPED = auto()  # the content of a part whose head was not read
    EPILOGUE = auto()


class MultipartReader:
    """Reads one body. Every byte fed is in a part's `size_bytes`, or counted in `framing_bytes`
    (delimiters and heads of parts), `skipped_bytes` or `pending_bytes`.

    `file_limit_bytes` of a file's content are kept, 0: none. `ended`: the last delimiter was
    read. `malformed`: a head was not whole or too long, or there were more than `MAX_PARTS`.
    """

    def __init__(
        self,
        boundary: bytes,
        *,
        field_limit_bytes: int = FIELD_LIMIT_BYTES,
        file_limit_bytes: int = 0,
    ) -> None:
        self._field_limit_bytes = field_limit_bytes
        self._file_limit_bytes = file_limit_bytes
        self._delimiters = {
            line_end: re.compile(
                b"%s--%s(?:(--)|[ \t]{0,%d}(%s))"
                % (line_end, re.escape(boundary), _MAX_PADDING_BYTES, line_end)
            )
            for line_end in (_CR_LF, _LF, _ANY)
        }
        self._delimiter = self._delimiters[_ANY]
        self._delimiter_begin = b"\n--" + boundary
        self._reach = len(boundary) + _MAX_PADDING_BYTES + 6  # the longest delimiter
        self._held = b"\n"  # a delimiter that begins the body has no line end before it
        self._put_bytes = 1  # of them, those that were not fed
        self._searched = 0  # how far a head was looked for
        self._line_end = _LF
        self._led_bytes = 0  # the line end before a content, which may be a delimiter's own
        self._state = _State.PREAMBLE
        self._part = Part("", None, None, 0, None)
        self._kept: bytearray | None = None
        self._limit_bytes = 0
        self._parts = 0
        self.framing_bytes = 0
        self.skipped_bytes = 0
        self.ended = False
        self.malformed = False

    @property
    def pending_bytes(self) -> int:
        """Bytes held until more of the body tells what they are."""
        return len(self._held) - self._put_bytes

    def feed(self, data: bytes) -> list[Part]:
        """Take body bytes and return the parts that they end."""
        if self._state is _State.EPILOGUE:
            self.skipped_bytes += len(data)
            return []
        self._held = self._held + data if self._held else data
        parts: list[Part] = []
        while self._read(parts):
            pass
        return parts

    def lose(self) -> list[Part]:
        """Note that bytes are missing here: an unfinished part is returned as far as it came, and
        what follows is skipped up to the next delimiter."""
        parts = self._cut()
        if self._state in (_State.HEAD, _State.CONTENT):
            self._state = _State.SKIPPED
        return parts

    def finish(self) -> list[Part]:
        """Note the end of the body; a part that it cuts off is returned."""
        parts = self._cut()
        self._state = _State.EPILOGUE
        return parts

    def _cut(self) -> list[Part]:
        if self._state is _State.CONTENT:
            self._take(len(self._held))
            return [self._ended_part(complete=False)]
        self.malformed |= self._state is _State.HEAD
        self.skipped_bytes += self._drop(len(self._held))
        return []

    def _read(self, parts: list[Part]) -> bool:
        """Read one element of the body; False when more is needed for it."""
        if self._state is _State.HEAD:
            return self._read_head()
        if self._state is _State.EPILOGUE:
            self.skipped_bytes += self._drop(len(self._held))
            return False
        candidate = self._held.find(self._delimiter_begin)  # faster than the pattern
        found = None if candidate < 0 else self._delimiter.search(self._held, max(0, candidate - 1))
        if found is None:
            self._take(len(self._held) - self._reach)
            return False
        self._take(found.start())
        if self._state is _State.CONTENT:
            parts.append(self._ended_part(complete=True))
        self._pass_delimiter(found)
        return True

    def _pass_delimiter(self, found: re.Match[bytes]) -> None:
        """Drop a delimiter that the held bytes begin with; its line end begins the head."""
        size = found.end() - found.start()
        if found[1] is not None:
            self.ended = True
            self._state = _State.EPILOGUE
        elif self._parts == MAX_PARTS:
            self.malformed = True
            self._state = _State.EPILOGUE
        else:
            self._line_end = found[2]
            self._delimiter = self._delimiters[self._line_end]
            size -= len(self._line_end)
            self._state = _State.HEAD
        self._parts += 1
        self.framing_bytes += self._drop(size)

    def _read_head(self) -> bool:
        held, line_end = self._held, self._line_end
        reach = MAX_HEAD_BYTES + self._reach
        blank = held.find(line_end * 2, self._searched, MAX_HEAD_BYTES + 2 * len(line_end))
        found = self._delimiter.search(held, self._searched, reach)
        if found is not None and found.start() <= MAX_HEAD_BYTES and not -1 < blank < found.start():
            self.malformed |= found.start() > 0
            self.skipped_bytes += self._drop(found.start())
            self._pass_delimiter(found)
        elif blank >= 0:
            self._begin_part(held[len(line_end) : blank])
            self.framing_bytes += self._drop(blank + len(line_end))
        elif len(held) < reach:
            self._searched = max(0, len(held) - self._reach)
            return False
        else:
            self.malformed = True
            self._state = _State.SKIPPED
        return True

    def _begin_part(self, head: bytes) -> None:
        name = file_name = content_type = None
        for line in head.split(self._line_end):
            field = _FIELD.match(line)
            if field is None:
                continue
            label = field[1].lower()
            if label == b"content-disposition":
                parameters = _parameters(field[2])
                name = _named(parameters, b"name")
                file_name = _named(parameters, b"filename")
            elif label == b"content-type":
                content_type = field[2].strip().decode("utf-8", "replace")
        self._part = Part(name or "", file_name, content_type, 0, None)
        is_file = file_name is not None
        self._limit_bytes = self._file_limit_bytes if is_file else self._field_limit_bytes
        self._kept = bytearray() if self._limit_bytes else None
        self._led_bytes = len(self._line_end)
        self._state = _State.CONTENT

    def _take(self, end: int) -> None:
        """Take the held bytes up to `end` as content, or skip them; the rest stays held."""
        if end < max(1, self._led_bytes):
            return
        if self._state is not _State.CONTENT:
            self.skipped_bytes += self._drop(end)
            return
        size = end - self._led_bytes
        self._part = self._part._replace(size_bytes=self._part.size_bytes + size)
        if self._part.size_bytes > self._limit_bytes:
            self._kept = None
        elif self._kept is not None:
            self._kept += self._held[self._led_bytes : end]
        self.framing_bytes += self._led_bytes
        self._led_bytes = 0
        self._drop(end)

    def _drop(self, size: int) -> int:
        """Drop the first `size` held bytes; the number of them that were fed."""
        if not size:
            return 0
        fed, self._put_bytes = size - self._put_bytes, 0
        self._held = self._held[size:]
        self._searched = 0
        return fed

    def _ended_part(self, *, complete: bool) -> Part:
        content = None if self._kept is None else bytes(self._kept)
        self._kept, self._led_bytes = None, 0
        return self._part._replace(content=content, complete=complete)


def boundary_of(content_type: str | None) -> bytes | None:
    """The boundary of a `multipart/form-data` body; None when the header names none."""
    if content_type is None:
        return None
    media_type, _, _ = content_type.partition(";")
    if media_type.strip().lower() != "multipart/form-data":
        return None
    boundary = _parameters(content_type.encode("utf-8", "replace")).get(b"boundary", b"")
    if len(boundary) > _MAX_BOUNDARY_BYTES or _BOUNDARY.fullmatch(boundary) is None:
        return None
    return boundary


def read_form(
    content_type: str | None, body: bytes, *, field_limit_bytes: int = FIELD_LIMIT_BYTES
) -> list[Part] | None:
    """The parts of a whole body; None when it is not a form, or cut off."""
    boundary = boundary_of(content_type)
    if boundary is None:
        return None
    reader = MultipartReader(boundary, field_limit_bytes=field_limit_bytes)
    parts: list[Part] = []
    for at in range(0, len(body), _FEED_BYTES):
        parts += reader.feed(body[at : at + _FEED_BYTES])
    return parts if reader.ended else None


def _parameters(value: bytes) -> dict[bytes, bytes]:
    """The parameters of a header's value, by lower-case name; of two with one name the first."""
    found: dict[bytes, bytes] = {}
    for match in _PARAMETER.finditer(value):
        quoted = match[2]
        plain = match[3] or b"" if quoted is None else quoted
        found.setdefault(match[1].lower(), plain)
    return found


def _named(parameters: dict[bytes, bytes], name: bytes) -> str | None:
    """A name as clients write it (WHATWG HTML, "multipart/form-data"; RFC 5987 with `*`)."""
    extended = parameters.get(name + b"*")
    if extended is not None and extended.lower().startswith(b"utf-8'"):
        return unquote_to_bytes(extended.rpartition(b"'")[2]).decode("utf-8", "replace")
    raw = parameters.get(name)
    if raw is None:
        return None
    plain = _ESCAPED.sub(lambda match: match[1] or unquote_to_bytes(b"%" + (match[2] or b"")), raw)
    return plain.decode("utf-8", "replace")
