from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from probes.elf import ElfFile
from probes.hooks import StackPlan
from probes.resolvers import entries, symbols
from tests.probes.test_elf import LIBSSL, elf, needs_libssl

NODE = Path("/usr/bin/node")
GNUTLS = Path("/usr/lib/x86_64-linux-gnu/libgnutls.so.30")
GNUTLS_OPENSSL = Path("/usr/lib/x86_64-linux-gnu/libgnutls-openssl.so.27")
needs_gnutls = pytest.mark.skipif(not GNUTLS.exists(), reason="no libgnutls.so.30")
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
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


def plans(path: Path) -> list[StackPlan]:
    with ElfFile(str(path)) as file:
        return symbols.find(file, path.name)


def hooks(path: Path) -> set[tuple[int, str, bool]]:
    (found,) = plans(path)
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
    (found,) = plans(path)
    assert (found.hooks, found.detail) == ((), "no exported SSL_read")
    assert plans(library(tmp_path / "libother.so", {"SSL_free": PUSH}, {})) == []


def check_real(path: Path, stack: str) -> StackPlan:
    (found,) = plans(path)
    assert (found.stack, found.method) == (stack, "symbols")
    assert len(set(found.hooks)) == len(found.hooks)
    with ElfFile(str(path)) as file:
        assert all(file.is_executable(hook.offset) for hook in found.hooks)
    programs = {hook.program for hook in found.hooks}
    assert any("read" in program for program in programs)
    assert any("write" in program for program in programs)
    # What is hooked at its end is hooked at its begin, and no place twice.
    entered = [hook.offset for hook in found.hooks if not hook.at_return]
    assert {hook.offset for hook in found.hooks if hook.at_return} <= set(entered)
    assert len(set(entered)) == len(entered)
    return found


@needs_libssl
def test_the_openssl_of_this_machine() -> None:
    check_real(Path(str(LIBSSL)), "openssl")


@pytest.mark.skipif(not NODE.exists(), reason="no Node.js")
def test_node_or_the_library_that_it_uses() -> None:
    if plans(NODE.resolve()):
        check_real(NODE.resolve(), "openssl")
    else:  # linked with the shared library
        assert LIBSSL is not None


@needs_gnutls
def test_gnutls_writes_are_hooked_behind_their_wrapper() -> None:
    found = check_real(GNUTLS, "gnutls")
    with ElfFile(str(GNUTLS)) as file:
        known = file.functions(("gnutls_record_send", "gnutls_record_send2", "gnutls_record_recv"))
        send, send2, recv = (
            entries.offset(file, known[name])
            for name in ("gnutls_record_send", "gnutls_record_send2", "gnutls_record_recv")
        )
    places = {(hook.offset, hook.program) for hook in found.hooks}
    assert {(send2, "gnutls_write_enter"), (recv, "gnutls_read_enter")} <= places
    assert send not in {offset for offset, _ in places}
    assert {"gnutls_uncork_enter", "free_enter"} <= {program for _, program in places}


@pytest.mark.skipif(not GNUTLS_OPENSSL.exists(), reason="no libgnutls-openssl.so.27")
def test_a_layer_that_passes_all_on_to_gnutls_is_not_hooked() -> None:
    assert plans(GNUTLS_OPENSSL) == []


def compiled(folder: Path, source: str, *options: str) -> Path:
    path = folder / "library.so"
    (folder / "library.c").write_text(source)
    subprocess.run(
        ["gcc", "-O1", "-shared", "-fPIC", *options, "-o", path, folder / "library.c"], check=True
    )
    return path


STUBS = (
    "int {0}read(void *a, void *b, int c) {{ return c; }}\n"
    "int {0}write(void *a, void *b, int c) {{ return c + 1; }}\n"
    "void {0}free(void *a) {{}}\n"
)


@needs_gcc
@pytest.mark.parametrize(
    ("prefix", "stack"),
    [("mbedtls_ssl_", "mbedtls"), ("wolfSSL_", "wolfssl"), ("SSL_", "openssl")],
)
def test_libraries_are_told_by_their_functions(tmp_path: Path, prefix: str, stack: str) -> None:
    check_real(compiled(tmp_path, STUBS.format(prefix)), stack)


@needs_gcc
def test_an_exported_boringssl_is_not_taken_for_openssl(tmp_path: Path) -> None:
    source = STUBS.format("SSL_") + 'const char *where(void) { return "/src/ssl/ssl_lib.cc"; }'
    found = check_real(compiled(tmp_path, source), "boringssl")
    assert {"boringssl_read_enter", "boringssl_write_enter", "free_enter"} <= {
        hook.program for hook in found.hooks
    }


@needs_gcc
def test_a_file_may_hold_several_stacks(tmp_path: Path) -> None:
    path = compiled(tmp_path, STUBS.format("SSL_") + STUBS.format("wolfSSL_"))
    assert [plan.stack for plan in plans(path)] == ["openssl", "wolfssl"]


@needs_gcc
def test_two_names_of_one_function_are_hooked_once(tmp_path: Path) -> None:
    source = STUBS.format("mbedtls_ssl_") + (
        'void mbedtls_ssl_session_reset(void *) __attribute__((alias("mbedtls_ssl_free")));'
    )
    found = check_real(compiled(tmp_path, source), "mbedtls")
    assert [hook.program for hook in found.hooks].count("free_enter") == 1


@needs_gcc
def test_functions_that_debug_symbols_name_are_found(tmp_path: Path) -> None:
    source = STUBS.format("SSL_") + "int main(void) { return SSL_write(0, 0, SSL_read(0, 0, 0)); }"
    (tmp_path / "program.c").write_text(source)
    path = tmp_path / "program"
    subprocess.run(["gcc", "-O0", "-o", path, tmp_path / "program.c"], check=True)
    check_real(path, "openssl")
    subprocess.run(["strip", path], check=True)
    assert plans(path) == []
