"""Hook plans kept from one run to the next, so that a large executable is searched once.

In: paths of files and the plans found for them, "nothing here" among them. Out: the same plans,
when the same file is met again. One JSON file, by default /var/cache/underglass/hook-plans.json;
UNDERGLASS_CACHE_DIR names another folder.

A plan says where a privileged process puts breakpoints, so nobody else may write it: the folder
and the file must belong to this user and be closed to all others, or the cache stays unused and
`reason` says why. A wrong plan would break the program it is applied to, so a file is known by

- its name, its size, its first page with the program headers (patchelf moves code and keeps the
  build-id), and its GNU build-id, which linkers hash from all contents;
- without a build-id, 64 pages spread evenly in its place: any change of source or compiler shifts
  the addresses in all code behind it, and so changes pages everywhere.

Plans of other resolvers are not believed: the cache carries a hash of their source.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from probes.elf import ElfFile, NotElf
from probes.hooks import FilePlan, Hook, StackPlan
from probes.private_file import Unbelievable, cache_folder, read_private, write_private

FILE_NAME = "hook-plans.json"
MOST_ENTRIES = 20_000
_PAGE = 4096
_SAMPLES = 64
_SOURCES = ("elf.py", "hooks.py", "resolvers")


def default_path() -> Path:
    """Where the cache lies."""
    return cache_folder() / FILE_NAME


def resolvers_version() -> str:
    """A hash over the source and data files that plans follow from."""
    digest = hashlib.blake2b(digest_size=16)
    base = Path(__file__).parent
    for name in _SOURCES:
        found = [base / name] if name.endswith(".py") else sorted((base / name).rglob("*"))
        for path in found:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(base)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def identity(path: str, name: str = "") -> str | None:
    """What a file is known by (see above); None when it cannot be read or is empty.

    `name`: its path as its users know it, where `path` does not tell (a descriptor).
    """
    try:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            first = file.read(_PAGE)
            digest = hashlib.blake2b(first, digest_size=16)
            build_id = _build_id(path) if first[:4] == b"\x7fELF" else None
            if build_id is None:
                for sample in range(1, _SAMPLES):
                    digest.update(os.pread(file.fileno(), _PAGE, size * sample // _SAMPLES))
                digest.update(os.pread(file.fileno(), _PAGE, max(0, size - _PAGE)))
    except OSError:
        return None
    name = os.path.basename(name or path)
    return f"{name}:{size}:{build_id or 'none'}:{digest.hexdigest()}" if first else None


def _build_id(path: str) -> str | None:
    try:
        with ElfFile(path) as elf:
            return elf.build_id() or None
    except NotElf:
        return None


class PlanCache:
    """Plans by identity of the file. `reason` says why nothing was loaded, empty when it was."""

    def __init__(self, path: Path | None = None) -> None:
        """Load what is there; a damaged, foreign or outdated file counts as empty."""
        self._path = path or default_path()
        self._version = resolvers_version()
        self._changed = False
        self._entries: dict[str, Any] = {}
        self.reason = self._load()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, path: str, name: str = "") -> tuple[bool, FilePlan | None]:
        """(True, plan) when the file is known, the plan None for one that is no ELF file."""
        if not self._entries:
            return False, None
        key = identity(path, name)
        if key is None or key not in self._entries:
            return False, None
        entry = self._entries[key]
        if entry is None:
            return True, None
        try:
            return True, _decode(entry, path, os.path.getsize(path))
        except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
            del self._entries[key]
            return False, None

    def programs(self) -> list[str]:
        """Names of the BPF programs that the plans which are kept call for."""
        found: dict[str, None] = {}
        for entry in self._entries.values():
            try:
                for stack in entry["stacks"] if entry else ():
                    found |= {str(name): None for _, name, _ in stack["hooks"]}
            except (KeyError, TypeError, ValueError):
                continue  # a damaged plan, which `get` refuses too
        return list(found)

    def put(self, path: str, plan: FilePlan | None, name: str = "") -> None:
        """Remember the plan of a file; None: it is no ELF file."""
        key = identity(path, name)
        if key is None:
            return
        self._entries.pop(key, None)
        self._entries[key] = None if plan is None else _encode(plan)
        self._changed = True
        while len(self._entries) > MOST_ENTRIES:
            del self._entries[next(iter(self._entries))]

    def save(self) -> None:
        """Write the file if anything was learned; a failure leaves the old one and a `reason`."""
        if not self._changed:
            return
        text = json.dumps({"version": self._version, "plans": self._entries})
        failure = write_private(self._path, text.encode())
        if failure:
            self.reason = failure
        else:
            self._changed = False

    def _load(self) -> str:
        try:
            loaded = json.loads(read_private(self._path))
            version, plans = loaded["version"], loaded["plans"]
        except Unbelievable as error:
            return str(error)
        except (ValueError, KeyError, TypeError, RecursionError):
            return f"{self._path} is damaged"
        if version != self._version:
            return "written by another release"
        if not isinstance(plans, dict):
            return f"{self._path} is damaged"
        self._entries = plans
        return ""


def _encode(plan: FilePlan) -> dict[str, Any]:
    return {"build_id": plan.build_id, "stacks": [_encode_stack(one) for one in plan.stacks]}


def _encode_stack(plan: StackPlan) -> dict[str, Any]:
    return {
        "stack": plan.stack,
        "method": plan.method,
        "detail": plan.detail,
        "hooks": [[hook.offset, hook.program, hook.at_return] for hook in plan.hooks],
        "fallback": None if plan.fallback is None else _encode_stack(plan.fallback),
    }


def _decode(entry: Any, path: str, size: int) -> FilePlan:
    """Raises ValueError, KeyError or TypeError for what this release would not have written."""
    stacks = tuple(_decode_stack(one, size) for one in entry["stacks"])
    build_id = entry["build_id"]
    return FilePlan(path, None if build_id is None else str(build_id), stacks)


def _decode_stack(entry: Any, size: int) -> StackPlan:
    hooks = tuple(
        Hook(int(offset), str(name), back is True) for offset, name, back in entry["hooks"]
    )
    if any(not 0 <= hook.offset < size for hook in hooks):
        raise ValueError("a hook outside the file")
    texts = entry["stack"], entry["method"], entry["detail"]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("not a plan")
    fallback = entry["fallback"]
    return StackPlan(
        texts[0],
        texts[1],
        hooks,
        texts[2],
        None if fallback is None else _decode_stack(fallback, size),
    )
