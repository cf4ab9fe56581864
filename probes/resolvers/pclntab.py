"""Go's table of functions: where a function lies in a stripped Go program.

In: an open `ElfFile`. Out: code ranges by name. Go keeps every function's name and start for its
tracebacks, `-ldflags -s` or not. Formats: `internal/abi`, `runtime/symtab.go` and `debug/gosym`
of Go 1.18 (magic 0xfffffff0) and 1.20 (0xfffffff1). Since 1.26 the header does not tell where the
code begins; the module data, which point to the table, do.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from probes.elf import ElfFile
from probes.resolvers.pointers import Pointers
from probes.resolvers.scan import occurrences

_HEADER = struct.Struct("<IBBBBQQQQQQQQ")
_MAGICS = (0xFFFFFFF1, 0xFFFFFFF0)
_OLD_MAGICS = (0xFFFFFFFA, 0xFFFFFFFB)  # Go 1.16 and 1.2
_TABLE_SECTIONS = (".gopclntab", ".data.rel.ro.gopclntab")
_GO_SECTIONS = (*_TABLE_SECTIONS, ".go.buildinfo", ".note.go.buildid")
_BUILD_INFO = b"\xff Go buildinf:"
_INLINE_STRINGS = 2
_MODULE_TEXT = 176  # moduledata.text: behind pcHeader, six slices and three words
_MAX_FUNCTIONS = 1 << 24


@dataclass(frozen=True, slots=True)
class Code:
    """A function's machine code: file offset and size in bytes, with the padding behind it."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class PclnTable:
    """A table's place in the file; all fields but `count` and `text` (an address) are offsets."""

    start: int
    names: int
    names_end: int
    functions: int
    count: int
    text: int


def is_go(elf: ElfFile) -> bool:
    """May this be a Go program? Without section headers that is not known before a search."""
    sections = elf.sections()
    return not sections or any(section.name in _GO_SECTIONS for section in sections)


def _starts(elf: ElfFile, magics: tuple[int, ...]) -> Iterator[int]:
    """File offsets where a table may begin: a magic, two zeros, quantum 1, pointer size 8."""
    needles = [struct.pack("<IBBBB", magic, 0, 0, 1, 8) for magic in magics]
    named = [section for section in elf.sections() if section.name in _TABLE_SECTIONS]
    for section in named:
        if elf.data[section.offset : section.offset + 8] in needles:
            yield section.offset
    if named:
        return
    for segment in elf.segments:
        if segment.executable:
            continue
        end = segment.offset + segment.file_size
        for needle in needles:
            yield from occurrences(elf, needle, segment.offset, end)


def _table(elf: ElfFile, start: int) -> PclnTable | None:
    data = elf.data
    if start + _HEADER.size > len(data):
        return None
    fields = _HEADER.unpack_from(data, start)
    count, files, names, units, paths, counters, functions = fields[5], fields[6], *fields[8:13]
    if not (0 < count < _MAX_FUNCTIONS and 0 < files < _MAX_FUNCTIONS):
        return None
    if not (_HEADER.size - 8 <= names < units <= paths <= counters < functions):
        return None
    functions += start
    if functions + 8 * count + 4 > len(data):
        return None
    first, record = struct.unpack_from("<II", data, functions)
    if functions + record + 8 > len(data) or data[functions + record : functions + record + 4] != (
        struct.pack("<I", first)
    ):
        return None
    address = elf.address_of(start)
    text = None if address is None else _text(elf, address, first)
    if text is None:
        return None
    return PclnTable(start, start + names, start + units, functions, count, text)


def _text(elf: ElfFile, address: int, first: int) -> int | None:
    """Address that the table's function starts count from."""
    pointers = Pointers(elf)
    text = pointers.word(address + 24)
    if text and _executable(elf, text + first):
        return text
    for module in pointers.holders(address):
        lowest = pointers.word(module + _MODULE_TEXT - 16)
        text = pointers.word(module + _MODULE_TEXT)
        if text and lowest == text + first and _executable(elf, lowest):
            return text
    return None


def _executable(elf: ElfFile, address: int) -> bool:
    offset = elf.file_offset(address)
    return offset is not None and elf.is_executable(offset)


def find(elf: ElfFile) -> PclnTable | None:
    """The table of a Go program since 1.18, or None."""
    for start in _starts(elf, _MAGICS):
        table = _table(elf, start)
        if table is not None:
            return table
    return None


def has_old(elf: ElfFile) -> bool:
    """Does the file hold the table of an older Go?"""
    return next(_starts(elf, _OLD_MAGICS), None) is not None


def function(elf: ElfFile, table: PclnTable, name: str) -> Code | None:
    """A function by its full name; None when there is none or more than one."""
    data = elf.data
    at = data[table.names - 1 : table.names_end].find(b"\0" + name.encode() + b"\0")
    if at < 0:
        return None
    needle = struct.pack("<I", at)
    entries = array("I", data[table.functions : table.functions + 8 * table.count + 4])
    starts, records = entries[::2], entries[1::2]
    # A function's record begins with its start and its name.
    text = data[table.functions : table.functions + max(records) + 8]
    found = []
    at = text.find(needle)
    while at >= 4:
        (start,) = struct.unpack_from("<I", text, at - 4)
        index = bisect_left(starts, start)
        if index < table.count and records[index] == at - 4 and starts[index] == start:
            found.append(index)
        at = text.find(needle, at + 1)
    if len(found) != 1:
        return None
    begin, end = starts[found[0]], starts[found[0] + 1]
    offset = elf.file_offset(table.text + begin)
    if offset is None or not elf.is_executable(offset) or not begin < end <= begin + (1 << 20):
        return None
    return Code(offset, end - begin)


def version(elf: ElfFile) -> str:
    """The release that built a program, such as `go1.22.5`; empty when it does not say."""
    for section in elf.sections():
        if section.name != ".go.buildinfo":
            continue
        head = elf.data[section.offset : section.offset + min(section.size, 512)]
        at = head.find(_BUILD_INFO)
        if at < 0 or len(head) < at + 34 or not head[at + 15] & _INLINE_STRINGS:
            return ""
        size, text = head[at + 32], at + 33
        if size & 0x80:
            size, text = (size & 0x7F) | head[at + 33] << 7, at + 34
        return head[text : text + size].decode(errors="replace")
    return ""
