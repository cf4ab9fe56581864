from __future__ import annotations

import os
from pathlib import Path

from probes import libraries
from probes.libraries import file_key, shown_path
from tests.probes.test_elf import needs_libssl


@needs_libssl
def test_installed_libraries_are_listed_once() -> None:
    found = libraries.installed()
    assert len({file_key(path) for path in found}) == len(found)
    assert all(os.path.isfile(path) for path in found)


def test_files_are_known_by_inode(tmp_path: Path) -> None:
    path, link = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"x")
    os.link(path, link)
    assert file_key(str(path)) == file_key(str(link)) is not None
    assert file_key(str(tmp_path / "none")) is None


def test_what_this_process_has_mapped() -> None:
    mapped = libraries.mapped_executables(os.getpid())
    assert len(mapped) == len(set(mapped))
    assert any("python" in path or "libc" in path for path in mapped)
    assert all(path.startswith(f"/proc/{os.getpid()}/root/") for path in mapped)
    assert libraries.mapped_executables(1 << 30) == []


def test_paths_are_shown_as_their_process_knows_them() -> None:
    assert shown_path("/proc/12/root/usr/lib/libssl.so.3") == "/usr/lib/libssl.so.3"
    assert shown_path("/usr/lib/libssl.so.3") == "/usr/lib/libssl.so.3"
