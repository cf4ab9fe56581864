"""Places in code that report an error, with the numbers that they report.

In: an open `ElfFile`, addresses of source file names. Out: error sites. BoringSSL, aws-lc and
OpenSSL 1.1 raise errors by a call with constants: library, function, reason, file, line. The
compiler leaves them as immediates beside the file's name. What is decoded is the run of
argument-setting instructions around it, so that other code is never taken for an argument.
Calling convention: System V ABI, AMD64 supplement.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from probes.elf import ElfFile
from probes.resolvers.scan import REGISTERS, Reference, references

_REACH = 64  # bytes of code looked at on either side of a reference
_JUMPS = 4
_CALL = 0xE8


@dataclass(frozen=True, slots=True)
class ErrorSite:
    """One report of an error: file offset of the code, and what it reports.

    `function` is 0 in BoringSSL and aws-lc. `first` is where the run of instructions that sets
    the arguments begins.
    """

    offset: int
    first: int
    library: int
    function: int
    reason: int
    line: int


@dataclass(slots=True)
class _Arguments:
    registers: dict[str, int] = field(default_factory=dict)
    pushed: list[int] = field(default_factory=list)


def _step(code: bytes, at: int, state: _Arguments) -> int:
    """Follow one argument-setting instruction at `at`; where the next begins, or 0: another."""
    if at + 7 > len(code):
        return 0
    prefix = code[at] if code[at] & 0xF0 == 0x40 else 0
    at += 1 if prefix else 0
    reg_high, rm_high = (prefix >> 2 & 1) << 3, (prefix & 1) << 3
    opcode, second = code[at], code[at + 1]
    registers = state.registers
    if opcode >> 3 == 0xB8 >> 3 and not prefix & 8:  # mov r32, imm32
        name = REGISTERS[opcode - 0xB8 + rm_high]
        registers[name] = int.from_bytes(code[at + 1 : at + 5], "little")
        return at + 5
    if opcode == 0xC7 and second >> 3 == 0xC0 >> 3:  # mov r, imm32
        name = REGISTERS[second - 0xC0 + rm_high]
        registers[name] = int.from_bytes(code[at + 2 : at + 6], "little")
        return at + 6
    if opcode == 0x6A:  # push imm8
        state.pushed.append(second)
        return at + 2
    if opcode == 0x68:  # push imm32
        state.pushed.append(int.from_bytes(code[at + 1 : at + 5], "little"))
        return at + 5
    if opcode >> 3 == 0x58 >> 3:  # pop r64
        name = REGISTERS[opcode - 0x58 + rm_high]
        registers.pop(name, None)
        if state.pushed:
            registers[name] = state.pushed.pop()
        return at + 1
    if second < 0xC0 and not (opcode == 0x8D and second & 0xC7 == 0x05):
        return 0
    source, target = REGISTERS[(second >> 3 & 7) + reg_high], REGISTERS[(second & 7) + rm_high]
    if opcode in (0x31, 0x33, 0x89):  # xor r, r; mov r, r
        registers.pop(source if opcode == 0x33 else target, None)
        if source == target and opcode != 0x89:
            registers[target] = 0
        return at + 2
    if opcode == 0x8B:  # mov r, r
        registers.pop(source, None)
        return at + 2
    if opcode == 0x8D and prefix & 8:  # lea r64, [rip+d32]
        registers.pop(source, None)
        return at + 6
    return 0


def _arguments(elf: ElfFile, reference: Reference) -> tuple[int, dict[str, int]] | None:
    """Where the run around a reference begins, and the registers at the call that ends it."""
    at = reference.offset
    base = max(0, at - _REACH)
    code = elf.data[base : at + reference.size + 8]
    state, first, here = _Arguments(), at - base, 0
    for first in range(at - base + 1):
        state, here = _Arguments(), first
        while 0 < (following := _step(code, here, state)) <= at - base:
            here = following
        if here == at - base:
            break
    base, here, jumps = at, 0, 0
    code = elf.data[base : base + _REACH]
    while True:
        following = _step(code, here, state)
        if following:
            here = following
        elif code[here : here + 1] == bytes([_CALL]):
            return max(0, at - _REACH) + first, state.registers
        elif (target := _jump(code, base, here)) and jumps < _JUMPS:
            # Compilers join the common tails of several reports.
            base, here, jumps = target, 0, jumps + 1
            code = elf.data[base : base + _REACH]
        else:
            return None


def _jump(code: bytes, base: int, at: int) -> int:
    """File offset that an unconditional jump leads to, or 0."""
    if code[at : at + 1] == b"\xeb" and at + 2 <= len(code):
        return base + at + 2 + int.from_bytes(code[at + 1 : at + 2], "little", signed=True)
    if code[at : at + 1] == b"\xe9" and at + 5 <= len(code):
        return max(0, base + at + 5 + int.from_bytes(code[at + 1 : at + 5], "little", signed=True))
    return 0


def error_sites(elf: ElfFile, files: Collection[int], library: int) -> list[ErrorSite]:
    """Reports of a library's errors from source files whose names lie at these addresses.

    Two shapes: (library, function, reason, file, line), and without the function, which
    link-time optimisation drops where it is always 0.
    """
    found = []
    for reference in references(elf, files):
        read = _arguments(elf, reference)
        if read is None:
            continue
        first, registers = read
        if reference.register == "rcx":
            names = ("rdi", "rsi", "rdx", "r8")
        elif reference.register == "rdx":
            names = ("rdi", "", "rsi", "rcx")
        else:
            continue
        numbers = [registers.get(name) if name else 0 for name in names]
        kind, function, reason, line = numbers
        if kind != library or function is None or reason is None or line is None:
            continue
        found.append(ErrorSite(reference.offset, first, library, function, reason, line))
    return found
