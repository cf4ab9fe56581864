"""TLS libraries whose functions have names: OpenSSL, BoringSSL, GnuTLS, mbedTLS, wolfSSL.

In: an open `ElfFile`. Out: a `StackPlan` for each stack that it defines. Wherever the functions
are: a shared library, a private copy, an executable such as Node's.

Where a wrapper ends in another hooked function with the same session and direction, BPF counts
the bytes once. Still, wrappers are left out where that is known to cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from probes.elf import ElfFile, Symbol
from probes.hooks import Hook, StackPlan
from probes.resolvers import entries, internal, scan, x86
from probes.resolvers.pointers import Pointers

Programs = dict[str, tuple[str, str | None]]  # function: programs at entry and at return

_OPENSSL: Programs = {
    "SSL_read": ("read_enter", "call_return"),
    "SSL_read_ex": ("read_ex_enter", "call_return"),
    "SSL_write": ("write_enter", "call_return"),
    "SSL_write_ex": ("write_ex_enter", "call_return"),
    "SSL_write_ex2": ("write_ex2_enter", "call_return"),
    "SSL_free": ("free_enter", None),
    "SSL_set_fd": ("set_fd_enter", None),
}
_BORINGSSL: Programs = {
    "SSL_read": ("boringssl_read_enter", "call_return"),
    "SSL_write": ("boringssl_write_enter", "call_return"),
    "SSL_free": ("free_enter", None),
}
_BORINGSSL_FILE = b"ssl_lib.cc\0"


@dataclass(frozen=True, slots=True)
class Library:
    """A TLS library: its read and write functions, all programs, and its shared object's name."""

    stack: str
    read: str
    write: str
    programs: Programs
    file: str


OPENSSL = Library("openssl", "SSL_read", "SSL_write", _OPENSSL, "libssl.so")
LIBRARIES = (
    Library(
        "gnutls",
        "gnutls_record_recv",
        "gnutls_record_send",
        {
            "gnutls_record_recv": ("gnutls_read_enter", "call_return"),
            "gnutls_record_recv_seq": ("gnutls_read_enter", "call_return"),
            "gnutls_record_send": ("gnutls_write_enter", "call_return"),
            "gnutls_record_send2": ("gnutls_write_enter", "call_return"),
            "gnutls_record_send_range": ("gnutls_write_enter", "call_return"),
            # Sends again what was accepted, and emitted, while the session was corked.
            "gnutls_record_uncork": ("gnutls_uncork_enter", "call_return"),
            "gnutls_deinit": ("free_enter", None),
        },
        "libgnutls.so",
    ),
    Library(
        "mbedtls",
        "mbedtls_ssl_read",
        "mbedtls_ssl_write",
        {
            "mbedtls_ssl_read": ("mbedtls_read_enter", "call_return"),
            "mbedtls_ssl_write": ("mbedtls_write_enter", "call_return"),
            # The session object will serve another connection.
            "mbedtls_ssl_session_reset": ("free_enter", None),
            "mbedtls_ssl_free": ("free_enter", None),
        },
        "libmbedtls.so",
    ),
    Library(
        "wolfssl",
        "wolfSSL_read",
        "wolfSSL_write",
        {
            "wolfSSL_read": ("wolfssl_read_enter", "call_return"),
            "wolfSSL_write": ("wolfssl_write_enter", "call_return"),
            "wolfSSL_free": ("free_enter", None),
        },
        "libwolfssl.so",
    ),
)
_NAMES = tuple(name for one in (OPENSSL, *LIBRARIES) for name in one.programs)


def _at(offset: int, programs: tuple[str, str | None]) -> Iterator[Hook]:
    entry, returned = programs
    yield Hook(offset, entry, at_return=False)
    if returned is not None:
        yield Hook(offset, returned, at_return=True)


def _replaced(elf: ElfFile, symbols: dict[str, Symbol]) -> Iterator[tuple[set[str], int, str]]:
    """OpenSSL's exports that one cheap internal function stands for: names, offset, program."""
    # From 3.3 on the internal writer takes flags before the length pointer.
    writer = "write_ex2_enter" if "SSL_write_ex2" in symbols else "write_ex_enter"
    for plain, extended, program, more in (
        ("SSL_read", "SSL_read_ex", "read_ex_enter", ""),
        ("SSL_write", "SSL_write_ex", writer, "SSL_write_ex2"),
    ):
        pair = [symbols[name] for name in (plain, extended) if name in symbols]
        if len(pair) < 2 or all(entries.cheap(elf.code(one)) is not None for one in pair):
            continue
        inner = internal.common(elf, *pair)
        if inner is not None:
            yield {plain, extended, more}, inner, program


def _leads_to(elf: ElfFile, symbol: Symbol, other: Symbol, name: str) -> bool:
    """Does a function end in a jump to another one, directly or by its PLT entry?"""
    code = elf.code(symbol)
    if len(code) > 32:
        return False
    for at, _ in x86.instructions(code):
        target = x86.branch_target(code, at)
        if target is None or code[at] == 0xE8:
            continue
        address = symbol.address + target
        if address == other.address:
            return True
        offset = elf.file_offset(address)
        stub = elf.data[offset : offset + 16] if offset is not None else b""
        for inner, length in x86.instructions(stub):
            start = inner + (stub[inner] == 0xF2)
            if stub[start : start + 2] == b"\xff\x25":  # jmp [rip+d32]
                shift = int.from_bytes(stub[start + 2 : start + 6], "little", signed=True)
                slot = address + inner + length + shift
                return Pointers(elf).imported_name(slot) == name
    return False


def _hooks(elf: ElfFile, programs: Programs, symbols: dict[str, Symbol]) -> Iterator[Hook]:
    left = {name: one for name, one in symbols.items() if name in programs}
    if programs is _OPENSSL:
        for names, offset, program in _replaced(elf, symbols):
            for name in names:
                left.pop(name, None)
            yield from _at(offset, (program, "call_return"))
    send, send2 = left.get("gnutls_record_send"), left.get("gnutls_record_send2")
    if send and send2 and _leads_to(elf, send, send2, "gnutls_record_send2"):
        del left["gnutls_record_send"]
    seen = set()
    for name, symbol in left.items():
        place = entries.offset(elf, symbol)
        if (place, programs[name]) not in seen:  # two names of one function
            seen.add((place, programs[name]))
            yield from _at(place, programs[name])


def _imports(elf: ElfFile, name: str) -> bool:
    return any(
        section.name == ".dynstr"
        and elf.data.find(
            b"\0" + name.encode() + b"\0", section.offset, section.offset + section.size
        )
        >= 0
        for section in elf.sections()
    )


def _plan(elf: ElfFile, library: Library, symbols: dict[str, Symbol]) -> StackPlan:
    stack, programs = library.stack, library.programs
    if (
        library is OPENSSL
        and "SSL_read_ex" not in symbols
        and scan.find_all(elf, _BORINGSSL_FILE, 1)
    ):
        stack, programs = "boringssl", _BORINGSSL
    hooks = tuple(_hooks(elf, programs, symbols))
    entered = sum(hook.program.endswith("enter") for hook in hooks)
    names = sum(name in programs for name in symbols)
    return StackPlan(stack, "symbols", hooks, f"{names} functions, {entered} entry points")


def find(elf: ElfFile, name: str = "") -> list[StackPlan]:
    """Every stack whose functions have names here; `name` is the file's, as its users know it.

    A library that is known by that name and lacks the functions gives a plan without hooks.
    """
    symbols = elf.functions(_NAMES)
    found = []
    for library in (OPENSSL, *LIBRARIES):
        if library.read in symbols and library.write in symbols:
            # GnuTLS's layer with OpenSSL's names passes all bytes on to GnuTLS itself.
            if library is OPENSSL and (
                "gnutls_record_recv" not in symbols and _imports(elf, "gnutls_record_recv")
            ):
                continue
            found.append(_plan(elf, library, symbols))
        elif name.startswith(library.file):
            found.append(StackPlan(library.stack, "", (), f"no exported {library.read}"))
    return found
