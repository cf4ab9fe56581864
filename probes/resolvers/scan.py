"""Cross references in stripped x86-64 code: strings, and the instructions that load their address.

In: an open `ElfFile`. Out: addresses, references. The resolvers of this folder find functions by
what they report when they fail; this module finds the texts that they report.

Cost: references `lea r64, [rip+d32]` to one place have the same high bytes in 64 KiB of code,
which is searched for those two bytes, and only what is found is decoded: 0.3 s for 245 MB of
code. Places that lie near each other cost little more than one.
Instructions: Intel SDM volume 2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from probes.elf import ElfFile, Segment

_CHUNK = 1 << 22
_WINDOW = 1 << 16
_LEA_SIZE = 7
_TEXT_LIMIT = 512  # longest text before a suffix, in bytes
_LEA_REGISTERS = frozenset((0x05, 0x0D, 0x15, 0x1D, 0x25, 0x2D, 0x35, 0x3D))
REGISTERS = (
    *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"),
)


@dataclass(frozen=True, slots=True)
class Reference:
    """An instruction that loads an address: its file offset and size in bytes.

    `register` is the 64-bit name of the register it loads, None for a push or a store.
    """

    offset: int
    size: int
    target: int
    register: str | None


def parts(elf: ElfFile) -> list[Segment]:
    """The loaded parts that hold constants and code: all that the program cannot write to."""
    return [segment for segment in elf.segments if not segment.writable]


def code(elf: ElfFile) -> list[Segment]:
    """The parts that hold code."""
    return [part for part in parts(elf) if part.executable]


def constants(elf: ElfFile) -> list[Segment]:
    """Where constants lie: apart from code, unless the linker has not set them apart."""
    found = parts(elf)
    return [part for part in found if not part.executable] or found


def occurrences(elf: ElfFile, text: bytes, start: int, end: int) -> Iterator[int]:
    """File offsets of a text between two others."""
    # Copies: bytes are searched many times faster than a mapping is.
    for first in range(start, end, _CHUNK):
        chunk = elf.data[first : min(first + _CHUNK + len(text) - 1, end)]
        at = chunk.find(text)
        while at >= 0:
            yield first + at
            at = chunk.find(text, at + 1)


def find_all(elf: ElfFile, text: bytes, limit: int = 64) -> list[int]:
    """File offsets of a text among the constants, at most `limit` of them."""
    found = (
        at
        for part in constants(elf)
        for at in occurrences(elf, text, part.offset, part.offset + part.file_size)
    )
    return list(islice(found, limit))


def strings(elf: ElfFile, suffix: bytes) -> list[int]:
    """Addresses of the C strings that end in a suffix, which may be all of the string."""
    found = []
    for offset in find_all(elf, suffix + b"\0"):
        start = elf.data.rfind(b"\0", max(0, offset - _TEXT_LIMIT), offset) + 1
        address = elf.address_of(start)
        if start and address is not None:
            found.append(address)
    return found


def whole_strings(elf: ElfFile, text: bytes) -> list[int]:
    """Addresses of a C string; one that only ends in the text is not among them."""
    found = []
    for offset in find_all(elf, text + b"\0"):
        address = elf.address_of(offset)
        if address is not None and offset and elf.data[offset - 1] == 0:
            found.append(address)
    return found


def references(elf: ElfFile, targets: Collection[int]) -> list[Reference]:
    """Instructions that load one of these addresses, by file offset.

    `lea r64, [rip+d32]` everywhere; where the link address is fixed also `mov r32, imm32`,
    `mov r64, imm32`, `push imm32` and `mov [rsp+d8], imm32`.
    """
    wanted = sorted(set(targets))
    found: list[Reference] = []
    for part in code(elf) if wanted else ():
        for group in _near(wanted):
            found += _relative(elf, part, group)
        if elf.has_fixed_address:
            found += _absolute(elf, part, wanted)
    return sorted(found, key=lambda one: one.offset)


def _near(targets: list[int]) -> Iterator[list[int]]:
    """Sorted targets in groups without large gaps."""
    group: list[int] = []
    for target in targets:
        if group and target - group[-1] > _WINDOW:
            yield group
            group = []
        group.append(target)
    yield group


def _relative(elf: ElfFile, part: Segment, targets: list[int]) -> Iterator[Reference]:
    lowest, highest, wanted = targets[0], targets[-1], frozenset(targets)
    # Displacements count from the end of the instruction.
    first, last = part.address + _LEA_SIZE, part.address + part.file_size
    for high in range(lowest - last >> 16, (highest - first >> 16) + 1):
        if not -0x8000 <= high < 0x8000:
            continue
        begin = max(first, lowest - (high << 16) - 0xFFFF)
        end = min(last, highest - (high << 16))
        offset = begin - first + part.offset
        text = elf.data[offset : offset + max(0, end - begin) + _LEA_SIZE]
        needle = high.to_bytes(2, "little", signed=True)
        at = text.find(needle, 5)
        while at >= 0:
            if text[at - 3] in _LEA_REGISTERS and text[at - 4] == 0x8D:
                distance = int.from_bytes(text[at - 2 : at + 2], "little", signed=True)
                target = begin - _LEA_SIZE + at + 2 + distance
                if target in wanted and text[at - 5] in (0x48, 0x4C):
                    name = REGISTERS[(text[at - 3] >> 3) + (8 if text[at - 5] & 4 else 0)]
                    yield Reference(offset + at - 5, _LEA_SIZE, target, name)
            at = text.find(needle, at + 1)


def _absolute(elf: ElfFile, part: Segment, targets: list[int]) -> Iterator[Reference]:
    for target in targets:
        needle = target.to_bytes(8, "little")[:4] if target < 1 << 31 else b""
        end = part.offset + part.file_size if needle else part.offset
        for at in occurrences(elf, needle, part.offset, end):
            size, register = _immediate_of(elf.data[max(part.offset, at - 4) : at])
            if size:
                yield Reference(at - size, size + 4, target, register)


def _immediate_of(before: bytes) -> tuple[int, str | None]:
    """Bytes of an instruction in front of its 32-bit immediate (0: none of ours), its register."""
    if before[-4:-1] == b"\xc7\x44\x24":  # mov dword [rsp+d8], imm32
        return 4, None
    last = before[-1] if before else 0
    if len(before) >= 3 and before[-3] in (0x48, 0x49) and before[-2] == 0xC7 and last >> 3 == 24:
        return 3, REGISTERS[last - 0xC0 + (8 if before[-3] & 1 else 0)]  # mov r64, imm32
    if last >> 3 == 0xB8 >> 3:  # mov r32, imm32
        extended = before[-2:-1] == b"\x41"
        return (2, REGISTERS[last - 0xB0]) if extended else (1, REGISTERS[last - 0xB8])
    return (1, None) if last == 0x68 else (0, None)  # push imm32
