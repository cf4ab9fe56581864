"""ELF files, as far as finding hook points needs them.

In: a path. Out: symbols with file offsets, sections, the build-id, segments. Reads through
mmap and searches the string table first, so an executable of hundreds of megabytes costs
milliseconds. Format: System V ABI, ELF-64, little-endian.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

_SECTION = struct.Struct("<IIQQQQIIQQ")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_SYMTAB, _DYNSYM = 2, 11
_LOAD, _NOTE = 1, 4
_EXECUTABLE, _WRITABLE = 1, 2
_FIXED_ADDRESS = 2  # ET_EXEC
_FUNCTION, _INDIRECT = 2, 10


class NotElf(ValueError):
    """Not a readable 64-bit little-endian ELF file."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A function: its virtual address, offset in the file and size in bytes."""

    name: str
    address: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the file that a program header tells of, as far as the file reaches."""

    offset: int
    address: int
    file_size: int
    executable: bool
    writable: bool


@dataclass(frozen=True, slots=True)
class Section:
    """A named part of the file; `kind` is its sh_type, `link` the index of a related section."""

    name: str
    kind: int
    address: int
    offset: int
    size: int
    link: int


def _places(strings: bytes, name: bytes) -> list[int]:
    """Where a name begins in a string table; a linker may keep it as the end of another one."""
    found = []
    at = strings.find(name + b"\0")
    while at >= 0:
        found.append(at)
        at = strings.find(name + b"\0", at + 1)
    return found


class ElfFile:
    """An ELF file mapped read-only; a context manager. Raises NotElf or OSError."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            try:
                self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError as error:
                raise NotElf("empty file") from error
        try:
            self._read_header()
        except (NotElf, struct.error, OverflowError) as error:
            self.data.close()
            raise NotElf(str(error)) from error

    def __enter__(self) -> ElfFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.data.close()

    def _read_header(self) -> None:
        data = self.data
        if len(data) < 64 or data[:4] != b"\x7fELF" or data[4] != 2 or data[5] != 1:
            raise NotElf("not a 64-bit little-endian ELF file")
        phoff, shoff = struct.unpack_from("<QQ", data, 32)
        phentsize, phnum, shentsize, shnum = struct.unpack_from("<HHHH", data, 54)
        self._names_at = struct.unpack_from("<H", data, 62)[0]
        self._sections = []
        if shoff and shoff + shnum * shentsize <= len(data):
            self._sections = [
                _SECTION.unpack_from(data, shoff + index * shentsize) for index in range(shnum)
            ]
        self.segments: list[Segment] = []
        self._others: dict[int, list[Segment]] = {}
        for index in range(phnum):
            kind, flags, offset, address, _, file_size, _, _ = _SEGMENT.unpack_from(
                data, phoff + index * phentsize
            )
            size = max(0, min(file_size, len(data) - offset))
            permissions = bool(flags & _EXECUTABLE), bool(flags & _WRITABLE)
            segment = Segment(offset, address, size, *permissions)
            listed = self.segments if kind == _LOAD else self._others.setdefault(kind, [])
            listed.append(segment)

    def sections(self) -> list[Section]:
        """The sections that lie in the file; none when it has no section headers."""
        if self._names_at >= len(self._sections):
            return []
        names, data, found = self._sections[self._names_at], self.data, []
        for name, kind, _, address, offset, size, link, _, _, _ in self._sections:
            at = names[4] + name
            text = data[at : max(at, data.find(b"\0", at, at + 256))]
            if offset + size <= len(data):
                found.append(
                    Section(text.decode(errors="replace"), kind, address, offset, size, link)
                )
            else:
                found.append(Section("", 0, 0, 0, 0, 0))
        return found

    def file_offset(self, address: int) -> int | None:
        """File offset of a virtual address, or None when it is in no loaded segment."""
        for segment in self.segments:
            if segment.address <= address < segment.address + segment.file_size:
                return address - segment.address + segment.offset
        return None

    def address_of(self, offset: int) -> int | None:
        """Virtual address of a file offset, or None when it is in no loaded segment."""
        for segment in self.segments:
            if segment.offset <= offset < segment.offset + segment.file_size:
                return offset - segment.offset + segment.address
        return None

    def header(self, kind: int) -> Segment | None:
        """What the first program header of a kind other than PT_LOAD tells of."""
        return next(iter(self._others.get(kind, ())), None)

    @property
    def has_fixed_address(self) -> bool:
        """Is this an executable that always lies at its link address: no PIE, no library?"""
        return int.from_bytes(self.data[16:18], "little") == _FIXED_ADDRESS

    def is_executable(self, offset: int) -> bool:
        """Does this file offset lie in an executable segment?"""
        return any(
            segment.executable and segment.offset <= offset < segment.offset + segment.file_size
            for segment in self.segments
        )

    def build_id(self) -> str | None:
        """The GNU build-id in hex."""
        for note in self._others.get(_NOTE, ()):
            at, end = note.offset, note.offset + note.file_size
            while at + 12 <= end:
                name_size, desc_size, kind = struct.unpack_from("<III", self.data, at)
                name_at = at + 12
                desc_at = name_at + (name_size + 3 & ~3)
                if kind == 3 and self.data[name_at : name_at + name_size] == b"GNU\0":
                    return self.data[desc_at : desc_at + desc_size].hex()
                at = desc_at + (desc_size + 3 & ~3)
        return None

    def functions(self, names: Iterable[str]) -> dict[str, Symbol]:
        """The defined functions with these names: from .dynsym, or if none is there .symtab.

        The second may be tens of megabytes that nobody has read yet; an agent that was just
        started will not wait for it.
        """
        wanted = [name.encode() for name in names]
        found: dict[str, Symbol] = {}
        tables = [one for one in self._sections if one[1] in (_SYMTAB, _DYNSYM)]
        for section in sorted(tables, key=lambda one: one[1] != _DYNSYM):
            if found or section[6] >= len(self._sections):
                continue
            strings = self._sections[section[6]]
            if max(section[4] + section[5], strings[4] + strings[5]) > len(self.data):
                continue  # a damaged file
            # Copies: bytes are searched many times faster than a mapping is.
            text = self.data[strings[4] : strings[4] + strings[5]]
            known = {key: places for key in wanted if (places := _places(text, key))}
            if known:
                table = self.data[section[4] : section[4] + section[5]]
                for key, places in known.items():
                    symbol = self._function(table, key.decode(), places)
                    if symbol:
                        found[symbol.name] = symbol
        return found

    def _function(self, table: bytes, name: str, places: list[int]) -> Symbol | None:
        for place in places:
            needle = struct.pack("<I", place)
            at = -1
            while (at := table.find(needle, at + 1)) >= 0:
                if at % _SYMBOL.size or at + _SYMBOL.size > len(table):
                    continue
                _, info, _, index, address, size = _SYMBOL.unpack_from(table, at)
                if index and info & 0xF in (_FUNCTION, _INDIRECT) and address:
                    offset = self.file_offset(address)
                    if offset is not None:
                        return Symbol(name, address, offset, size)
        return None

    def code(self, symbol: Symbol) -> bytes:
        """The machine code of a function."""
        return self.data[symbol.offset : symbol.offset + symbol.size]
