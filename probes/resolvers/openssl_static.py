"""OpenSSL 3 or later linked into a stripped file: native Node modules, Python, Codex.

In: an open `ElfFile`. Out: a `StackPlan` with `ssl_read_internal` and `ssl_write_internal`, which
every read and write goes through (openssl, ssl/ssl_lib.c). Both pass their own name to
`ERR_set_debug(file, line, function)`, so the code that loads this name is theirs. Where the
compiler has copied them into their callers too, nothing is certain.

Arguments are (SSL *, buffer, size, size_t *length); from 3.3 on the writer takes flags before the
length. The version text, what the writer reads, and what `SSL_write` passes must not disagree.
Both return 1 when they have moved bytes.
"""

from __future__ import annotations

import re

from probes.elf import ElfFile
from probes.hooks import Hook, StackPlan
from probes.resolvers import x86
from probes.resolvers.functions import Function, Functions, probe_point
from probes.resolvers.scan import find_all, references, whole_strings

_READ, _WRITE, _CALLER = b"ssl_read_internal", b"ssl_write_internal", b"SSL_write"
_VERSION = re.compile(rb"OpenSSL (\d)\.(\d+)\.\d+[^ \0]* +\d+ [A-Z][a-z]{2} \d{4}\0")
_FLAGS_SINCE = (3, 3)
_BYTES_APART = 1 << 16
_OPENING_BYTES = 96
_READS_R8 = re.compile(rb"[\x4c\x4d]\x89[\x00-\x07\x40-\x47\x80-\x87\xc0-\xc7]", re.DOTALL)
# lea of [rsp+d8], [rsp] or [rbp+d8], or mov from rsp: the address of a local variable
_LOCAL_IN_R8 = re.compile(rb"\x4c\x8d(?:\x44\x24|\x45|\x04\x24)|\x49\x89\xe0", re.DOTALL)
_LOCAL_IN_RCX = re.compile(rb"\x48\x8d(?:\x4c\x24|\x4d|\x0c\x24)|\x48\x89\xe1", re.DOTALL)


def find(elf: ElfFile) -> StackPlan | None:
    """Hooks for OpenSSL's record functions; None when the file has none."""
    names = {_READ: whole_strings(elf, _READ)}
    if not names[_READ]:
        return None
    names[_WRITE] = whole_strings(elf, _WRITE)
    if not names[_WRITE]:
        return None
    names[_CALLER] = whole_strings(elf, _CALLER)
    users = _users(elf, names)
    if not users[_READ] and not users[_WRITE]:
        return _not_found("OpenSSL before 3.0, or only the names of its functions")
    for name, holders in users.items():
        if name != _CALLER and len(holders) != 1:
            return _not_found(f"{name.decode()} is not certain: {len(holders)} functions fit")
    read, write = users[_READ].pop(), users[_WRITE].pop()
    if read is None or write is None:
        return _not_found("OpenSSL's read and write are in code of unknown extent")
    if read == write or abs(read.start - write.start) > _BYTES_APART:
        return _not_found("OpenSSL's read and write are not where they belong")
    with_flags = _takes_flags(elf, write, users[_CALLER])
    if with_flags is None:
        return _not_found("the arguments of ssl_write_internal are not certain")
    (at_read, cheap_read), (at_write, cheap_write) = (
        probe_point(elf, read),
        probe_point(elf, write),
    )
    hooks = (
        Hook(at_read, "read_ex_enter", at_return=False),
        Hook(at_read, "call_return", at_return=True),
        Hook(at_write, "write_ex2_enter" if with_flags else "write_ex_enter", at_return=False),
        Hook(at_write, "call_return", at_return=True),
    )
    detail = "ssl_read_internal, ssl_write_internal by the names that they report"
    if not (cheap_read and cheap_write):
        detail += "; slow probe"
    return StackPlan("openssl", "openssl_static", hooks, detail)


def _not_found(why: str) -> StackPlan:
    return StackPlan("openssl", "", (), why)


def _users(elf: ElfFile, names: dict[bytes, list[int]]) -> dict[bytes, set[Function | None]]:
    """The functions that pass each name as a third argument; None stands for unknown ones."""
    name_at = {address: name for name, addresses in names.items() for address in addresses}
    functions = Functions(elf)
    users: dict[bytes, set[Function | None]] = {name: set() for name in names}
    for reference in references(elf, name_at):
        if reference.register == "rdx":
            users[name_at[reference.target]].add(functions.around(reference.offset))
    return users


def _takes_flags(elf: ElfFile, write: Function, callers: set[Function | None]) -> bool | None:
    """Does the writer take flags before the length pointer? None when the signs do not agree."""
    signs = set()
    for offset in find_all(elf, b"OpenSSL "):
        version = _VERSION.match(elf.data[offset : offset + 64])
        if version is not None:
            signs.add((int(version[1]), int(version[2])) >= _FLAGS_SINCE)
    if _READS_R8.search(elf.data[write.start : write.start + _OPENING_BYTES]):
        signs.add(True)
    for caller in callers:
        if caller is not None and (sign := _passes_flags(elf, caller, write)) is not None:
            signs.add(sign)
    return signs.pop() if len(signs) == 1 else None


def _passes_flags(elf: ElfFile, caller: Function, write: Function) -> bool | None:
    """Where SSL_write puts the address of its length: fifth (True) or fourth argument."""
    code = elf.data[caller.start : caller.end]
    for at, target in x86.calls(code):
        if caller.start + target == write.start:
            fifth, fourth = _LOCAL_IN_R8.search(code, 0, at), _LOCAL_IN_RCX.search(code, 0, at)
            return None if bool(fifth) == bool(fourth) else bool(fifth)
    return None
