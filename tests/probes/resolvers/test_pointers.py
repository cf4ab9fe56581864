from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from probes.elf import ElfFile
from probes.resolvers.pointers import Pointers
from tests.probes.test_elf import LIBSSL, needs_libssl

needs_readelf = pytest.mark.skipif(shutil.which("readelf") is None, reason="no readelf")


@needs_libssl
@needs_readelf
def test_pointers_are_those_that_readelf_tells() -> None:
    listing = subprocess.run(
        ["readelf", "-rW", str(LIBSSL)], capture_output=True, text=True, check=True
    ).stdout
    relative = {
        int(at, 16): int(target, 16)
        for at, target in re.findall(
            r"^([0-9a-f]+)\s+[0-9a-f]+ R_X86_64_RELATIVE\s+([0-9a-f]+)$", listing, re.MULTILINE
        )
    }
    slots = {
        int(at, 16): name
        for at, name in re.findall(
            r"^([0-9a-f]+)\s+[0-9a-f]+ R_X86_64_JUMP_SLO\S*\s+[0-9a-f]+ ([^@\s]+)",
            listing,
            re.MULTILINE,
        )
    }
    assert slots
    with ElfFile(str(LIBSSL)) as file:
        pointers = Pointers(file)
        for at, target in list(relative.items())[:50]:
            assert pointers.word(at) == target
            assert at in pointers.holders(target)
        for at, name in list(slots.items())[:50]:
            assert pointers.imported_name(at) == name
        assert pointers.imported_name(8) is None
        assert pointers.word(1 << 60) is None
        code = {
            at: target
            for segment in pointers.data
            for at, target in pointers.to_code(segment).items()
        }
        for at, target in relative.items():
            offset = file.file_offset(target)
            if offset is not None and file.is_executable(offset):
                assert code[at] == target
        assert all(relative.get(at, target) == target for at, target in code.items())
        assert pointers.functions == sorted(set(code.values()))
