"""JSON-RPC 2.0 in the bytes of one direction, sans I/O.

In: bytes in order and gaps, as `collector.streams` tells them. Out: `RpcMessage`s. Two framings
are understood, also mixed: a message a line (MCP over stdio), and `Content-Length` headers before
each message (LSP). A line that is no message (a server's log on its standard output) is skipped
and counted. After a gap, decoding begins anew with the next line or header: nothing is joined
across it. Memory is bounded by `MAX_MESSAGE_BYTES`; of a longer message only the size is told.
Whatever the bytes are, `feed`, `gap` and `close` never raise.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from collector.rpc_messages import UNKNOWN, RpcMessage, batch_members, read_fields

MAX_MESSAGE_BYTES = 16 << 20
# A direction without a message among so many lines or bytes does not speak JSON-RPC.
FOREIGN_LINES = 16
FOREIGN_BYTES = 256 << 10
FOREIGN_LINE_BYTES = 1 << 20

_MAX_HEADER_BYTES = 4096
_MAX_BODY_BYTES = 1 << 30
_TAIL_BYTES = 128
_MARK = b'"jsonrpc"'
_HEADER = re.compile(rb"[A-Za-z-]{1,64}:[^\r\n]*\r?\n")
_FIRST_HEADER = re.compile(rb"(?i)content-(?:length|type):")
_LENGTH = re.compile(rb"(?i)content-length:[ \t]*(\d{1,10})[ \t]*\r?\n")
_LENGTH_AT_END = re.compile(rb"(?i)content-length:[ \t]*\d{1,10}[ \t]*\r?\n\Z")


class _Unit:
    """A line, or the body after headers, as far as it has come.

    `text` holds no more than `limit` bytes: of what is longer, or begins in a gap, only the size
    and the last bytes are known.
    """

    __slots__ = ("_begins_marked", "_limit", "_parts", "begin", "cut", "first_ns", "size", "tail")

    def __init__(self, begin: int, limit: int) -> None:
        self.begin = begin
        self.first_ns = 0
        self.size = 0
        self.cut = False
        self._begins_marked = False
        self.tail = b""
        self._limit = limit
        self._parts: list[bytes] | None = []

    def add(self, part: bytes, ktime_ns: int) -> None:
        if not self.size:
            self.first_ns = ktime_ns
        self.size += len(part)
        if self._parts is not None:
            self._parts.append(part)
            if self.size <= self._limit:
                return
            part = b"".join(self._parts)
            self._begins_marked = _MARK in part[: min(self._limit, FOREIGN_LINE_BYTES)]
            self._parts = None
        self.tail = (self.tail + part[-_TAIL_BYTES:])[-_TAIL_BYTES:]

    def begins_marked(self) -> bool:
        """Whether it may be JSON-RPC, as far as its beginning goes."""
        if not self._begins_marked and self._parts is not None:
            begin = b"".join(self._parts)[: min(self._limit, FOREIGN_LINE_BYTES)]
            self._begins_marked = _MARK in begin
        return self._begins_marked

    def lose(self) -> None:
        """Bytes of it are missing."""
        self.cut = True
        self._parts = None

    def text(self) -> bytes | None:
        return None if self._parts is None else b"".join(self._parts)


@dataclass(slots=True)
class _Headers:
    """The headers before a body, as far as they have come."""

    begin: int
    first_ns: int
    size: int = 0
    length: int | None = None


class JsonRpcReader:
    """Reads one direction. `verdict`: True once a message was seen, False when this is something
    else and nothing more is read, None before that is known.

    Messages' sizes + `skipped_bytes` + `framing_bytes` + `pending_bytes` are what was fed.
    """

    def __init__(self, limit: int = MAX_MESSAGE_BYTES) -> None:
        self.verdict: bool | None = None
        self.messages = 0
        self.truncated_messages = 0
        self.framing_bytes = 0  # blank lines, and what is in a batch besides messages
        self.skipped_bytes: Counter[str] = Counter()  # by cause
        self._limit = limit
        self._position = 0
        self._unit = _Unit(0, limit)
        self._headers: _Headers | None = None
        self._body: _Headers | None = None  # whose body is being read
        self._body_left = 0
        self._line_messages = 0
        self._foreign_lines = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes of a message that has not come whole."""
        before = self._headers or self._body
        return self._unit.size + (before.size if before else 0)

    def feed(self, data: bytes, ktime_ns: int) -> list[RpcMessage]:
        """The messages that end in these bytes."""
        found: list[RpcMessage] = []
        at, end = 0, len(data)
        while at < end:
            if self.verdict is False:
                self._skip("not_json_rpc", end - at)
                self._position += end - at
                break
            if self._body is not None:
                stop = min(end, at + self._body_left)
                self._body_left -= stop - at
                ended = not self._body_left
            else:
                stop = data.find(b"\n", at) + 1
                ended = stop > 0
                stop = stop or end
            self._unit.add(data[at:stop], ktime_ns)
            self._position += stop - at
            at = stop
            if self._is_foreign():
                self.verdict = False
                self._give_up("not_json_rpc")
            elif not ended:
                break
            elif self._body is not None:
                self._body_ended(found, ktime_ns)
            else:
                self._line_ended(found, ktime_ns)
        return found

    def gap(self, length: int) -> None:
        """`length` bytes are missing. Of a body in a frame it is known where it ends."""
        self._position += length
        if self._body is not None and length <= self._body_left:
            self._body_left -= length
            self._unit.lose()
            if not self._body_left:
                self._body_ended([], 0)
            return
        self._give_up("gap")
        self._unit.lose()

    def close(self, ktime_ns: int) -> list[RpcMessage]:
        """The end: a last line needs no line break."""
        found: list[RpcMessage] = []
        unit = self._unit
        text = unit.text()
        if text and self.verdict is not False and self._headers is None and self._body is None:
            self._begin()
            self._parse(unit, text, found, ktime_ns, "unfinished")
        self._give_up("unfinished")
        return found

    # Framing

    def _begin(self) -> None:
        self._unit = _Unit(self._position, self._limit)

    def _skip(self, cause: str, size: int) -> None:
        if size:
            self.skipped_bytes[cause] += size

    def _give_up(self, cause: str) -> None:
        """What is pending is no message."""
        self._skip(cause, self.pending_bytes)
        self._headers = self._body = None
        self._begin()

    def _is_foreign(self) -> bool:
        """A long line that begins like no message, before there was any."""
        unit = self._unit
        return (
            self.verdict is None
            and unit.size > FOREIGN_LINE_BYTES
            and not unit.cut
            and not unit.begins_marked()
        )

    def _line_ended(self, found: list[RpcMessage], ktime_ns: int) -> None:
        unit, headers = self._unit, self._headers
        text = unit.text()
        self._begin()
        if headers is not None:
            if text is not None and self._header_line(headers, text):
                return
            self._headers = None
            self._refuse(headers.size)
        if text is not None and _FIRST_HEADER.match(text):
            self._first_header(unit, text)
            return
        # A framed body has no line break of its own: a line may end in the next one's header.
        end = unit.tail if text is None else text[-_TAIL_BYTES:]
        header = None if self._line_messages else _LENGTH_AT_END.search(end)
        size = len(header[0]) if header else 0
        unit.size -= size
        if text is None:
            self._kept_out(unit, found, ktime_ns)
        else:
            before = self.messages
            self._parse(unit, text[: unit.size], found, ktime_ns, "not_json_rpc")
            self._line_messages += 0 if header else self.messages - before
        if header:
            following = _Unit(self._position - size, self._limit)
            following.first_ns = ktime_ns
            self._first_header(following, header[0])

    def _first_header(self, unit: _Unit, text: bytes) -> None:
        self._headers = _Headers(unit.begin, unit.first_ns)
        if not self._header_line(self._headers, text):
            self._headers = None
            self._refuse(len(text))

    def _header_line(self, headers: _Headers, text: bytes) -> bool:
        """Take one line; false when it cannot stand among headers."""
        blank = text in (b"\r\n", b"\n")
        length = headers.length
        if not (length if blank else _HEADER.fullmatch(text)):
            return False
        if headers.size + len(text) > _MAX_HEADER_BYTES:
            return False
        headers.size += len(text)
        if blank and length:
            self._headers, self._body, self._body_left = None, headers, length
        elif told := _LENGTH.fullmatch(text):
            headers.length = int(told[1]) if int(told[1]) <= _MAX_BODY_BYTES else None
        return True

    def _body_ended(self, found: list[RpcMessage], ktime_ns: int) -> None:
        unit, headers = self._unit, self._body
        assert headers is not None
        self._body = None
        self._begin()
        text = unit.text()
        unit.begin, unit.first_ns = headers.begin, headers.first_ns
        unit.size += headers.size
        if text is not None:
            self._parse(unit, text, found, ktime_ns, "not_json_rpc")
        elif unit.cut:
            self._skip("gap", unit.size)
        else:
            self._truncated(unit, found, ktime_ns)

    def _kept_out(self, unit: _Unit, found: list[RpcMessage], ktime_ns: int) -> None:
        """A line that was too long, or whose beginning is missing."""
        if unit.cut:
            self._skip("gap", unit.size)
        elif self.verdict or unit.begins_marked():
            self._truncated(unit, found, ktime_ns)
        else:
            self._refuse(unit.size)

    # Messages

    def _refuse(self, size: int) -> None:
        """A line is no message; one too many, and the whole direction is something else."""
        self._skip("not_json_rpc", size)
        self._foreign_lines += 1
        if self.verdict is None and (
            self._foreign_lines >= FOREIGN_LINES
            or self.skipped_bytes["not_json_rpc"] >= FOREIGN_BYTES
        ):
            self.verdict = False

    def _truncated(self, unit: _Unit, found: list[RpcMessage], ktime_ns: int) -> None:
        self.truncated_messages += 1
        message = RpcMessage(unit.begin, None, *UNKNOWN, unit.size, None, unit.first_ns, ktime_ns)
        self._found(found, message)

    def _found(self, found: list[RpcMessage], message: RpcMessage) -> None:
        self.messages += 1
        self.verdict = True
        found.append(message)

    def _parse(
        self, unit: _Unit, text: bytes, found: list[RpcMessage], ktime_ns: int, cause: str
    ) -> None:
        """The message, or the members of the batch, that a line or body holds."""
        left, before = unit.size, self.messages
        text = text.strip(b" \t\r\n")
        if not text:
            self.framing_bytes += left
            return
        if _MARK in text:
            batch = text.startswith(b"[")
            members, whole = batch_members(text) if batch else ([text], True)
            for index, member in enumerate(members):
                fields = read_fields(member)
                if fields is None:
                    continue
                at, size = (index, len(member)) if batch else (None, left)
                left -= size
                message = RpcMessage(unit.begin, at, *fields, size, member, unit.first_ns, ktime_ns)
                self._found(found, message)
            if whole and self.messages > before:
                self.framing_bytes += left
                return
        if cause == "not_json_rpc":
            self._refuse(left)
        else:
            self._skip(cause, left)
