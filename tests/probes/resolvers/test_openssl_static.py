from pathlib import Path

from probes.elf import ElfFile
from probes.resolvers import openssl_static
from probes.resolvers.entries import cheap
from tests.probes.resolvers.compiled import library
from tests.probes.resolvers.wheels import extension, stripped, symbols


def test_a_stripped_copy_gives_the_places_that_symbols_name(tmp_path: Path) -> None:
    """OpenSSL 4, where the writer takes flags before the length."""
    original = extension("cryptography", "_rust*.so")
    named = symbols(original)
    with ElfFile(str(stripped(original, tmp_path))) as elf:
        plan = openssl_static.find(elf)
        read = elf.file_offset(named["ssl_read_internal"])
        write = elf.file_offset(named["ssl_write_internal"])
        assert read is not None
        assert write is not None
        read += cheap(elf.data[read : read + 64]) or 0
        write += cheap(elf.data[write : write + 64]) or 0
    assert plan is not None
    assert plan.method == "openssl_static", plan.detail
    assert [(hook.offset, hook.program, hook.at_return) for hook in plan.hooks] == [
        (read, "read_ex_enter", False),
        (read, "call_return", True),
        (write, "write_ex2_enter", False),
        (write, "call_return", True),
    ]


def _damaged(tmp_path: Path, old: bytes, new: bytes) -> Path:
    content = extension("cryptography", "_rust*.so").read_bytes()
    assert old in content
    copy = tmp_path / "damaged.so"
    copy.write_bytes(content.replace(old, new))
    return copy


def test_a_version_that_does_not_fit_the_code_is_not_believed(tmp_path: Path) -> None:
    with ElfFile(str(_damaged(tmp_path, b"OpenSSL 4.0.", b"OpenSSL 3.0."))) as elf:
        plan = openssl_static.find(elf)
    assert plan is not None
    assert plan.hooks == ()
    assert plan.detail == "the arguments of ssl_write_internal are not certain"


def test_names_that_no_code_reports_are_seen_and_not_hooked(tmp_path: Path) -> None:
    """OpenSSL 1.1 keeps the names in a table of texts."""
    copy = library(
        tmp_path,
        """
        struct text { int code; const char *name; };
        const struct text texts[] = {{523, "ssl_read_internal"}, {524, "ssl_write_internal"}};
        """,
    )
    with ElfFile(str(copy)) as elf:
        plan = openssl_static.find(elf)
    assert plan is not None
    assert plan.hooks == ()
    assert "before 3.0" in plan.detail


def test_other_files_hold_none() -> None:
    with ElfFile("/bin/sh") as elf:
        assert openssl_static.find(elf) is None
