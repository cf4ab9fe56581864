"""x86-64 machine code: instruction lengths, where a function returns, which calls it makes.

In: bytes of code. Out: lengths and offsets. Knows how long instructions are, not what they do:
legacy, VEX and EVEX encodings. Format: Intel SDM volume 2, chapter 2 and appendix A.

The kernel emulates a few instructions when a uprobe sits on them and single-steps all others,
which is some 35 times dearer (`arch/x86/kernel/uprobes.c`).
"""

from __future__ import annotations

from collections.abc import Iterator

_PREFIXES = frozenset(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3")
_OPERAND_SIZE, _ADDRESS_SIZE = 0x66, 0x67

# What follows an opcode: M: a ModRM byte; then bytes of immediate data. z: 4 bytes, or 2 with an
# operand size prefix. v: as z, or 8 with REX.W. a: an address. g: as M, immediate by the ModRM
# byte. A row is 16 opcodes; `!` is no instruction in 64-bit mode.
_ARITHMETIC = "M M M M 1 z ! !"
_ONE_BYTE = (
    *([_ARITHMETIC] * 8),
    "! " * 16,  # 40: REX, taken before
    "- " * 16,  # 50: push, pop
    "! ! ! M ! ! ! ! z Mz 1 M1 - - - -",
    "1 " * 16,  # 70: jcc
    "M1 Mz ! M1 M M M M M M M M M M M M",
    "- - - - - - - - - - ! - - - - -",
    "a a a a - - - - 1 z - - - - - -",
    "1 1 1 1 1 1 1 1 v v v v v v v v",
    "M1 M1 2 - ! ! M1 Mz 3 - 2 - - 1 ! -",
    "M M M M ! ! ! - M M M M M M M M",
    "1 1 1 1 1 1 1 1 4 4 ! 1 - - - -",
    "! - ! ! - - g1 gz - - - - - - M M",
)
_TWO_BYTE = (
    "M M M M ! - - - - - ! - ! M - M1",
    "M " * 16,
    "M M M M ! ! ! ! M M M M M M M M",
    "- - - - - - ! - ! ! ! ! ! ! ! !",  # 38 and 3A lead to maps of their own
    "M " * 16,
    "M " * 16,
    "M " * 16,
    "M1 M1 M1 M1 M M M - M M ! ! M M M M",
    "4 " * 16,  # 80: jcc
    "M " * 16,
    "- - - M M1 M ! ! - - - M M1 M M M",
    "M M M M M M M M M M M1 M M M M M",
    "M M M1 M M1 M1 M1 M - - - - - - - -",
    "M " * 16,
    "M " * 16,
    "M " * 16,
)
_MAP_1 = " ".join(_ONE_BYTE).split()
_MAP_2 = " ".join(_TWO_BYTE).split()
_MAPS = {1: _MAP_2, 2: ["M"] * 256, 3: ["M1"] * 256, 5: ["M"] * 256, 6: ["M"] * 256}
_GROUP_3 = (0xF6, 0xF7)


def _modrm_size(code: bytes, at: int) -> int:
    """Bytes of ModRM, SIB and displacement."""
    modrm = code[at]
    mode, operand = modrm >> 6, modrm & 7
    if mode == 3:
        return 1
    size = 1
    if operand == 4:
        size += 1
        if mode == 0 and code[at + 1] & 7 == 5:
            size += 4
    elif mode == 0 and operand == 5:
        size += 4
    return size + (0, 1, 4)[mode]


def _immediate(form: str, wide: bool, short: bool, short_address: bool) -> int:
    if form == "z":
        return 2 if short and not wide else 4
    if form == "v":
        return 8 if wide else 2 if short else 4
    if form == "a":
        return 4 if short_address else 8
    return int(form)


def length(code: bytes, at: int = 0) -> int:
    """Bytes of the instruction at `at`; 0 when it is none, or ends outside `code`."""
    try:
        size = _length(code, at)
    except IndexError:
        return 0
    return size if 0 < size <= 15 and at + size <= len(code) else 0


def _length(code: bytes, start: int) -> int:
    at = start
    prefixes = set()
    while code[at] in _PREFIXES:
        prefixes.add(code[at])
        at += 1
    wide = False
    if code[at] & 0xF0 == 0x40:
        wide = bool(code[at] & 8)
        at += 1
    opcode = code[at]
    if opcode == 0xC5:
        form, at = _MAPS[1][code[at + 2]], at + 3
    elif opcode in (0xC4, 0x62):
        form = _MAPS.get(code[at + 1] & (0x1F if opcode == 0xC4 else 7), ["!"] * 256)[
            code[at + (3 if opcode == 0xC4 else 4)]
        ]
        at += 4 if opcode == 0xC4 else 5
    elif opcode != 0x0F:
        form, at = _MAP_1[opcode], at + 1
    elif code[at + 1] in (0x38, 0x3A):
        form, at = ("M" if code[at + 1] == 0x38 else "M1"), at + 3
    else:
        form, at = _MAP_2[code[at + 1]], at + 2
    if form == "!":
        return 0
    if form[0] == "g":
        form = "M" + (form[1:] if code[at] >> 3 & 7 < 2 else "")
    if form[0] == "M":
        at += _modrm_size(code, at)
        form = form[1:]
    if form not in ("", "-"):
        at += _immediate(form, wide, _OPERAND_SIZE in prefixes, _ADDRESS_SIZE in prefixes)
    return at - start


def instructions(code: bytes, at: int = 0) -> Iterator[tuple[int, int]]:
    """(offset, length) of one instruction after another; a length of 0 is the end of knowledge."""
    while at < len(code):
        size = length(code, at)
        yield at, size
        if not size:
            return
        at += size


def _opcode(code: bytes, at: int) -> int:
    """Where an instruction's opcode is, behind its prefixes."""
    while code[at] in _PREFIXES or code[at] & 0xF0 == 0x40:
        at += 1
    return at


def returns(code: bytes) -> list[int] | None:
    """Offsets of all `ret` instructions; None when the code cannot be followed to its end."""
    found = []
    for at, size in instructions(code):
        if not size:
            return None
        if code[_opcode(code, at)] in (0xC2, 0xC3):
            found.append(at)
    return found


def branch_target(code: bytes, at: int) -> int | None:
    """Where `call rel32`, `jmp rel32` or `jmp rel8` at `at` leads, as an offset in `code`."""
    opcode = code[at]
    if opcode in (0xE8, 0xE9) and at + 5 <= len(code):
        return at + 5 + int.from_bytes(code[at + 1 : at + 5], "little", signed=True)
    if opcode == 0xEB and at + 2 <= len(code):
        return at + 2 + int.from_bytes(code[at + 1 : at + 2], "little", signed=True)
    return None


def calls(code: bytes, opcodes: bytes = b"\xe8") -> Iterator[tuple[int, int]]:
    """Where `call rel32` may be, and where it would lead, without following the code before it.

    Offsets in `code`. With 0xe9 among the opcodes also `jmp rel32`.
    """
    for opcode in opcodes:
        at = code.find(opcode)
        while 0 <= at <= len(code) - 5:
            yield at, at + 5 + int.from_bytes(code[at + 1 : at + 5], "little", signed=True)
            at = code.find(opcode, at + 1)


def is_conditional_jump(code: bytes, at: int = 0) -> bool:
    """`jcc rel8` or `jcc rel32`?"""
    return code[at] & 0xF0 == 0x70 or (code[at] == 0x0F and code[at + 1] & 0xF0 == 0x80)


def is_push(code: bytes) -> bool:
    """`push reg` or `nop`, as functions open?"""
    first = code[1] if code[:1] == b"\x41" and len(code) > 1 else code[0] if code else 0
    return 0x50 <= first <= 0x57 or code[:1] == b"\x90"


def is_emulated(code: bytes) -> bool:
    """Does the kernel emulate this first instruction (push reg, nop, jumps, call)?"""
    return is_push(code) or (
        bool(code)
        and (code[0] in (0xE8, 0xE9, 0xEB) or (len(code) > 1 and is_conditional_jump(code)))
    )
