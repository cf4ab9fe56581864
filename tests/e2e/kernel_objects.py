"""What the kernel holds for BPF, by bpf(2): programs, maps and their entries, breakpoints.

In: pids and ids. Out: sets to compare before and after; nothing here needs bpftool.
"""

from __future__ import annotations

import ctypes
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

_SYS_BPF = 321  # x86-64
_MAP_GET_NEXT_KEY, _PROG_GET_NEXT_ID = 4, 11
_MAP_GET_FD_BY_ID, _OBJ_GET_INFO_BY_FD = 14, 15
_ATTRIBUTES_BYTES = 128
_HASH_TYPES = (1, 9)  # BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH

_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, attributes: bytes) -> tuple[int, bytes]:
    """(result, attributes as the kernel left them). Raises OSError."""
    buffer = ctypes.create_string_buffer(attributes, _ATTRIBUTES_BYTES)
    result = _libc.syscall(_SYS_BPF, command, buffer, _ATTRIBUTES_BYTES)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result, buffer.raw


def program_ids() -> set[int]:
    """Every program that is loaded on this machine."""
    found, last = set[int](), 0
    while True:
        try:
            _, answer = _bpf(_PROG_GET_NEXT_ID, last.to_bytes(4, "little"))
        except FileNotFoundError:
            return found
        last = int.from_bytes(answer[4:8], "little")
        found.add(last)


def _lines(pid: int) -> Iterator[dict[str, str]]:
    for descriptor in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            text = Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text()
        except FileNotFoundError:
            continue
        yield dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def programs_of(pid: int) -> set[int]:
    """Ids of the programs that a process holds by descriptor."""
    return {int(line["prog_id"]) for line in _lines(pid) if "prog_id" in line}


def kinds_of_descriptors(pid: int) -> Counter[str]:
    """How many descriptors of each kind a process has: socket, pipe, anon_inode:bpf-map, ..."""
    kinds: Counter[str] = Counter()
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
        except FileNotFoundError:
            continue
        kinds[target.split(":[")[0]] += 1
    return kinds


def entries_of(pid: int) -> dict[str, int]:
    """Entries of each hash map that a process holds, by the map's name (15 characters)."""
    sizes = {}
    for line in _lines(pid):
        if int(line.get("map_type", -1)) in _HASH_TYPES:
            name, entries = _map(int(line["map_id"]), int(line["key_size"]))
            sizes[name] = entries
    return sizes


def _map(number: int, key_size: int) -> tuple[str, int]:
    descriptor, _ = _bpf(_MAP_GET_FD_BY_ID, number.to_bytes(4, "little"))
    try:
        info = ctypes.create_string_buffer(80)
        request = descriptor.to_bytes(4, "little") + (80).to_bytes(4, "little")
        _bpf(_OBJ_GET_INFO_BY_FD, request + ctypes.addressof(info).to_bytes(8, "little"))
        name = info.raw[24:40].split(b"\0")[0].decode()
        return name, sum(1 for _ in _keys(descriptor, key_size))
    finally:
        os.close(descriptor)


def _keys(descriptor: int, key_size: int) -> Iterator[bytes]:
    key, following = None, ctypes.create_string_buffer(key_size)
    head = descriptor.to_bytes(8, "little")
    while True:
        address = ctypes.addressof(key) if key is not None else 0
        pointers = address.to_bytes(8, "little") + ctypes.addressof(following).to_bytes(8, "little")
        try:
            _bpf(_MAP_GET_NEXT_KEY, head + pointers)
        except FileNotFoundError:
            return
        yield following.raw
        key = ctypes.create_string_buffer(following.raw, key_size)


def changed_code(pid: int, library: Path) -> int:
    """Bytes of a library's code that differ, in a process's memory, from the file: breakpoints."""
    content, changed = library.read_bytes(), 0
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) < 6 or "x" not in fields[1] or fields[5] != str(library):
            continue
        begin, end = (int(part, 16) for part in fields[0].split("-"))
        offset = int(fields[2], 16)
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(begin)
            code = memory.read(min(end - begin, len(content) - offset))
        expected = content[offset : offset + len(code)]
        if code != expected:
            changed += sum(a != b for a, b in zip(code, expected, strict=True))
    return changed
