from __future__ import annotations

import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from probes import libraries
from probes.elf import ElfFile, NotElf
from probes.resolvers import resolve

LIBSSL = next((path for path in libraries.installed() if path.endswith("libssl.so.3")), None)
needs_libssl = pytest.mark.skipif(LIBSSL is None, reason="no libssl.so.3 on this machine")
NAMES = ("SSL_read", "SSL_write", "SSL_free", "SSL_no_such_function")


def elf(*, sections: bytes = b"", segments: bytes = b"", body: bytes = b"") -> bytes:
    """A 64-bit ELF file: header, program headers, section headers, body."""
    phoff = 64 if segments else 0
    shoff = 64 + len(segments) if sections else 0
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQI", 3, 62, 1, 0, phoff, shoff, 0)
    header += struct.pack("<HHHHHH", 64, 56, len(segments) // 56, 64, len(sections) // 64, 0)
    return header + segments + sections + body


@needs_libssl
def test_functions_of_a_real_library() -> None:
    with ElfFile(str(LIBSSL)) as library:
        found = library.functions(NAMES)
        assert set(found) == set(NAMES[:3])
        for symbol in found.values():
            assert library.is_executable(symbol.offset)
            assert library.file_offset(symbol.address) == symbol.offset
            assert len(library.code(symbol)) == symbol.size > 0
        assert not library.is_executable(0)
        assert library.file_offset(1 << 60) is None


@needs_libssl
@pytest.mark.skipif(shutil.which("readelf") is None, reason="no readelf")
def test_addresses_and_build_id_are_those_that_readelf_tells() -> None:
    with ElfFile(str(LIBSSL)) as library:
        found = library.functions(NAMES)
        build_id = library.build_id()
    notes = subprocess.run(["readelf", "-n", str(LIBSSL)], capture_output=True, text=True).stdout
    assert f"Build ID: {build_id}" in notes
    table = subprocess.run(
        ["readelf", "-W", "--dyn-syms", str(LIBSSL)], capture_output=True, text=True
    ).stdout
    told = {
        fields[7].partition("@")[0]: (int(fields[1], 16), int(fields[2], 0))
        for line in table.splitlines()
        if len(fields := line.split()) >= 8 and fields[3] == "FUNC"
    }
    assert {name: told[name] for name in found} == {
        name: (symbol.address, symbol.size) for name, symbol in found.items()
    }


def test_the_interpreter_itself_is_readable() -> None:
    with ElfFile(str(Path(sys.executable).resolve())) as program:
        assert any(segment.executable for segment in program.segments)
        assert program.functions(["no_such_function_anywhere"]) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"#!/bin/sh\necho hello\n",
        b"\x7fELF",
        b"\x7fELF\x01\x01" + bytes(100),
        b"\x7fELF\x02\x02" + bytes(100),
        bytes(5000),
        elf(segments=bytes(56))[:80],
    ],
    ids=["empty", "script", "magic", "32-bit", "big-endian", "zeros", "cut"],
)
def test_other_files_are_not_elf(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(NotElf):
        ElfFile(str(path))
    assert resolve(str(path)) is None


def test_a_file_with_nothing_in_it_has_no_functions(tmp_path: Path) -> None:
    path = tmp_path / "bare"
    path.write_bytes(elf())
    with ElfFile(str(path)) as bare:
        assert (bare.functions(NAMES), bare.build_id(), bare.segments) == ({}, None, [])


def test_offsets_beyond_everything(tmp_path: Path) -> None:
    path = tmp_path / "wild"
    for at in (32, 40):
        content = bytearray(elf(segments=bytes(56), sections=bytes(64)))
        content[at : at + 8] = b"\xff" * 8
        path.write_bytes(content)
        try:
            with ElfFile(str(path)) as wild:
                assert wild.functions(NAMES) == {}
        except NotElf:
            pass


@needs_libssl
def test_truncated_and_damaged_libraries_never_raise(tmp_path: Path) -> None:
    whole = Path(str(LIBSSL)).read_bytes()
    path = tmp_path / "libssl.so.3"
    chance = random.Random(7)
    tables = len(whole) - 4096
    for _ in range(60):
        content = bytearray(whole)
        for _ in range(chance.randrange(1, 40)):
            at = chance.choice((chance.randrange(600), chance.randrange(tables, len(whole))))
            content[at] = chance.randrange(256)
        if chance.random() < 0.5:
            del content[chance.randrange(1, len(content)) :]
        path.write_bytes(content)
        plan = resolve(str(path))
        if plan is not None:
            assert all(stack.hooks or stack.detail for stack in plan.stacks)
