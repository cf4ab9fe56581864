"""Hook points in the stripped programs of real agents, where a folder of them is given."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.elf import ElfFile, NotElf
from probes.hooks import StackPlan
from probes.resolvers import aws_lc, boringssl, openssl_static
from probes.resolvers.scan import find_all
from tests.agents.agents import AGENTS_DIR

SMALLEST_BYTES = 20 << 20
LONGEST_S = 2.0  # of processor time
X86_64 = (62).to_bytes(2, "little")
MEGABYTE = 1 << 20
READS = {"boringssl_read_enter", "read_ex_enter", "aead_open_enter"}
WRITES = {"boringssl_write_enter", "write_ex_enter", "write_ex2_enter", "aead_seal_enter"}


def programs() -> Iterator[Path]:
    seen = set()
    for path in sorted(AGENTS_DIR.rglob("*")):
        if not path.is_file() or path.is_symlink() or path.stat().st_size < SMALLEST_BYTES:
            continue
        key = path.stat().st_ino
        with open(path, "rb") as file:
            if key not in seen and file.read(4) == b"\x7fELF":
                seen.add(key)
                yield path


@pytest.fixture(
    scope="module", params=list(programs()), ids=lambda path: str(path.relative_to(AGENTS_DIR))
)
def program(request: pytest.FixtureRequest) -> Iterator[ElfFile]:
    path: Path = request.param
    path.read_bytes()  # what is measured is the search, not the disk
    try:
        with ElfFile(str(path)) as elf:
            if elf.data[18:20] != X86_64:
                pytest.skip("for another processor")
            yield elf
    except NotElf:
        pytest.skip("for another processor")


def believed(plan: StackPlan | None) -> None:
    assert plan is not None
    assert plan.hooks, plan.detail
    reads = {hook.offset for hook in plan.hooks if hook.program in READS}
    writes = {hook.offset for hook in plan.hooks if hook.program in WRITES}
    assert len(reads) == len(writes) == 1
    assert abs(reads.pop() - writes.pop()) < MEGABYTE


def test_all_searches_together_are_fast(program: ElfFile) -> None:
    started = time.process_time()
    for resolver in (boringssl, openssl_static, aws_lc):
        plan = resolver.find(program)
        assert plan is None or all(program.is_executable(hook.offset) for hook in plan.hooks)
    assert time.process_time() - started < LONGEST_S


def test_boringssl(program: ElfFile) -> None:
    if not find_all(program, b"ssl/ssl_lib.cc\0", limit=1):
        assert boringssl.find(program) is None
    else:
        believed(boringssl.find(program))
        assert aws_lc.find(program) is None


def test_openssl(program: ElfFile) -> None:
    if program.functions(["SSL_read"]):
        return  # exported: nothing to search for
    if not find_all(program, b"\0ssl_write_internal\0", limit=1):
        assert openssl_static.find(program) is None
    else:
        believed(openssl_static.find(program))


def test_rustls(program: ElfFile) -> None:
    if find_all(program, b"ssl/ssl_lib.cc\0", limit=1):
        return
    if not find_all(program, b"rustls-0.", limit=1):
        assert aws_lc.find(program) is None
    elif find_all(program, b"fipsmodule/cipher/aead.c\0", limit=1):
        believed(aws_lc.find(program))
    else:
        plan = aws_lc.find(program)
        assert plan is not None
        assert not plan.hooks
        assert "without aws-lc" in plan.detail
