"""TLS libraries: what to hook in a file, and which files processes have mapped.

In: paths, pids. Out: `HookPlan`s. OpenSSL is found by its exported functions, wherever they
are: libssl, a private copy, an executable such as Node's.

An export that begins with an instruction the kernel must single-step (`sub`, `endbr64`) makes
each probe hit some 35 times dearer than one that begins with `push`. Where both `SSL_read` and
`SSL_read_ex` call exactly one common function of the same library, and that one begins with
`push`, it is hooked in their place; never both.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from probes.elf import ElfFile, NotElf, Symbol

_NAMES = (
    "SSL_read",
    "SSL_read_ex",
    "SSL_write",
    "SSL_write_ex",
    "SSL_write_ex2",
    "SSL_free",
    "SSL_set_fd",
)
# Exported function -> (program at entry, program at return)
_PROGRAMS: dict[str, tuple[str, str | None]] = {
    "SSL_read": ("read_enter", "call_return"),
    "SSL_read_ex": ("read_ex_enter", "call_return"),
    "SSL_write": ("write_enter", "call_return"),
    "SSL_write_ex": ("write_ex_enter", "call_return"),
    "SSL_write_ex2": ("write_ex2_enter", "call_return"),
    "SSL_free": ("free_enter", None),
    "SSL_set_fd": ("set_fd_enter", None),
}
# Stacks that are recognised by their file's name and cannot be hooked.
_UNHOOKED = {"libgnutls.so": "gnutls", "libssl3.so": "nss", "libmbedtls.so": "mbedtls"}
_ENDBR64 = b"\xf3\x0f\x1e\xfa"
LIBRARY_FOLDERS = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib", "/opt")


@dataclass(frozen=True, slots=True)
class FileKey:
    """Identity of a file for the kernel: uprobes are per inode."""

    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class Hook:
    """One probe: a BPF program at a file offset."""

    offset: int
    program: str
    at_return: bool


@dataclass(frozen=True, slots=True)
class HookPlan:
    """How to hook one file, or why not (`hooks` empty, `detail` says)."""

    path: str
    build_id: str | None
    stack: str
    hooks: tuple[Hook, ...]
    detail: str


def is_cheap(code: bytes) -> bool:
    """Does the kernel emulate this first instruction (push reg, nop) instead of stepping it?"""
    if not code:
        return False
    first = code[1] if code[0] == 0x41 and len(code) > 1 else code[0]
    return 0x50 <= first <= 0x57 or code[0] == 0x90


def _callees(elf: ElfFile, symbol: Symbol) -> set[int]:
    """File offsets that `call rel32` instructions in a function may target."""
    code = elf.code(symbol)
    targets = set()
    at = -1
    while (at := code.find(b"\xe8", at + 1)) >= 0 and at + 5 <= len(code):
        relative = int.from_bytes(code[at + 1 : at + 5], "little", signed=True)
        target = elf.file_offset(symbol.address + at + 5 + relative)
        if target is not None and elf.is_executable(target):
            targets.add(target)
    return targets


def _internal(elf: ElfFile, plain: Symbol, extended: Symbol) -> int | None:
    """Offset of the one cheap function that both exports call, when that is certain."""
    cheap = []
    for offset in _callees(elf, plain) & _callees(elf, extended):
        head = elf.data[offset : offset + 6]
        start = offset + 4 if head.startswith(_ENDBR64) else offset
        if is_cheap(elf.data[start : start + 2]):
            cheap.append(start)
    return cheap[0] if len(cheap) == 1 else None


def _hooks(symbols: dict[str, Symbol], elf: ElfFile) -> Iterator[Hook]:
    replaced: set[str] = set()
    for plain, extended, program, returned in (
        ("SSL_read", "SSL_read_ex", "read_ex_enter", "call_return"),
        # From 3.3 on the internal writer takes flags before the length pointer.
        (
            "SSL_write",
            "SSL_write_ex",
            "write_ex2_enter" if "SSL_write_ex2" in symbols else "write_ex_enter",
            "call_return",
        ),
    ):
        if plain not in symbols or extended not in symbols:
            continue
        if is_cheap(elf.code(symbols[plain])) and is_cheap(elf.code(symbols[extended])):
            continue
        inner = _internal(elf, symbols[plain], symbols[extended])
        if inner is not None:
            replaced |= {plain, extended}
            if plain == "SSL_write":
                replaced.add("SSL_write_ex2")
            yield Hook(inner, program, at_return=False)
            yield Hook(inner, returned, at_return=True)
    for name, symbol in symbols.items():
        if name in replaced:
            continue
        entry, at_return = _PROGRAMS[name]
        yield Hook(symbol.offset, entry, at_return=False)
        if at_return:
            yield Hook(symbol.offset, at_return, at_return=True)


def plan(path: str) -> HookPlan | None:
    """How to hook a file; None when it holds no TLS library that is known here."""
    name = os.path.basename(path)
    try:
        with ElfFile(path) as elf:
            for prefix, stack in _UNHOOKED.items():
                if name.startswith(prefix):
                    return HookPlan(path, elf.build_id(), stack, (), f"no hooks for {stack}")
            symbols = elf.functions(_NAMES)
            if not {"SSL_read", "SSL_write"} <= symbols.keys():
                if name.startswith("libssl.so"):
                    return HookPlan(path, elf.build_id(), "openssl", (), "no exported SSL_read")
                return None
            hooks = tuple(_hooks(symbols, elf))
            inner = len([hook for hook in hooks if hook.program.endswith("enter")])
            detail = f"{len(symbols)} functions, {inner} entry points"
            return HookPlan(path, elf.build_id(), "openssl", hooks, detail)
    except (NotElf, OSError):
        return None


def file_key(path: str) -> FileKey | None:
    """Device and inode of a file, or None when it is gone."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return FileKey(status.st_dev, status.st_ino)


def mapped_executables(pid: int) -> list[str]:
    """Files that a process has mapped executable, as paths through its own root."""
    paths: dict[str, str] = {}
    try:
        with open(f"/proc/{pid}/maps", errors="replace") as maps:
            for line in maps:
                fields = line.rstrip("\n").split(maxsplit=5)
                if len(fields) < 6 or "x" not in fields[1] or not fields[5].startswith("/"):
                    continue
                path = fields[5]
                # A replaced library is still in memory; its file is reached by its mapping.
                replaced = path.endswith(" (deleted)")
                paths[path] = (
                    f"/proc/{pid}/map_files/{fields[0]}" if replaced else f"/proc/{pid}/root{path}"
                )
    except OSError:
        return []
    return list(paths.values())


def shown_path(path: str) -> str:
    """A path as its process knows it, for people."""
    parts = path.split("/", 4)
    if parts[:2] == ["", "proc"] and parts[3:4] == ["root"]:
        return "/" + parts[4]
    return path


def installed() -> list[str]:
    """Shared OpenSSL libraries on this machine, hooked before any process uses them."""
    found: dict[FileKey, str] = {}
    for folder in LIBRARY_FOLDERS:
        base = Path(folder)
        for pattern in ("libssl.so*", "*/libssl.so*", "*/lib/libssl.so*"):
            try:
                candidates: Iterable[Path] = list(base.glob(pattern))
            except OSError:
                continue
            for path in candidates:
                key = file_key(str(path))
                if key is not None:
                    found.setdefault(key, str(path.resolve()))
    return sorted(found.values())
