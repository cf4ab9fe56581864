from pathlib import Path

import pytest

from probes.elf import ElfFile
from probes.resolvers import aws_lc, entries
from tests.probes.resolvers.wheels import extension, stripped, symbols

# Compiled by GCC at -O2, and by clang for size, where functions share their error reports.
WHEELS = [("obstore", "_obstore*.so"), ("hf_xet", "hf_xet*.so")]


@pytest.mark.parametrize(("package", "pattern"), WHEELS)
def test_a_stripped_copy_gives_the_places_that_symbols_name(
    package: str, pattern: str, tmp_path: Path
) -> None:
    original = extension(package, pattern)
    named = {
        name.partition("EVP_AEAD_CTX_")[2]: address
        for name, address in symbols(original).items()
        if "EVP_AEAD_CTX_" in name
    }
    with ElfFile(str(stripped(original, tmp_path))) as elf:
        plan = aws_lc.find(elf)
        assert plan is not None
        expected = {}
        for name in ("seal", "seal_scatter", "open"):
            offset = elf.file_offset(named[name])
            assert offset is not None
            start = offset + (entries.cheap(elf.data[offset : offset + 64]) or 0)
            expected[f"aead_{name}_enter"] = start
    assert (plan.stack, plan.method) == ("rustls", "aws_lc")
    assert {hook.program: hook.offset for hook in plan.hooks if not hook.at_return} == expected


@pytest.mark.parametrize(("package", "pattern"), WHEELS)
def test_open_gather_is_not_hooked_where_open_calls_it(package: str, pattern: str) -> None:
    with ElfFile(str(extension(package, pattern))) as elf:
        plan = aws_lc.find(elf)
    assert plan is not None
    assert "aead_open_gather_enter" not in {hook.program for hook in plan.hooks}
    returns = [hook for hook in plan.hooks if hook.at_return]
    assert [hook.program for hook in returns] == ["aead_open_return"]
    assert returns[0].offset in {
        hook.offset for hook in plan.hooks if hook.program == "aead_open_enter"
    }


def test_rustls_on_another_provider_is_seen_and_not_hooked(tmp_path: Path) -> None:
    copy = tmp_path / "renamed.so"
    content = extension("hf_xet", "hf_xet*.so").read_bytes()
    copy.write_bytes(content.replace(b"fipsmodule/cipher/aead.c", b"fipsmodule/cipher/AEAD.C"))
    with ElfFile(str(copy)) as elf:
        plan = aws_lc.find(elf)
    assert plan is not None
    assert plan.hooks == ()
    assert "without aws-lc" in plan.detail


def test_functions_that_cannot_be_told_apart_are_not_hooked(tmp_path: Path) -> None:
    copy = tmp_path / "damaged.so"
    content = extension("obstore", "_obstore*.so").read_bytes()
    # mov edx, BAD_DECRYPT becomes mov edx, 0
    copy.write_bytes(content.replace(b"\xba\x65\x00\x00\x00", b"\xba\x00\x00\x00\x00"))
    with ElfFile(str(copy)) as elf:
        plan = aws_lc.find(elf)
    assert plan is not None
    assert plan.hooks == ()
    assert plan.detail == "aws-lc's AEAD functions are not certain: open"


def test_boringssl_with_an_ssl_layer_is_left_to_that_layer() -> None:
    with ElfFile(str(extension("curl_cffi", "_wrapper*.so"))) as elf:
        assert aws_lc.find(elf) is None


def test_other_files_hold_none() -> None:
    with ElfFile("/bin/sh") as elf:
        assert aws_lc.find(elf) is None
