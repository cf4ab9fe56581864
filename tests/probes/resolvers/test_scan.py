from pathlib import Path

import pytest

from probes.elf import ElfFile
from probes.resolvers import scan
from tests.probes.resolvers.compiled import compiled
from tests.probes.resolvers.wheels import symbols

SOURCE = """
#include <stdio.h>
__attribute__((noinline)) void first(void) { puts("a/path/to/marker.c"); }
__attribute__((noinline)) void other(void) { puts("nothing of interest"); }
__attribute__((noinline)) void second(int n) { printf("%d %s\\n", n, "a/path/to/marker.c"); }
int main(int n, char **v) { first(); other(); second(n); return 0; }
"""
KINDS = {
    "executable at a fixed address": ("-no-pie", "-fno-pie"),
    "position-independent executable": ("-pie", "-fPIE"),
    "shared object": ("-shared", "-fPIC"),
}


@pytest.fixture(params=KINDS, scope="module")
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("kind"), SOURCE, *KINDS[request.param])


def test_a_string_is_found_by_its_end_and_as_a_whole(program: Path) -> None:
    with ElfFile(str(program)) as elf:
        (address,) = scan.strings(elf, b"to/marker.c")
        assert scan.whole_strings(elf, b"a/path/to/marker.c") == [address]
        assert scan.whole_strings(elf, b"to/marker.c") == []
        offset = elf.file_offset(address)
        assert offset is not None
        assert elf.data[offset : offset + 19] == b"a/path/to/marker.c\0"


def test_each_function_that_loads_the_string_refers_to_it_once(program: Path) -> None:
    named = symbols(program)
    with ElfFile(str(program)) as elf:
        found = scan.references(elf, scan.strings(elf, b"to/marker.c"))
        addresses = [elf.address_of(one.offset) for one in found]
    after = sorted(named.values())
    holders = []
    for address in addresses:
        assert address is not None
        start = max(one for one in after if one <= address)
        holders += [name for name in ("first", "second", "other", "main") if named[name] == start]
    assert sorted(holders) == ["first", "second"]
    by_holder = dict(zip(holders, found, strict=True))
    assert by_holder["first"].register == "rdi"
    assert by_holder["second"].register in ("rdx", "rcx")


def test_targets_in_several_windows_are_found_in_one_pass(tmp_path: Path) -> None:
    """Code of more than a window, and targets before and behind it."""
    functions = "".join(
        f'const char *f{n}(void) {{ static volatile int i{n}; i{n}++; return "text {n % 7}"; }}'
        for n in range(4000)
    )
    program = compiled(tmp_path, functions, "-shared", "-fPIC", "-O1")
    with ElfFile(str(program)) as elf:
        code = max(part.file_size for part in scan.code(elf))
        assert code > 1 << 16
        targets = [address for n in range(7) for address in scan.whole_strings(elf, b"text %d" % n)]
        assert len(targets) == 7
        found = scan.references(elf, targets)
    by_target = sorted(sum(one.target == target for one in found) for target in targets)
    assert by_target == [571] * 4 + [572] * 3


def test_no_targets_no_references(program: Path) -> None:
    with ElfFile(str(program)) as elf:
        assert scan.references(elf, []) == []


def test_the_number_of_finds_is_bounded(program: Path) -> None:
    with ElfFile(str(program)) as elf:
        assert len(scan.find_all(elf, b"\0", limit=5)) == 5
