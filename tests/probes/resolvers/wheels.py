"""Programs to search: extension modules of installed wheels, and what their symbols say."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path


def extension(package: str, pattern: str) -> Path:
    """The one file of an installed package that matches, not imported."""
    spec = importlib.util.find_spec(package)
    assert spec is not None, f"{package} is not installed: pip install -r requirements-dev.lock"
    assert spec.submodule_search_locations is not None
    found = [
        path
        for folder in spec.submodule_search_locations
        for path in sorted(Path(folder).rglob(pattern))
    ]
    assert len(found) == 1, f"{package} holds {len(found)} files like {pattern}"
    return found[0]


def stripped(path: Path, folder: Path) -> Path:
    """A copy without symbols."""
    copy = folder / path.name
    subprocess.run(["strip", "--strip-all", "-o", copy, path], check=True)
    return copy


def symbols(path: Path) -> dict[str, int]:
    """Addresses of the functions that a file's own symbol table names."""
    listed = subprocess.run(["nm", path], check=True, capture_output=True, text=True).stdout
    found = {}
    for line in listed.splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[1] in "tT":
            found[fields[2]] = int(fields[0], 16)
    return found
