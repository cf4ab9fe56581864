"""The cheapest place at the begin of a function that still sees it as its caller left it.

In: machine code. Out: an offset. The kernel emulates `push`, `nop` and jumps under a uprobe and
single-steps the rest, 35 times dearer. Functions often open with `endbr64`, or with a comparison
of an argument; those change neither arguments nor the stack pointer, so a probe on the emulated
instruction behind them sees the same, and a return probe there is as good as one at the begin.
"""

from __future__ import annotations

from probes.elf import ElfFile, Symbol
from probes.resolvers import x86

ENDBR64 = b"\xf3\x0f\x1e\xfa"
_CLEAR_EAX = b"\x31\xc0"
_COMPARISONS = frozenset((0x38, 0x39, 0x3A, 0x3B, 0x3C, 0x3D, 0x84, 0x85, 0xA8, 0xA9))
_MOST = 4  # instructions to pass


def _only_compares(code: bytes, at: int, size: int) -> bool:
    """An instruction that writes flags only, or clears EAX, which carries no argument."""
    text = code[at : at + size]
    if text in (ENDBR64, _CLEAR_EAX):
        return True
    if text[0] & 0xF0 == 0x40 or text[0] == 0x66:
        text = text[1:]
    if text[0] in _COMPARISONS:
        return True
    extension = text[1] >> 3 & 7 if len(text) > 1 else -1
    # cmp r/m, imm; test r/m, imm
    return (text[0] in (0x80, 0x81, 0x83) and extension == 7) or (
        text[0] in (0xF6, 0xF7) and extension == 0
    )


def cheap(code: bytes) -> int | None:
    """Offset of the emulated instruction that sees the function's arguments, when there is one."""
    at = 0
    for _ in range(_MOST + 1):
        if x86.is_emulated(code[at : at + 2]):
            # A call or jump that opens a function belongs to its body.
            return at if at or code[at] not in (0xE8, 0xE9, 0xEB) else None
        size = x86.length(code, at)
        if not size or not _only_compares(code, at, size):
            return None
        at += size
    return None


def offset(elf: ElfFile, symbol: Symbol) -> int:
    """Where in the file to hook a function: the cheap place, else its first byte."""
    return symbol.offset + (cheap(elf.code(symbol)) or 0)
