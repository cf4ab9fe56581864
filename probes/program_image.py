"""Compiled BPF programs, kept from one run to the next: compiling takes longer than all else.

In: what the compiler made. Out: the same, when text, settings, kernel and BCC are the same. One
file, /var/cache/underglass/programs.json by default; like the plan cache it counts only when it
is ours and closed to all others. The kernel's verifier checks what comes from it like anything.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from probes.private_file import Unbelievable, read_private, write_private

FILE_NAME = "programs.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class MapShape:
    """A map as bpf(2) wants it."""

    name: str
    kind: int
    key_size: int
    value_size: int
    entries: int
    flags: int


@dataclass(frozen=True, slots=True)
class ProgramImage:
    """Maps, machine code of the BPF virtual machine by function, and where it names maps."""

    maps: tuple[MapShape, ...]
    programs: dict[str, bytes]
    references: dict[str, tuple[tuple[int, str], ...]]


def image_key(text: str, defines: dict[str, int]) -> str:
    """What an image depends on."""
    parts = [_FORMAT, os.uname().release, _compiler(), sorted(defines.items()), text]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def _compiler() -> str:
    """BCC as installed, without loading it."""
    found = []
    for library in sorted(Path("/usr/lib").glob("*/libbcc.so.0")):
        status = library.stat()
        found.append(f"{library}:{status.st_size}:{status.st_mtime_ns}")
    return " ".join(found)


def load_image(path: Path, key: str) -> ProgramImage | None:
    """The kept image, or None when there is none for this key."""
    try:
        loaded = json.loads(read_private(path))
        if loaded["key"] != key:
            return None
        return ProgramImage(
            tuple(MapShape(*shape) for shape in loaded["maps"]),
            {name: base64.b64decode(code) for name, code in loaded["programs"].items()},
            {
                name: tuple((int(index), str(to)) for index, to in places)
                for name, places in loaded["references"].items()
            },
        )
    except (Unbelievable, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def save_image(path: Path, key: str, image: ProgramImage) -> None:
    """Keep an image; without room or right for it, the next run compiles again."""
    content = json.dumps(
        {
            "key": key,
            "maps": [
                [one.name, one.kind, one.key_size, one.value_size, one.entries, one.flags]
                for one in image.maps
            ],
            "programs": {
                name: base64.b64encode(code).decode() for name, code in image.programs.items()
            },
            "references": image.references,
        }
    )
    write_private(path, content.encode())
