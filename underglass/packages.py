"""Executables that the script of an npm package may start: looked into before it does.

In: the path of a script. Out: paths of ELF files. Agents on npm are often a small Node script
that starts an executable of its own package, or of the platform's package, an optional
dependency. A file of that size is not searched between its start and its first call, so it has
to be known before. Nothing is read of the script itself: what is large is taken, within bounds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

LARGE_BYTES = 8 << 20  # smaller files are searched at once, when they are started
MOST_PROGRAMS = 4
MOST_ENTRIES = 4000  # directory entries that are looked at
_MODULES = "node_modules"
_ELF = b"\x7fELF"
_MACHINE = slice(18, 20)  # in an ELF header


def packaged_programs(script: str) -> list[str]:
    """Large executables of the npm package that a script belongs to, the largest first."""
    package = _package_of(Path(os.path.realpath(script)))
    if package is None:
        return []
    found: dict[tuple[int, int], tuple[int, str]] = {}  # by device and inode: links count once
    left = MOST_ENTRIES
    for folder in (package, *_platform_packages(package)):
        for entry in _files(folder):
            left -= 1
            if left < 0:
                break
            if _is_program(entry):
                status = entry.stat(follow_symlinks=False)
                found[status.st_dev, status.st_ino] = -status.st_size, entry.path
    return [path for _, path in sorted(found.values())[:MOST_PROGRAMS]]


def _package_of(script: Path) -> Path | None:
    for folder in script.parents:
        above = folder.parent.parent if folder.parent.name.startswith("@") else folder.parent
        if above.name == _MODULES and (folder / "package.json").is_file():
            return folder
    return None


def _platform_packages(package: Path) -> Iterator[Path]:
    """Its optional dependencies that are there, found as Node finds them."""
    try:
        described = json.loads((package / "package.json").read_bytes())
        names = [str(name) for name in described.get("optionalDependencies", {})]
    except (OSError, ValueError, AttributeError, TypeError):
        return
    places = [folder for folder in (package, *package.parents) if folder.name != _MODULES]
    for name in names:
        if ".." in name or name.startswith("/"):
            continue
        for place in places:
            folder = place / _MODULES / name
            if folder.is_dir():
                yield folder.resolve()
                break


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Entries below a package, without packages below it."""
    waiting = [str(folder)]
    while waiting:
        try:
            entries = sorted(os.scandir(waiting.pop()), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and entry.name != _MODULES:
                waiting.append(entry.path)
            yield entry


def _is_program(entry: os.DirEntry[str]) -> bool:
    """Is it a large ELF file for this machine?"""
    try:
        if not entry.is_file(follow_symlinks=False):
            return False
        if entry.stat(follow_symlinks=False).st_size < LARGE_BYTES:
            return False
        header, own = _header(entry.path), _header("/proc/self/exe")
    except OSError:
        return False
    return header.startswith(_ELF) and header[_MACHINE] == own[_MACHINE]


def _header(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(_MACHINE.stop)
