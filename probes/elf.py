"""ELF files, as far as finding hook points needs them.

In: a path. Out: symbols with file offsets, the build-id, executable segments. Reads through
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
_LOAD, _NOTE, _EXECUTABLE = 1, 4, 1
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
    """A loadable part of the file."""

    offset: int
    address: int
    file_size: int
    executable: bool


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
        self._sections = []
        if shoff and shoff + shnum * shentsize <= len(data):
            self._sections = [
                _SECTION.unpack_from(data, shoff + index * shentsize) for index in range(shnum)
            ]
        self.segments: list[Segment] = []
        self._notes: list[tuple[int, int]] = []
        for index in range(phnum):
            kind, flags, offset, address, _, file_size, _, _ = _SEGMENT.unpack_from(
                data, phoff + index * phentsize
            )
            if kind == _LOAD:
                self.segments.append(Segment(offset, address, file_size, bool(flags & _EXECUTABLE)))
            elif kind == _NOTE:
                self._notes.append((offset, file_size))

    def file_offset(self, address: int) -> int | None:
        """File offset of a virtual address, or None when it is in no loaded segment."""
        for segment in self.segments:
            if segment.address <= address < segment.address + segment.file_size:
                return address - segment.address + segment.offset
        return None

    def is_executable(self, offset: int) -> bool:
        """Does this file offset lie in an executable segment?"""
        return any(
            segment.executable and segment.offset <= offset < segment.offset + segment.file_size
            for segment in self.segments
        )

    def build_id(self) -> str | None:
        """The GNU build-id in hex."""
        for offset, size in self._notes:
            at, end = offset, min(offset + size, len(self.data))
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
            for name in wanted:
                if name.decode() not in found:
                    symbol = self._function(section, strings, name)
                    if symbol:
                        found[symbol.name] = symbol
        return found

    def _function(
        self, section: tuple[int, ...], strings: tuple[int, ...], name: bytes
    ) -> Symbol | None:
        data = self.data
        symbols_at, symbols_size = section[4], section[5]
        strings_at, strings_end = strings[4], strings[4] + strings[5]
        name_at = data.find(b"\0" + name + b"\0", strings_at, strings_end)
        if name_at < 0:
            return None
        needle = struct.pack("<I", name_at + 1 - strings_at)
        at, end = symbols_at, symbols_at + symbols_size - symbols_size % _SYMBOL.size
        while (at := data.find(needle, at, end)) >= 0:
            if (at - symbols_at) % _SYMBOL.size:
                at += 1
                continue
            _, info, _, index, address, size = _SYMBOL.unpack_from(data, at)
            if index and info & 0xF in (_FUNCTION, _INDIRECT) and address:
                offset = self.file_offset(address)
                if offset is not None:
                    return Symbol(name.decode(), address, offset, size)
            at += _SYMBOL.size
        return None

    def code(self, symbol: Symbol) -> bytes:
        """The machine code of a function."""
        return self.data[symbol.offset : symbol.offset + symbol.size]
