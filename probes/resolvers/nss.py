"""NSS: the functions behind its socket operations, in libssl3 or in a file that has it inside.

In: an open `ElfFile`. Out: a `StackPlan`, or None. NSS exports neither read nor write; programs
reach them through NSPR. A socket of libssl3 holds a pointer to one of two constant tables of
operations, plain and secure (`sslSocketOps` in NSS's lib/ssl/sslimpl.h, used by sslsock.c):
connect, accept, bind, listen, shutdown, close, recv, send, read, write, getpeername, getsockname.
Neither has an accept; bind, listen, getpeername and getsockname are the same functions in both,
the others differ, and secure close ends in plain close. No other tables look like that, so they
are found through their pointers, whatever the release. The secure functions see TLS plaintext
only; their first argument is the socket object. secure read is recv with flags 0, and write is
send with flags 0.
"""

from __future__ import annotations

from collections.abc import Iterator

from probes.elf import ElfFile
from probes.hooks import Hook, StackPlan
from probes.resolvers import entries, x86
from probes.resolvers.pointers import Pointers

_EXPORT = "SSL_ImportFD"
_FILE = "libssl3.so"
_SLOTS = 12
_CLOSE, _RECV, _SEND, _READ, _WRITE = 5, 6, 7, 8, 9
_SHARED = (2, 3, 10, 11)
_OWN = (0, 4, _CLOSE, _RECV, _SEND, _READ, _WRITE)
_REACH = 256  # bytes of code in which secure close calls plain close

Table = tuple[int, ...]


def _tables(elf: ElfFile) -> Iterator[Table]:
    """All tables of the right shape: twelve pointers to code but for the second, which is null."""
    pointers = Pointers(elf)
    for segment in pointers.data:
        found = pointers.to_code(segment)
        for at in found:
            slots = tuple(found.get(at + 8 * index, 0) for index in range(_SLOTS))
            if slots[1] == 0 and slots.count(0) == 1 and len(set(slots)) == _SLOTS:
                yield slots


def _branches(elf: ElfFile, address: int, reach: int) -> Iterator[int]:
    """Where the calls and jumps at the begin of a function lead."""
    offset = elf.file_offset(address)
    if offset is None:
        return
    code = elf.data[offset : offset + reach]
    for at, _ in x86.instructions(code):
        target = x86.branch_target(code, at)
        if target is not None:
            yield address + target


def _secure(elf: ElfFile) -> list[Table]:
    """The secure tables: those whose partner is plain."""
    tables = list(_tables(elf))
    return [
        one
        for one in tables
        for other in tables
        if all(one[slot] == other[slot] for slot in _SHARED)
        and all(one[slot] != other[slot] for slot in _OWN)
        and other[_CLOSE] in _branches(elf, one[_CLOSE], _REACH)
        and one[_CLOSE] not in _branches(elf, other[_CLOSE], _REACH)
    ]


def _wraps(elf: ElfFile, address: int, inner: int) -> bool:
    """Does a function do no more than clear its fourth argument and go on in another one?"""
    offset = elf.file_offset(address)
    code = elf.data[offset : offset + 32] if offset is not None else b""
    for at, _ in x86.instructions(code):
        target = x86.branch_target(code, at)
        if target is not None:
            return address + target == inner and code[at] != 0xE8
        if code[at] not in (0x31, 0x33, 0xF3):  # xor ecx, ecx; endbr64
            return False
    return False


def _place(elf: ElfFile, address: int) -> int | None:
    offset = elf.file_offset(address)
    if offset is None:
        return None
    return offset + (entries.cheap(elf.data[offset : offset + 64]) or 0)


def _hooks(elf: ElfFile, table: Table) -> Iterator[Hook]:
    for slot, program, inner in (
        (_RECV, "nss_recv_enter", None),
        (_READ, "nss_read_enter", _RECV),
        (_SEND, "nss_write_enter", None),
        (_WRITE, "nss_write_enter", _SEND),
    ):
        if inner is not None and _wraps(elf, table[slot], table[inner]):
            continue
        offset = _place(elf, table[slot])
        if offset is not None:
            yield Hook(offset, program, at_return=False)
            yield Hook(offset, "call_return", at_return=True)
    close = _place(elf, table[_CLOSE])
    if close is not None:
        yield Hook(close, "free_enter", at_return=False)


def find(elf: ElfFile, name: str = "") -> StackPlan | None:
    """Hooks for NSS; None when this file does not export its TLS functions."""
    if not elf.functions((_EXPORT,)):
        return StackPlan("nss", "", (), f"no exported {_EXPORT}") if name == _FILE else None
    tables = _secure(elf)
    if len(tables) != 1:
        return StackPlan("nss", "", (), f"{len(tables)} tables of operations found")
    return StackPlan("nss", "nss", tuple(_hooks(elf, tables[0])), "socket operations")
