"""Pointers in the data of an ELF file as they will be once it is loaded.

In: an open `ElfFile`. Out: link-time addresses, names of imports. Position independent files keep
the pointers of their constants in relocations (R_X86_64_RELATIVE holds the address itself) or,
with packed ones (RELR) and with a fixed address, in the data. The dynamic section tells where the
relocations are; it is there in stripped files too. Format: System V ABI, x86-64 supplement.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cached_property
from operator import le

from probes.elf import ElfFile, Segment
from probes.resolvers.scan import occurrences

_ENTRY = struct.Struct("<QQQ")
_SYMBOL_SIZE = 24
_DYNAMIC = 2
_PLT_SIZE, _STRINGS, _SYMBOLS, _RELA, _RELA_SIZE, _PLT = 2, 5, 6, 7, 8, 23
_RELATIVE, _GLOB_DAT, _JUMP_SLOT = 8, 6, 7
_WORD = 8


class Pointers:
    """The pointers of one file."""

    def __init__(self, elf: ElfFile) -> None:
        self._elf = elf
        self._code = [one for one in elf.segments if one.executable]
        # What the loader relocates it must be able to write to.
        self.data = [
            one
            for one in elf.segments
            if not one.executable and (one.writable or elf.has_fixed_address)
        ]

    @cached_property
    def _dynamic(self) -> dict[int, int]:
        """The dynamic section: value by tag."""
        found: dict[int, int] = {}
        section = self._elf.header(_DYNAMIC)
        if section is not None:
            for at in range(section.offset, section.offset + section.file_size - 15, 16):
                tag, value = struct.unpack_from("<QQ", self._elf.data, at)
                found.setdefault(tag, value)
        return found

    def _entries(self, place: int, size: int) -> bytes:
        """The relocations that two tags of the dynamic section tell of."""
        start = self._elf.file_offset(self._dynamic.get(place, -1))
        if start is None:
            return b""
        table = self._elf.data[start : start + self._dynamic.get(size, 0)]
        return table[: len(table) - len(table) % _ENTRY.size]

    @cached_property
    def _relative(self) -> tuple[array[int], array[int]]:
        """Places that are relocated, in order, and the address that each will hold."""
        table = array("Q", self._entries(_RELA, _RELA_SIZE))
        kinds = table[1::3]
        count = len(kinds)
        while count and kinds[count - 1] != _RELATIVE:  # linkers put these first
            count -= 1
        places, targets = table[0 : 3 * count : 3], table[2 : 3 * count : 3]
        if kinds.count(_RELATIVE) == count and all(map(le, places, places[1:])):
            return places, targets
        entries = sorted(
            (place, target)
            for place, kind, target in zip(places, kinds, targets, strict=False)
            if kind == _RELATIVE
        )
        return array("Q", [one for one, _ in entries]), array("Q", [one for _, one in entries])

    def is_code(self, address: int) -> bool:
        """Does this address lie in an executable part?"""
        return any(one.address <= address < one.address + one.file_size for one in self._code)

    def word(self, address: int) -> int | None:
        """The 64-bit word at an address; None when the file does not hold it."""
        places, targets = self._relative
        index = bisect_left(places, address)
        if index < len(places) and places[index] == address:
            return targets[index]
        offset = self._elf.file_offset(address)
        if offset is None or offset + _WORD > len(self._elf.data):
            return None
        return int.from_bytes(self._elf.data[offset : offset + _WORD], "little")

    def holders(self, target: int) -> list[int]:
        """Addresses of the aligned words in data that point at an address."""
        needle = target.to_bytes(_WORD, "little")
        places, targets = self._relative
        found, words = set(), targets.tobytes()
        at = words.find(needle)
        while at >= 0:
            if at % _WORD == 0:
                found.add(places[at // _WORD])
            at = words.find(needle, at + 1)
        for segment in self.data:
            shift = segment.address - segment.offset
            end = segment.offset + segment.file_size
            for at in occurrences(self._elf, needle, segment.offset, end):
                if (at + shift) % _WORD == 0:
                    found.add(at + shift)
        return sorted(found)

    def to_code(self, segment: Segment) -> dict[int, int]:
        """The aligned words of a segment that point at code: address by place."""
        start = segment.offset + -segment.address % _WORD
        end = segment.offset + segment.file_size
        words = array("Q", self._elf.data[start : max(start, end - (end - start) % _WORD)])
        first = segment.address + start - segment.offset
        places, targets = self._relative
        low = bisect_left(places, first)
        high = bisect_left(places, first + _WORD * len(words))
        found: dict[int, int] = {}
        for part in self._code:
            begin, end = part.address, part.address + part.file_size
            for at, word in enumerate(words):
                if begin <= word < end:
                    found[first + _WORD * at] = word
            for place, target in zip(places[low:high], targets[low:high], strict=True):
                if begin <= target < end:
                    found[place] = target
        return found

    @cached_property
    def functions(self) -> list[int]:
        """All places in code that data points at, in order."""
        return sorted({target for one in self.data for target in self.to_code(one).values()})

    def functions_in(self, part: Segment) -> list[int]:
        """Those of them that lie in one part."""
        first = bisect_left(self.functions, part.address)
        return self.functions[first : bisect_left(self.functions, part.address + part.file_size)]

    def nearest_code(self, address: int, reach: int, known: int | None = None) -> int | None:
        """The last place in code, at most `reach` bytes before an address, that data points at.

        `known`: a place that counts as if data pointed at it.
        """
        index = bisect_right(self.functions, address)
        nearest = self.functions[index - 1] if index else None
        if known is not None and known <= address and (nearest is None or nearest < known):
            nearest = known
        return nearest if nearest is not None and address - nearest <= reach else None

    def imported_name(self, slot: int) -> str | None:
        """The symbol that the loader will put the address of in a slot of the GOT."""
        data = self._elf.data
        symbols = self._elf.file_offset(self._dynamic.get(_SYMBOLS, -1))
        strings = self._elf.file_offset(self._dynamic.get(_STRINGS, -1))
        if symbols is None or strings is None:
            return None
        for index in self._symbols_of(slot):
            at = symbols + index * _SYMBOL_SIZE
            start = strings + int.from_bytes(data[at : at + 4], "little")
            return data[start : data.find(b"\0", start)].decode(errors="replace")
        return None

    def _symbols_of(self, slot: int) -> Iterator[int]:
        needle = slot.to_bytes(_WORD, "little")
        for table in (self._entries(_PLT, _PLT_SIZE), self._entries(_RELA, _RELA_SIZE)):
            at = table.find(needle)
            while at >= 0:
                _, kind, _ = _ENTRY.unpack_from(table, at - at % _ENTRY.size)
                if at % _ENTRY.size == 0 and kind & 0xFFFF_FFFF in (_GLOB_DAT, _JUMP_SLOT):
                    yield kind >> 32
                at = table.find(needle, at + 1)
