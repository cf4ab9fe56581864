"""Splits a body that is one JSON array into the array's elements.

In: body bytes after content decoding. Out: a `StreamEvent` an element, as soon as it is whole, to
the response decoders of `collector.llm`. Grammar: RFC 8259, of which only strings, brackets and
the commas between elements are read: what an element says is up to the JSON parser. However the
body is cut, each byte is read a few times at most. Bytes of an unfinished element are held, up to a
limit; an element beyond it is skipped up to its end, and counted.
"""

from __future__ import annotations

import re
from enum import Enum, auto

import orjson

from collector.http.framing import StreamEvent

_BLANKS = b" \t\r\n"
_BEGIN, _END = ord("["), ord("]")
_OBJECT, _OBJECT_END = ord("{"), ord("}")
_QUOTE, _BACKSLASH, _OPENING, _CLOSING = ord('"'), ord("\\"), b"[{", b"]}"
_BETWEEN = re.compile(rb"[ \t\r\n,]*+")
_REST_OF_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
# Also up to the beginning of a string that does not end in what is there.
_UP_TO_BRACKET = re.compile(
    rb'[^"\[\]{}]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"\[\]{}]*+)*+', re.DOTALL
)
_BARE = re.compile(rb'[^ \t\r\n,"\[\]{}]*+')  # a number, true, false, null, or what is no JSON


class _Place(Enum):
    BEFORE = auto()  # the array
    BETWEEN = auto()  # its elements
    ELEMENT = auto()
    AFTER = auto()


class JsonArrayDecoder:
    """Decodes one array; an element of more than `limit_bytes` is skipped.

    `skipped_bytes` grows by the size of each element skipped, and by the bytes, blanks apart,
    that are no part of the array: all of a body that begins otherwise, and what follows its end.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held = bytearray()  # of the unfinished element
        self._place = _Place.BEFORE
        self._depth = 0  # brackets open in the element
        self._in_string = False
        self._escaped = False  # the next byte of the string follows a backslash
        self._skipping = False  # in the rest of an element over the limit
        self.skipped_bytes = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes of an element that has not ended."""
        return len(self._held)

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take body bytes and return the elements that they end."""
        events: list[StreamEvent] = []
        at, size = 0, len(data)
        while at < size:
            if self._place is _Place.AFTER or self._place is _Place.BEFORE:
                at = self._pass_outside(data, at)
                continue
            start = at
            if self._place is _Place.BETWEEN:
                start = _end(_BETWEEN, data, at)
                at, begun = self._begin(data, start)
                if not begun:
                    continue
            end = _object_end(data, start) if at > start else None
            if end is not None:
                self._depth = 0
            else:
                end = self._element_end(data, at)
            if end is None:
                self._hold(data[start:])
                break
            self._take(data[start:end], events)
            at = end
        return events

    def finish(self) -> list[StreamEvent]:
        """Note the end of the body. An unfinished element is none: see `pending_bytes`."""
        return []

    def _pass_outside(self, data: bytes, at: int) -> int:
        """Pass what stands before or after the array; where its first element may begin."""
        rest = data[at:].lstrip(_BLANKS)
        if self._place is _Place.BEFORE and rest and rest[0] == _BEGIN:
            self._place = _Place.BETWEEN
            return len(data) - len(rest) + 1
        if rest:
            self._place = _Place.AFTER
            self.skipped_bytes += len(rest.translate(None, _BLANKS))
        return len(data)

    def _begin(self, data: bytes, at: int) -> tuple[int, bool]:
        """Read what follows an element: where to go on, and whether another one begins."""
        if at == len(data):
            return at, False
        byte = data[at]
        if byte == _END:
            self._place = _Place.AFTER
            return at + 1, False
        if byte in _CLOSING:
            self.skipped_bytes += 1
            return at + 1, False
        self._place = _Place.ELEMENT
        self._in_string = byte == _QUOTE
        self._depth = int(byte in _OPENING)
        return at + (self._in_string or self._depth), True

    def _element_end(self, data: bytes, at: int) -> int | None:
        """Where the element ends; None: not in `data`."""
        size = len(data)
        while at < size:
            if self._in_string:
                at = _end(_REST_OF_STRING, data, at + self._escaped)
                self._escaped = at < size and data[at] == _BACKSLASH  # the last byte
                if at >= size or self._escaped:
                    return None
                self._in_string = False
                at += 1
                if not self._depth:
                    return at
            elif not self._depth:
                at = _end(_BARE, data, at)
                return at if at < size else None
            else:
                at = _end(_UP_TO_BRACKET, data, at)
                if at == size:
                    return None
                byte = data[at]
                at += 1
                if byte == _QUOTE:
                    self._in_string = True
                elif byte in _OPENING:
                    self._depth += 1
                else:
                    self._depth -= 1
                    if not self._depth:
                        return at
        return None

    def _take(self, rest: bytes, events: list[StreamEvent]) -> None:
        """The element ends with `rest`."""
        self._place = _Place.BETWEEN
        if self._skipping or self._held:
            self._hold(rest)
            rest = bytes(self._held)
            self._held.clear()
        elif len(rest) > self._limit_bytes:
            self.skipped_bytes += len(rest)
            return
        if not self._skipping:
            events.append(StreamEvent("message", rest))
        self._skipping = False

    def _hold(self, data: bytes) -> None:
        """Keep bytes of the unfinished element, or none of it when it is over the limit."""
        if not self._skipping and len(self._held) + len(data) > self._limit_bytes:
            self.skipped_bytes += len(self._held)
            self._held.clear()
            self._skipping = True
        if self._skipping:
            self.skipped_bytes += len(data)
        else:
            self._held += data


def _object_end(data: bytes, at: int) -> int | None:
    """Where the object ends that is all the rest of `data`, as servers send them; else None."""
    rest = data[at:].rstrip(_BLANKS)
    if rest[0] != _OBJECT or rest[-1] != _OBJECT_END:
        return None
    try:
        orjson.loads(rest)  # several times faster than reading its strings and brackets here
    except orjson.JSONDecodeError:
        return None
    return at + len(rest)


def _end(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Where what `pattern` matches at `at` ends. It matches anything, if only an empty text."""
    match = pattern.match(data, at)
    assert match is not None
    return match.end()
