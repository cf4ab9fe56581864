"""The bpf(2) and perf_event_open(2) system calls, as far as probes need them.

In: plain numbers and bytes. Out: descriptors; closing one takes away what it stands for. Layouts:
union bpf_attr of include/uapi/linux/bpf.h and struct perf_event_attr of perf_event.h.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Sequence
from pathlib import Path

_NR_BPF = 321  # x86-64
_NR_PERF_EVENT_OPEN = 298
_MAP_CREATE, _MAP_LOOKUP, _MAP_UPDATE, _MAP_DELETE, _MAP_NEXT_KEY, _PROG_LOAD = range(6)
_OBJECT_INFO = 15
_RAW_TRACEPOINT_OPEN = 17
_LINK_CREATE = 28
_UPROBE_MULTI = 48  # enum bpf_attach_type
_UPROBE_MULTI_RETURN = 1
_OLD_KERNEL = frozenset((errno.EINVAL, errno.E2BIG, errno.EOPNOTSUPP))
_INFO_BYTES = 64
_PERF_TYPE_TRACEPOINT = 2
_PERF_FLAG_CLOEXEC = 8
_IOC_ENABLE = 0x2400
_IOC_SET_BPF = 0x40042408
_ATTR_BYTES = 128
_UPROBE_TYPE = Path("/sys/bus/event_source/devices/uprobe/type")
_TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
LOG_BYTES = 1 << 20

PROGRAM_KPROBE, PROGRAM_TRACEPOINT, PROGRAM_RAW_TRACEPOINT = 2, 5, 17

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def _bpf(command: int, attr: ctypes.Array[ctypes.c_char]) -> int:
    result = int(_syscall(_NR_BPF, command, attr, len(attr)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _attr(layout: str, *values: int | bytes) -> ctypes.Array[ctypes.c_char]:
    packed = struct.pack(layout, *values)
    return ctypes.create_string_buffer(packed, max(_ATTR_BYTES, len(packed)))


def map_create(
    kind: int, key_size: int, value_size: int, entries: int, flags: int, name: str
) -> int:
    """A new map. Raises OSError."""
    attr = _attr("<IIIIIII16s", kind, key_size, value_size, entries, flags, 0, 0, _name(name))
    return _bpf(_MAP_CREATE, attr)


def _name(text: str) -> bytes:
    return text.encode()[:15]


def _element(command: int, descriptor: int, key: object, value: object, flags: int = 0) -> None:
    attr = _attr("<I4xQQQ", descriptor, _address(key), _address(value), flags)
    _bpf(command, attr)


def _address(buffer: object) -> int:
    return 0 if buffer is None else ctypes.addressof(buffer)  # type: ignore[arg-type]


def map_lookup(descriptor: int, key: object, value: object) -> None:
    """Read an element into `value`. Raises OSError (ENOENT)."""
    _element(_MAP_LOOKUP, descriptor, key, value)


def map_update(descriptor: int, key: object, value: object) -> None:
    """Write an element. Raises OSError."""
    _element(_MAP_UPDATE, descriptor, key, value)


def map_delete(descriptor: int, key: object) -> None:
    """Remove an element. Raises OSError (ENOENT)."""
    _element(_MAP_DELETE, descriptor, key, None)


def map_next_key(descriptor: int, key: object, following: object) -> None:
    """Read the key after `key` (None: the first). Raises OSError (ENOENT at the end)."""
    _element(_MAP_NEXT_KEY, descriptor, key, following)


def map_info(descriptor: int) -> tuple[int, int, int, int, int]:
    """(type, key size, value size, entries, flags) of a map. Raises OSError."""
    info = ctypes.create_string_buffer(_INFO_BYTES)
    _bpf(_OBJECT_INFO, _attr("<IIQ", descriptor, _INFO_BYTES, ctypes.addressof(info)))
    kind, _, key_size, value_size, entries, flags = struct.unpack_from("<6I", info)
    return kind, key_size, value_size, entries, flags


def program_load(kind: int, instructions: bytes, name: str) -> int:
    """Load a program. Raises OSError whose text ends with the verifier's log."""
    code = ctypes.create_string_buffer(instructions, len(instructions))
    licence = ctypes.create_string_buffer(b"GPL")
    layout = "<IIQQIIQII16sII"
    count = len(instructions) // 8

    def load(log_level: int, log: ctypes.Array[ctypes.c_char] | None) -> int:
        attr = _attr(
            layout,
            kind,
            count,
            ctypes.addressof(code),
            ctypes.addressof(licence),
            log_level,
            0 if log is None else len(log),
            _address(log),
            0,
            0,
            _name(name),
            0,
            _UPROBE_MULTI if kind == PROGRAM_KPROBE else 0,
        )
        return _bpf(_PROG_LOAD, attr)

    try:
        return load(0, None)
    except OSError as error:
        log = ctypes.create_string_buffer(LOG_BYTES)
        try:
            return load(1, log)
        except OSError:
            said = log.value.decode("utf-8", "replace")[-4000:]
            raise OSError(error.errno, f"{os.strerror(error.errno or 0)}\n{said}") from error


def raw_tracepoint_open(name: str, program: int) -> int:
    """Attach a program to a raw tracepoint. Raises OSError."""
    text = ctypes.create_string_buffer(name.encode())
    return _bpf(_RAW_TRACEPOINT_OPEN, _attr("<QI", ctypes.addressof(text), program))


def _perf_event(attr: bytes, pid: int, cpu: int, program: int) -> int:
    buffer = ctypes.create_string_buffer(attr, len(attr))
    event = int(_syscall(_NR_PERF_EVENT_OPEN, buffer, pid, cpu, -1, _PERF_FLAG_CLOEXEC))
    if event < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    try:
        fcntl.ioctl(event, _IOC_SET_BPF, program)
        fcntl.ioctl(event, _IOC_ENABLE, 0)
    except OSError:
        os.close(event)
        raise
    return event


def uprobes_open(
    path: str, offsets: Sequence[int], program: int, *, at_return: bool
) -> dict[int, int]:
    """Attach a program to offsets of a file, for every process: descriptors, each with the number
    of its probes. Raises OSError.

    By one link where the kernel has them (6.6): a perf event's end takes a tenth of a second,
    during which no other tracer of the machine can attach.
    """
    text = ctypes.create_string_buffer(os.fsencode(path))
    places = (ctypes.c_uint64 * len(offsets))(*offsets)
    link = _attr(
        "<IIIIQQQQIII",
        *(program, 0, _UPROBE_MULTI, 0, ctypes.addressof(text), ctypes.addressof(places)),
        *(0, 0, len(offsets), _UPROBE_MULTI_RETURN if at_return else 0, 0),
    )
    try:
        return {_bpf(_LINK_CREATE, link): len(offsets)}
    except OSError as error:
        if error.errno not in _OLD_KERNEL:
            raise
    kind = int(_UPROBE_TYPE.read_text())
    opened: dict[int, int] = {}
    try:
        for offset in offsets:
            attr = struct.pack(
                "<IIQQQQQIIQQQ",
                *(kind, _ATTR_BYTES, 1 if at_return else 0, 0, 0, 0, 0, 0, 0),
                *(ctypes.addressof(text), offset, 0),
            )
            opened[_perf_event(attr.ljust(_ATTR_BYTES, b"\0"), -1, 0, program)] = 1
    except OSError:
        for descriptor in opened:
            os.close(descriptor)
        raise
    return opened


def tracepoint_open(category: str, name: str, program: int) -> int:
    """Attach a program to a tracepoint of tracefs. Raises OSError."""
    for base in _TRACEFS:
        path = base / "events" / category / name / "id"
        if path.exists():
            number = int(path.read_text())
            break
    else:
        raise OSError(2, f"tracefs has no {category}/{name}")
    attr = struct.pack("<IIQQ", _PERF_TYPE_TRACEPOINT, _ATTR_BYTES, number, 1)
    return _perf_event(attr.ljust(_ATTR_BYTES, b"\0"), -1, 0, program)
