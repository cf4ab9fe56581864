from pathlib import Path

import pytest

from probes.elf import ElfFile
from probes.resolvers.functions import Functions, probe_point
from tests.probes.resolvers.compiled import compiled
from tests.probes.resolvers.wheels import symbols

SOURCE = """
int puts(const char *); int printf(const char *, ...);
__attribute__((noinline)) int work(int n) {
    int all = 0;
    for (int i = 0; i < n; i++) { printf("%d\\n", all); all += i * n; if (all > 9) puts("much"); }
    return all;
}
__attribute__((noinline)) int more(int n) { return printf("%d\\n", work(n)) + work(n + 1); }
int main(int n, char **v) { return more(n); }
"""
NAMES = ("work", "more")


@pytest.mark.parametrize(
    ("options", "exact"),
    [
        ((), True),
        (("-fno-asynchronous-unwind-tables", "-fno-unwind-tables"), False),
        # Packed for size: starts are not aligned, and known by their frame prologue.
        (
            (
                *("-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-Os"),
                *("-fno-omit-frame-pointer", "-falign-functions=1"),
            ),
            False,
        ),
    ],
)
def test_every_byte_of_a_function_leads_to_its_start(
    options: tuple[str, ...], exact: bool, tmp_path: Path
) -> None:
    program = compiled(tmp_path, SOURCE, "-fcf-protection=none", *options)
    named = symbols(program)
    with ElfFile(str(program)) as elf:
        sizes = {symbol.name: symbol.size for symbol in elf.functions(NAMES).values()}
        functions = Functions(elf)
        for name in NAMES:
            start = elf.file_offset(named[name])
            assert start is not None
            for offset in range(start + 4, start + sizes[name]):
                found = functions.around(offset)
                assert found is not None
                assert (found.start, found.exact) == (start, exact)
                assert found.end >= start + sizes[name]
                if exact:
                    assert found.end == start + sizes[name]


def test_a_part_split_off_from_its_function_is_refused(tmp_path: Path) -> None:
    source = """
    int printf(const char *, ...); void fail(int) __attribute__((cold, noinline));
    void fail(int n) { printf("%d\\n", n); }
    int work(int *p, int n) {
        int all = 0;
        for (int i = 0; i < n; i++) { if (p[i] < 0) { fail(p[i]); fail(n); return -1; }
            all += printf("%d", p[i]); }
        return all;
    }
    int main(int n, char **v) { return work(&n, n); }
    """
    program = compiled(tmp_path, source, "-freorder-blocks-and-partition", "-fcf-protection=none")
    cold = symbols(program)["work.cold"]
    with ElfFile(str(program)) as elf:
        offset = elf.file_offset(cold)
        assert offset is not None
        assert Functions(elf).around(offset) is None


def test_data_is_in_no_function(tmp_path: Path) -> None:
    with ElfFile(str(compiled(tmp_path, SOURCE))) as elf:
        assert Functions(elf).around(0) is None


def test_a_probe_goes_behind_endbr64(tmp_path: Path) -> None:
    program = compiled(tmp_path, SOURCE, "-fcf-protection=full")
    with ElfFile(str(program)) as elf:
        start = elf.functions(["work"])["work"].offset
        function = Functions(elf).around(start + 8)
        assert function is not None
        assert probe_point(elf, function) == (start + 4, True)
