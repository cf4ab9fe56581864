from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from probes import libraries
from probes.elf import ElfFile
from probes.libraries import Hook, file_key, is_cheap, plan
from tests.probes.test_elf import LIBSSL, elf, needs_libssl

NODE = Path("/usr/bin/node")
PUSH, STEP, ENDBR = b"\x55", b"\x48\x83\xec\x18", b"\xf3\x0f\x1e\xfa"


def call(at: int, target: int) -> bytes:
    """`call rel32` at an address."""
    return b"\xe8" + struct.pack("<i", target - at - 5)


def library(path: Path, functions: dict[str, bytes], internal: dict[int, bytes]) -> Path:
    """A library whose exports begin at 0x2000, 0x2100..., with code of its own elsewhere.

    Addresses and file offsets are the same, so hooks can be read off.
    """
    code = bytearray(0x3000)
    names, symbols = b"\0", bytes(24)
    for number, (name, body) in enumerate(functions.items()):
        address = 0x2000 + 0x100 * number
        code[address : address + len(body)] = body
        symbols += struct.pack("<IBBHQQ", len(names), 0x12, 0, 1, address, len(body))
        names += name.encode() + b"\0"
    for address, body in internal.items():
        code[address : address + len(body)] = body
    at = len(code)
    segments = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, at, at, 4096)
    sections = bytes(64)
    sections += struct.pack("<IIQQQQIIQQ", 0, 11, 0, 0, at, len(symbols), 2, 0, 8, 24)
    sections += struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, at + len(symbols), len(names), 0, 0, 1, 0)
    head = elf(segments=segments, sections=sections)
    code[: len(head)] = head
    path.write_bytes(bytes(code) + symbols + names)
    return path


def hooks(path: Path) -> set[tuple[int, str, bool]]:
    found = plan(str(path))
    assert found is not None
    return {(hook.offset, hook.program, hook.at_return) for hook in found.hooks}


def pair(offset: int, program: str) -> set[tuple[int, str, bool]]:
    return {(offset, program, False), (offset, "call_return", True)}


READ, READ_EX, WRITE, WRITE_EX = 0x2000, 0x2100, 0x2200, 0x2300
NAMES = ("SSL_read", "SSL_read_ex", "SSL_write", "SSL_write_ex")
INNER = 0x1000


def exports(begin: bytes, **calls: int) -> dict[str, bytes]:
    """Exported functions that begin with an instruction and call `calls` by name."""
    found = {}
    for number, name in enumerate(NAMES):
        code = begin
        for target in (calls.get(name), calls.get("all_" + name[4:].partition("_")[0])):
            if target is not None:
                code += call(0x2000 + 0x100 * number + len(code), target)
        found[name] = code + b"\xc3"
    return found


def test_exports_that_begin_cheaply_are_hooked_themselves(tmp_path: Path) -> None:
    path = library(tmp_path / "libssl.so.3", exports(PUSH, all_read=INNER), {INNER: PUSH})
    assert hooks(path) == (
        pair(READ, "read_enter")
        | pair(READ_EX, "read_ex_enter")
        | pair(WRITE, "write_enter")
        | pair(WRITE_EX, "write_ex_enter")
    )


def test_the_one_cheap_function_that_both_call_is_hooked_in_their_place(tmp_path: Path) -> None:
    functions = exports(STEP, all_read=INNER, all_write=INNER + 0x100)
    path = library(tmp_path / "libssl.so.3", functions, {INNER: PUSH, INNER + 0x100: ENDBR + PUSH})
    # Behind `endbr64`, which is not hooked.
    assert hooks(path) == pair(INNER, "read_ex_enter") | pair(INNER + 0x104, "write_ex_enter")


def test_a_dear_inner_function_changes_nothing(tmp_path: Path) -> None:
    path = library(tmp_path / "libssl.so.3", exports(STEP, all_read=INNER), {INNER: STEP})
    assert pair(READ, "read_enter") | pair(READ_EX, "read_ex_enter") <= hooks(path)
    assert not any(offset == INNER for offset, _, _ in hooks(path))


def test_where_two_functions_would_do_neither_is_chosen(tmp_path: Path) -> None:
    functions = exports(STEP, all_read=INNER)
    for number, name in enumerate(NAMES[:2]):
        code = functions[name][:-1]
        functions[name] = code + call(0x2000 + 0x100 * number + len(code), INNER + 0x100) + b"\xc3"
    path = library(tmp_path / "libssl.so.3", functions, {INNER: PUSH, INNER + 0x100: PUSH})
    assert pair(READ, "read_enter") <= hooks(path)


def test_a_function_that_only_one_calls_is_not_common(tmp_path: Path) -> None:
    path = library(tmp_path / "libssl.so.3", exports(STEP, SSL_read=INNER), {INNER: PUSH})
    assert pair(READ, "read_enter") <= hooks(path)


def test_the_inner_writer_of_newer_versions_takes_flags(tmp_path: Path) -> None:
    functions = exports(STEP, all_write=INNER) | {"SSL_write_ex2": STEP, "SSL_free": STEP}
    path = library(tmp_path / "libssl.so.3", functions, {INNER: PUSH})
    assert pair(INNER, "write_ex2_enter") <= hooks(path)
    assert not {0x2400} & {offset for offset, _, _ in hooks(path)}
    assert (0x2500, "free_enter", False) in hooks(path)


def test_a_libssl_that_hides_its_functions_is_named(tmp_path: Path) -> None:
    path = library(tmp_path / "libssl.so.1.1", {"SSL_free": PUSH}, {})
    found = plan(str(path))
    assert found is not None
    assert (found.hooks, found.detail) == ((), "no exported SSL_read")
    assert plan(str(library(tmp_path / "libother.so", {"SSL_free": PUSH}, {}))) is None


@pytest.mark.parametrize(
    ("code", "cheap"),
    [
        (b"\x55", True),
        (b"\x53\x48", True),
        (b"\x41\x57", True),
        (b"\x90", True),
        (b"\xf3\x0f\x1e\xfa", False),
        (b"\x48\x83\xec\x08", False),
        (b"\x41", False),
        (b"\x41\x89", False),
        (b"", False),
    ],
)
def test_first_instructions(code: bytes, cheap: bool) -> None:
    assert is_cheap(code) is cheap


def check_real(path: str) -> None:
    found = plan(path)
    assert found is not None
    assert found.hooks
    assert found.stack == "openssl"
    assert len(set(found.hooks)) == len(found.hooks)
    with ElfFile(path) as file:
        assert all(file.is_executable(hook.offset) for hook in found.hooks)
    programs = {hook.program for hook in found.hooks}
    assert programs & {"read_enter", "read_ex_enter"}
    assert programs & {"write_enter", "write_ex_enter", "write_ex2_enter"}
    # What is hooked at its end is hooked at its begin.
    entered = {hook.offset for hook in found.hooks if not hook.at_return}
    assert {hook.offset for hook in found.hooks if hook.at_return} <= entered
    by_offset: dict[int, list[Hook]] = {}
    for hook in found.hooks:
        by_offset.setdefault(hook.offset, []).append(hook)
    assert all(len(at) <= 2 for at in by_offset.values())


@needs_libssl
def test_the_library_of_this_machine() -> None:
    check_real(str(LIBSSL))


@pytest.mark.skipif(not NODE.exists(), reason="no Node.js")
def test_node_or_the_library_that_it_uses() -> None:
    found = plan(str(NODE.resolve()))
    if found is None:  # linked with the shared library
        assert LIBSSL is not None
    else:
        check_real(str(NODE.resolve()))


@needs_libssl
def test_installed_libraries_are_listed_once() -> None:
    found = libraries.installed()
    assert len({file_key(path) for path in found}) == len(found)
    assert all(os.path.isfile(path) for path in found)


def test_files_are_known_by_inode(tmp_path: Path) -> None:
    path, link = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"x")
    os.link(path, link)
    assert file_key(str(path)) == file_key(str(link)) is not None
    assert file_key(str(tmp_path / "none")) is None


def test_what_this_process_has_mapped() -> None:
    mapped = libraries.mapped_executables(os.getpid())
    assert len(mapped) == len(set(mapped))
    assert any("python" in path or "libc" in path for path in mapped)
    assert all(path.startswith(f"/proc/{os.getpid()}/root/") for path in mapped)
    assert libraries.mapped_executables(1 << 30) == []
