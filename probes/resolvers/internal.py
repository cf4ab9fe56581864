"""OpenSSL's functions behind its exports, where those are much cheaper to hook.

In: an open `ElfFile` and exported functions. Out: file offsets. Debian's `SSL_read` and
`SSL_read_ex` open with `sub`, and each calls one function of the library that opens with `push`.
"""

from __future__ import annotations

from probes.elf import ElfFile, Symbol
from probes.resolvers import x86
from probes.resolvers.entries import ENDBR64


def callees(elf: ElfFile, symbol: Symbol) -> set[int]:
    """File offsets of the functions that a function calls directly, of what can be decoded."""
    code = elf.code(symbol)
    targets = set()
    for at, size in x86.instructions(code):
        if size == 5 and code[at] == 0xE8:
            target = elf.file_offset(symbol.address + (x86.branch_target(code, at) or 0))
            if target is not None and elf.is_executable(target):
                targets.add(target)
    return targets


def common(elf: ElfFile, plain: Symbol, extended: Symbol) -> int | None:
    """Offset of the one cheap function that both call, when that is certain."""
    found = []
    for offset in callees(elf, plain) & callees(elf, extended):
        head = elf.data[offset : offset + 6]
        start = offset + (4 if head.startswith(ENDBR64) else 0)
        if x86.is_push(elf.data[start : start + 2]):
            found.append(start)
    return found[0] if len(found) == 1 else None
