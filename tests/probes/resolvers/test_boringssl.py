from pathlib import Path

import pytest

from probes.elf import ElfFile
from probes.resolvers import boringssl, entries
from tests.probes.resolvers.wheels import extension, stripped, symbols


def places(path: Path) -> dict[str, int]:
    with ElfFile(str(path)) as elf:
        plan = boringssl.find(elf)
        assert plan is not None
        assert plan.stack == "boringssl"
        assert plan.method == "boringssl", plan.detail
        assert all(elf.is_executable(hook.offset) for hook in plan.hooks)
        assert all(
            entries.cheap(elf.data[hook.offset : hook.offset + 16]) == 0 for hook in plan.hooks
        )
        return {hook.program: hook.offset for hook in plan.hooks if hook.program != "call_return"}


def test_a_stripped_copy_gives_the_places_that_symbols_name(tmp_path: Path) -> None:
    original = extension("curl_cffi", "_wrapper*.so")
    named = symbols(original)
    with ElfFile(str(original)) as elf:
        expected = {
            "boringssl_read_enter": elf.file_offset(named["SSL_read"]),
            "boringssl_write_enter": elf.file_offset(named["SSL_write"]),
            "boringssl_new_return": elf.file_offset(named["SSL_new"]),
        }
    assert places(stripped(original, tmp_path)) == expected


def test_each_function_is_hooked_at_entry_and_return() -> None:
    with ElfFile(str(extension("grpc", "cygrpc*.so"))) as elf:
        plan = boringssl.find(elf)
    assert plan is not None
    by_place: dict[int, list[tuple[str, bool]]] = {}
    for hook in plan.hooks:
        by_place.setdefault(hook.offset, []).append((hook.program, hook.at_return))
    assert sorted(by_place.values()) == [
        [("boringssl_new_return", True)],
        [("boringssl_read_enter", False), ("call_return", True)],
        [("boringssl_write_enter", False), ("call_return", True)],
    ]


def test_ssl_peek_at_a_lower_address_is_not_taken_for_ssl_read() -> None:
    """GCC places gRPC's SSL_peek, which reports on the same line, in front of SSL_read."""
    path = extension("grpc", "cygrpc*.so")
    read = places(path)["boringssl_read_enter"]
    with ElfFile(str(path)) as elf:
        body = elf.data[read : read + 0x112]
    # add [rax+0x80], rcx: what was copied is taken off the record.
    assert b"\x48\x01\x88\x80\x00\x00\x00" in body


def test_a_file_whose_error_reports_are_gone_is_seen_and_not_hooked(tmp_path: Path) -> None:
    copy = tmp_path / "damaged.so"
    content = extension("grpc", "cygrpc*.so").read_bytes()
    # mov edx, BAD_LENGTH becomes mov edx, 0
    copy.write_bytes(content.replace(b"\xba\x6f\x00\x00\x00", b"\xba\x00\x00\x00\x00"))
    with ElfFile(str(copy)) as elf:
        plan = boringssl.find(elf)
    assert plan is not None
    assert plan.hooks == ()
    assert plan.method == ""
    assert "SSL_write is not certain" in plan.detail


@pytest.mark.parametrize("path", ["/bin/sh", "/usr/bin/gcc"])
def test_other_files_hold_none(path: str) -> None:
    with ElfFile(path) as elf:
        assert boringssl.find(elf) is None
