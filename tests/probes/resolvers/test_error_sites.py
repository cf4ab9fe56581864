from pathlib import Path

import pytest

from probes.elf import ElfFile
from probes.resolvers import scan
from probes.resolvers.error_sites import error_sites
from tests.probes.resolvers.compiled import compiled

SOURCE = """
void report(int library, int function, int reason, const char *file, int line);
void short_report(int library, int reason, const char *file, int line);
static int state;
int full(int n) {
    if (n == 1) { report(16, 0, 66, "some/ssl_lib.c", 931); return -1; }
    if (n == 2) { report(16, 0, 300, "some/ssl_lib.c", 70000); return -1; }
    if (n == 3) { report(16, 523, 111, "some/ssl_lib.c", 981); return -1; }
    if (n == 4) { report(20, 0, 111, "some/ssl_lib.c", 982); return -1; }
    return state++;
}
int small(int n) {
    if (n == 5) { short_report(16, 67, "some/ssl_lib.c", 12); return -1; }
    return state--;
}
"""
EXPECTED = {
    (0, 66, 931),
    (0, 300, 70000),
    (523, 111, 981),
    (0, 67, 12),
}


@pytest.mark.parametrize("level", ["-O1", "-O2", "-O3", "-Os", "-Oz"])
def test_the_numbers_beside_each_report_are_read(level: str, tmp_path: Path) -> None:
    """At -Os and -Oz the reports share their calls, and numbers are pushed and popped."""
    program = compiled(tmp_path, SOURCE, "-shared", "-fPIC", level)
    with ElfFile(str(program)) as elf:
        sites = error_sites(elf, scan.strings(elf, b"some/ssl_lib.c"), 16)
    assert {(one.function, one.reason, one.line) for one in sites} == EXPECTED
    assert all(one.library == 16 and one.first <= one.offset for one in sites)
