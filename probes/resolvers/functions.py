"""Where the function around an instruction begins and ends, in code without symbols.

In: an open `ElfFile` and a file offset. Out: the function's extent. An unwind table entry
(.eh_frame_hdr, Linux Standard Base Core 5.0 section 10.6) that covers the instruction is exact;
one that belongs to a part split off from its function (cold code) is refused. Without an entry
the start is the nearest earlier place that follows padding or the end of a function and opens as
functions do: 16-aligned, or with a whole frame prologue where code is packed for size.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from probes.elf import ElfFile, Segment
from probes.resolvers import entries, scan

_EH_FRAME = 0x6474E550
# Version 1; numbers of 4 bytes, the table's relative to the section's start, as linkers write it.
_TABLE_ENCODINGS = (b"\x01\x1b\x03\x3b", b"\x01\x1b\x0b\x3b")
_LONGEST = 1 << 16
_ALIGNMENT = 16
_FRAME_PROLOGUE = b"\x55\x48\x89\xe5"  # push rbp; mov rbp, rsp
_OPENING = re.compile(  # endbr64; push r64; sub rsp, imm
    rb"\xf3\x0f\x1e\xfa|[\x50-\x57]|\x41[\x50-\x57]|\x48[\x81\x83]\xec"
)
# What may stand in front of a function: int3, nop; ret, ud2, jmp, call (of one that never returns)
_ENDING = re.compile(
    rb"(?:\xcc|\x90|\x0f\x1f(?:\x00|\x40.|\x44..|\x80....|\x84.....)|\xc3|\x0f\x0b"
    rb"|\xe9....|\xeb.|\xe8....)\Z",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Function:
    """File offsets of a function: its first byte, and the one after its last.

    `exact` when the unwind table says so; else `end` is where the next function may begin.
    """

    start: int
    end: int
    exact: bool


def probe_point(elf: ElfFile, function: Function) -> tuple[int, bool]:
    """File offset to hook a function at, and whether the kernel emulates the instruction there."""
    cheap = entries.cheap(elf.data[function.start : function.end])
    return function.start + (cheap or 0), cheap is not None


class Functions:
    """The functions of one file."""

    def __init__(self, elf: ElfFile) -> None:
        self._elf = elf
        self._parts = scan.code(elf)
        self._table, self._count, self._address = self._unwind_table()

    def _unwind_table(self) -> tuple[int, int, int]:
        """File offset of the search table, its entries, and the address its numbers count from."""
        data, section = self._elf.data, self._elf.header(_EH_FRAME)
        if section is None or data[section.offset : section.offset + 4] not in _TABLE_ENCODINGS:
            return 0, 0, 0
        (count,) = struct.unpack_from("<I", data, section.offset + 8)
        if 12 + count * 8 > section.file_size:
            return 0, 0, 0
        return section.offset + 12, count, section.address

    def around(self, offset: int) -> Function | None:
        """The function that holds the instruction at a file offset; None when unknown."""
        for part in self._parts:
            if part.offset <= offset < part.offset + part.file_size:
                address = self._elf.address_of(offset)
                entry = None if address is None else self._entry(address)
                return self._unwound(entry) if entry is not None else self._opened(offset, part)
        return None

    def _entry(self, address: int) -> int | None:
        """File offset of the frame description that covers an address."""
        data = self._elf.data
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            (first,) = struct.unpack_from("<i", data, self._table + middle * 8)
            if self._address + first <= address:
                low = middle + 1
            else:
                high = middle
        if not low:
            return None
        first, entry = struct.unpack_from("<ii", data, self._table + (low - 1) * 8)
        at = self._elf.file_offset(self._address + entry)
        if at is None or at + 24 > len(data):
            return None
        # Length, CIE pointer, first address (relative to its own place), size.
        relative, size = struct.unpack_from("<iI", data, at + 8)
        begin = self._address + first
        encoded = self._address + entry + 8 + relative == begin
        return at if encoded and address < begin + size else None

    def _unwound(self, entry: int) -> Function | None:
        data = self._elf.data
        length, _, relative, size = struct.unpack_from("<IIiI", data, entry)
        address = self._elf.address_of(entry + 8)
        start = None if address is None else self._elf.file_offset(address + relative)
        rules = entry + 17 + data[entry + 16]  # behind the augmentation, which is below 128 bytes
        # At a function's first byte nothing is saved; a part split off begins by saying what is:
        # DW_CFA_def_cfa (0c), _register (0d), _offset (0e), DW_CFA_offset (80-bf).
        code = data[rules] if rules < entry + 4 + length else 0
        if start is None or code in (0x0C, 0x0D, 0x0E) or 0x80 <= code <= 0xBF:
            return None
        return Function(start, start + size, exact=True)

    def _opened(self, offset: int, part: Segment) -> Function | None:
        data = self._elf.data
        first = max(part.offset, offset - _LONGEST)
        start = data.rfind(_FRAME_PROLOGUE, first, offset)
        while start >= 0 and not self._follows_an_end(start, part):
            start = data.rfind(_FRAME_PROLOGUE, first, start + 3)
        at = offset - (offset + part.address - part.offset) % _ALIGNMENT
        while at >= max(first, start) and not self._opens(at, part):
            at -= _ALIGNMENT
        start = max(start, at if at >= first else -1)
        if start < 0:
            return None
        limit = min(part.offset + part.file_size, start + _LONGEST)
        end = start + _ALIGNMENT - (start + part.address - part.offset) % _ALIGNMENT
        while end < limit and (end <= offset or not self._opens(end, part)):
            end += _ALIGNMENT
        framed = data.find(_FRAME_PROLOGUE, max(offset, start + 1), end)
        while framed >= 0 and not self._follows_an_end(framed, part):
            framed = data.find(_FRAME_PROLOGUE, framed + 1, end)
        return Function(start, framed if framed >= 0 else min(end, limit), exact=False)

    def _opens(self, at: int, part: Segment) -> bool:
        opening = _OPENING.match(self._elf.data[at : at + 4])
        return opening is not None and self._follows_an_end(at, part)

    def _follows_an_end(self, at: int, part: Segment) -> bool:
        before = self._elf.data[max(part.offset, at - 8) : at]
        return not before or _ENDING.search(before) is not None
