"""Header blocks of HTTP/2 (HPACK, RFC 7541), read by a bystander.

In: header blocks of one direction of a connection, in order. Out: what stands in them, field by
field: with the place of each literal string to `collector.http2_redaction`, without to
`collector.http.http2`.

A bystander may come late or miss a block. Then it knows only the newest entries of the dynamic
table; these are known for certain, as an index counts from the newest. A field that refers to an
older one has no name or value here (None). Without that, such a reference is an error. The same
holds where the real table is larger than `MAX_TABLE_BYTES`.

How large a table the peer allows is said in the other direction and not needed: the encoder must
announce in its blocks what it uses.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum

from collector.http import huffman
from collector.http.hpack_table import STATIC_TABLE
from collector.http.states import SkipReason

DEFAULT_TABLE_BYTES = 4096
MAX_TABLE_BYTES = 1 << 20
_ENTRY_BYTES = 32  # what an entry counts beside its name and value
_MAX_INTEGER_BYTES = 5


class Representation(Enum):
    """How a field stands in a block (RFC 7541 section 6)."""

    INDEXED = "indexed"
    INCREMENTAL = "literal with incremental indexing"
    WITHOUT_INDEXING = "literal without indexing"
    NEVER_INDEXED = "literal never indexed"


@dataclass(frozen=True, slots=True)
class Literal:
    """A string that stands in the block: bytes `start` to `end`, decoded `text`.

    Of one that is cut, `end` lies behind the block and `text` is what came of it.
    """

    start: int
    end: int
    huffman: bool
    text: bytes

    @property
    def bits(self) -> tuple[int, int]:
        """First bit and the bit behind the last one, without padding, from the block's start."""
        size = huffman.coded_bits(self.text) if self.huffman else 8 * len(self.text)
        return 8 * self.start, 8 * self.start + size


@dataclass(frozen=True, slots=True)
class Field:
    """A field: bytes `start` to `end` of the block. None: older than what is known here."""

    start: int
    end: int
    representation: Representation
    name: bytes | None
    value: bytes | None
    name_literal: Literal | None = None
    value_literal: Literal | None = None


@dataclass(frozen=True, slots=True)
class CutField:
    """The field at the end of what came of a block. `value_literal`: once its length is known."""

    start: int
    name: bytes | None = None
    value_literal: Literal | None = None


@dataclass(frozen=True, slots=True)
class TableSize:
    """The encoder uses a dynamic table of this many bytes from here on."""

    start: int
    end: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class MalformedField:
    """No field stands here; nothing behind it in the block can be read."""

    start: int
    reason: str


BlockItem = Field | CutField | TableSize | MalformedField
RawField = tuple[bytes | None, bytes | None]  # name and value; None: not known


class HeaderBlockError(Exception):
    """Why there is no header list: a `SkipReason` word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Cut(Exception):
    """The block ends first."""


class _Malformed(Exception):
    """Not HPACK."""


class HpackDecoder:
    """One direction of a connection. `complete`: seen from its first block on."""

    def __init__(self, *, complete: bool = True) -> None:
        self._complete = complete
        self._entries: deque[tuple[bytes | None, bytes | None]] = deque()  # newest first
        self._size_bytes = 0
        self._limit_bytes = DEFAULT_TABLE_BYTES

    @property
    def table_bytes(self) -> int:
        """Size of the known part of the dynamic table, as RFC 7541 section 4.1 counts it."""
        return self._size_bytes

    def forget(self) -> None:
        """Blocks were missed: which entries the table has now is not known."""
        self._complete = False
        self._entries.clear()
        self._size_bytes = 0

    def read(self, block: bytes | bytearray, *, cut: bool = False) -> list[BlockItem]:
        """What stands in a block, or in what came of it since the last `CutField.start`.

        `cut`: more of it follows; a field that is not whole is then told last, as a CutField,
        and is to be given again with what follows. After a MalformedField the decoder has
        forgotten its table.
        """
        items: list[BlockItem] = []
        at = 0
        while at < len(block):
            item: BlockItem
            try:
                item = self._item(block, at)
            except _Cut:
                item = CutField(at)
            except (_Malformed, huffman.HuffmanError) as error:
                item = MalformedField(at, str(error))
            if isinstance(item, CutField) and not cut:
                item = MalformedField(at, "the block ends inside a field")
            items.append(item)
            if isinstance(item, MalformedField):
                self.forget()
            if isinstance(item, CutField | MalformedField):
                break
            at = item.end
        return items

    def header_list(self, block: bytes | bytearray, limit_bytes: int) -> list[RawField]:
        """The names and values of a whole block, the quick way.

        Raises HeaderBlockError where the block is not HPACK (the table is forgotten then), and
        where the list is longer than `limit_bytes` as RFC 9113 section 6.5.2 counts them (the
        table is right then).
        """
        found: list[RawField] = []
        room = limit_bytes
        at, end = 0, len(block)
        try:
            while at < end:
                first = block[at]
                if first & 0x80:
                    index, at = _integer(block, at, 7)
                    field = self._entry(index)
                elif first & 0xE0 == 0x20:
                    size, at = _integer(block, at, 5)
                    self._resize(size)
                    continue
                else:
                    index, at = _integer(block, at, 6 if first & 0x40 else 4)
                    if index:
                        name = self._entry(index)[0]
                    else:
                        name, at = _text(block, at)
                    value, at = _text(block, at)
                    field = (name, value)
                    if first & 0x40:
                        self._add(name, value)
                room -= _entry_bytes(*field)
                if room >= 0:
                    found.append(field)
        except (_Cut, _Malformed, huffman.HuffmanError):
            self.forget()
            raise HeaderBlockError(SkipReason.BAD_HEADERS) from None
        if room < 0:
            raise HeaderBlockError(SkipReason.HEAD_TOO_LONG)
        return found

    def _item(self, block: bytes | bytearray, at: int) -> Field | CutField | TableSize:
        first = block[at]
        if first & 0x80:
            index, end = _integer(block, at, 7)
            name, value = self._entry(index)
            return Field(at, end, Representation.INDEXED, name, value)
        if first & 0xE0 == 0x20:
            size, end = _integer(block, at, 5)
            self._resize(size)
            return TableSize(at, end, size)
        if first & 0x40:
            representation, prefix = Representation.INCREMENTAL, 6
        else:
            never = first & 0x10
            representation = (
                Representation.NEVER_INDEXED if never else Representation.WITHOUT_INDEXING
            )
            prefix = 4
        index, behind = _integer(block, at, prefix)
        name_literal = None
        if index:
            name, _ = self._entry(index)
        else:
            name_literal = _string(block, behind)
            if name_literal.end > len(block):
                raise _Cut
            name, behind = name_literal.text, name_literal.end
        try:
            literal = _string(block, behind)
        except _Cut:
            return CutField(at, name)
        if literal.end > len(block):
            return CutField(at, name, literal)
        if representation is Representation.INCREMENTAL:
            self._add(name, literal.text)
        return Field(at, literal.end, representation, name, literal.text, name_literal, literal)

    def _entry(self, index: int) -> tuple[bytes | None, bytes | None]:
        if not index:
            raise _Malformed("index 0")
        if index <= len(STATIC_TABLE):
            return STATIC_TABLE[index - 1]
        index -= len(STATIC_TABLE) + 1
        if index < len(self._entries):
            return self._entries[index]
        if self._complete:
            raise _Malformed("an index behind the table's end")
        return None, None

    def _add(self, name: bytes | None, value: bytes) -> None:
        self._entries.appendleft((name, value))
        self._size_bytes += _entry_bytes(name, value)
        self._evict()

    def _resize(self, size: int) -> None:
        self._limit_bytes = min(size, MAX_TABLE_BYTES)
        if size > MAX_TABLE_BYTES:
            self._complete = False
        self._evict()

    def _evict(self) -> None:
        while self._size_bytes > self._limit_bytes:
            self._size_bytes -= _entry_bytes(*self._entries.pop())


def _entry_bytes(name: bytes | None, value: bytes | None) -> int:
    """An entry's size; one of an unknown name is taken for smaller than it is, and so kept
    longer than by the encoder, which no longer refers to it then."""
    return _ENTRY_BYTES + len(name or b"") + len(value or b"")


def _integer(block: bytes | bytearray, at: int, prefix: int) -> tuple[int, int]:
    """An integer and where it ends (RFC 7541 section 5.1)."""
    if at >= len(block):
        raise _Cut
    most = (1 << prefix) - 1
    value = block[at] & most
    at += 1
    if value < most:
        return value, at
    for shift in range(0, 7 * _MAX_INTEGER_BYTES, 7):
        if at >= len(block):
            raise _Cut
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _Malformed("an integer of too many bytes")


def _string(block: bytes | bytearray, at: int) -> Literal:
    """A string, of which the end may lie behind the block (RFC 7541 section 5.2)."""
    size, start = _integer(block, at, 7)
    end = start + size
    raw = bytes(block[start:end])
    coded = block[at] & 0x80 > 0
    text = huffman.decode(raw, cut=end > len(block)) if coded else raw
    return Literal(start, end, coded, text)


def _text(block: bytes | bytearray, at: int) -> tuple[bytes, int]:
    """A string that must stand whole in the block, and where it ends."""
    size, start = _integer(block, at, 7)
    end = start + size
    if end > len(block):
        raise _Cut
    raw = bytes(block[start:end])
    return (huffman.decode(raw) if block[at] & 0x80 else raw), end
