"""Go's crypto/tls: `(*Conn).Read`, `.Write` and `.Close`.

In: an open `ElfFile`. Out: a `StackPlan`, or None. Functions are found by name in `.gopclntab`,
which strippers leave. A return probe would break Go's stack moves, so each RET is hooked.
Arguments are in registers since Go 1.17 (Go's ABIInternal: receiver in RAX, buffer in RBX, length
in RCX, goroutine in R14).

A function opens with a check of the stack's size, which the kernel would single-step. The `push`
behind it, or before Go 1.21 the conditional jump of the check itself, sees the same arguments and
the same stack pointer and is emulated. Where a stack must grow, that jump is passed twice with
equal arguments.
"""

from __future__ import annotations

from collections.abc import Iterator

from probes.elf import ElfFile
from probes.hooks import Hook, StackPlan
from probes.resolvers import pclntab, x86

_PROGRAMS = {
    "crypto/tls.(*Conn).Read": "go_read_enter",
    "crypto/tls.(*Conn).Write": "go_write_enter",
    "crypto/tls.(*Conn).Close": "go_close_enter",
}
_NO_REGISTERS = "noregabi"
# The stack check: none of these writes to an argument or to the stack pointer.
_CHECKS = (
    b"\x49\x3b\x66\x10",  # cmp rsp, [r14+16]
    b"\x4d\x3b\x66\x10",  # cmp r12, [r14+16]
)
_FRAME_ENDS = (b"\x4c\x8d\x64\x24", b"\x4c\x8d\xa4\x24")  # lea r12, [rsp+d8], [rsp+d32]
_PUSH_RBP = 0x55


def entry(code: bytes) -> int:
    """Offset of the first place in a function that sees its arguments and is cheap, else 0."""
    if x86.is_emulated(code):
        return 0
    at = 0
    if code.startswith(_FRAME_ENDS):
        at += x86.length(code)
    if code[at : at + 4] not in _CHECKS:
        return 0
    jump = at + 4
    if not x86.is_conditional_jump(code, jump):
        return 0
    behind = jump + x86.length(code, jump)
    return behind if code[behind : behind + 1] == bytes([_PUSH_RBP]) else jump


def _hooks(code: bytes, offset: int, program: str) -> Iterator[Hook]:
    yield Hook(offset + entry(code), program, at_return=False)
    if program == "go_close_enter":
        return
    for at in x86.returns(code) or ():
        yield Hook(offset + at, "go_return", at_return=False)


def find(elf: ElfFile) -> StackPlan | None:
    """Hooks for crypto/tls; None when this is no Go program or it has no crypto/tls."""
    if not pclntab.is_go(elf):
        return None
    table = pclntab.find(elf)
    version = pclntab.version(elf)
    if table is None:
        if pclntab.has_old(elf):
            return StackPlan("go", "", (), f"{version or 'Go'}: older than 1.18")
        return None
    hooks: list[Hook] = []
    missing = []
    for function, program in _PROGRAMS.items():
        found = pclntab.function(elf, table, function)
        if found is None:
            missing.append(function)
            continue
        code = elf.data[found.offset : found.offset + found.size]
        if x86.returns(code) is None:
            return StackPlan("go", "", (), f"{version}: {function} cannot be decoded")
        hooks += _hooks(code, found.offset, program)
    if len(missing) == len(_PROGRAMS):
        return None
    if _NO_REGISTERS in version:
        return StackPlan("go", "", (), f"{version}: arguments not in registers")
    returns = sum(hook.program == "go_return" for hook in hooks)
    return StackPlan("go", "pclntab", tuple(hooks), f"{version}, {returns} returns")
