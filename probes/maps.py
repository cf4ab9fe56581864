"""BPF maps as dictionaries.

In: a map's descriptor and the C layouts of its key and value. Out: ctypes values. The layouts are
those of `bpf/*.bpf.c`; a test compares their sizes.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from probes import bpf_syscall

Key = TypeVar("Key", bound="ctypes.Structure | ctypes._SimpleCData[Any]")
Value = TypeVar("Value", bound="ctypes.Structure | ctypes._SimpleCData[Any] | ctypes.Array[Any]")


class ConnectionMapKey(ctypes.Structure):
    """struct connection_key"""

    _fields_ = (
        ("start_ns", ctypes.c_uint64),
        ("handle", ctypes.c_uint64),
        ("tgid", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    )


class Connection(ctypes.Structure):
    """struct connection"""

    _fields_ = (
        ("epoch", ctypes.c_uint64),
        ("position", ctypes.c_uint64 * 2),
        ("socket", ctypes.c_uint64),
        ("fd", ctypes.c_int32),
        ("source", ctypes.c_uint32),
    )


class Endpoint(ctypes.Structure):
    """struct endpoint"""

    _fields_ = (
        ("half", ctypes.c_uint64 * 2),
        ("state", ctypes.c_uint32),
        ("looks", ctypes.c_uint32),
        ("end", ctypes.c_uint32 * 2),
        ("toucher", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    )


class Settled(ctypes.Structure):
    """struct settled"""

    _fields_ = (
        ("inode", ctypes.c_uint64),
        ("sock", ctypes.c_uint64),
        ("family", ctypes.c_uint32),
        ("state", ctypes.c_uint32),
    )


class StackKey(ctypes.Structure):
    """struct stack_key"""

    _fields_ = (("owner", ctypes.c_uint64), ("goroutine", ctypes.c_uint64))


class Traffic(ctypes.Structure):
    """struct traffic"""

    _fields_ = (
        ("start_ns", ctypes.c_uint64),
        ("records", ctypes.c_uint64 * 2),
        ("plaintext", ctypes.c_uint64),
    )


class FileName(ctypes.Structure):
    """struct file_name"""

    _fields_ = (
        ("device", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("changed", ctypes.c_uint64),
    )


class ProcessName(ctypes.Structure):
    """struct process_name"""

    _fields_ = (("text", ctypes.c_char * 16),)


SENSITIVE_NAME_BYTES = 63


class SensitiveName(ctypes.Structure):
    """struct sensitive_name"""

    _fields_ = (("text", ctypes.c_char * 64),)


class ContentKey(ctypes.Structure):
    """struct content_key"""

    _fields_ = (
        ("inode", ctypes.c_uint64),
        ("device", ctypes.c_uint64),
        ("tgid", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    )


class BpfMap(Generic[Key, Value]):
    """One map. Missing keys raise KeyError; what the kernel refuses raises OSError."""

    def __init__(self, descriptor: int, key_type: type[Key], value_type: type[Value]) -> None:
        self.descriptor = descriptor
        self.key_type = key_type
        self.value_type = value_type

    def __getitem__(self, key: Key) -> Value:
        value = self.value_type()
        try:
            bpf_syscall.map_lookup(self.descriptor, key, value)
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise KeyError(key) from error
            raise
        return value

    def __setitem__(self, key: Key, value: Value) -> None:
        bpf_syscall.map_update(self.descriptor, key, value)

    def __contains__(self, key: Key) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True

    def discard(self, key: Key) -> bool:
        """Remove an element that may be gone already; was it there?"""
        try:
            bpf_syscall.map_delete(self.descriptor, key)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            return False
        return True

    def __iter__(self) -> Iterator[Key]:
        """Keys, as they are now; elements may come and go meanwhile."""
        keys: dict[bytes, Key] = {}  # the kernel begins anew where the last key vanished
        key: Key | None = None
        while True:
            following = self.key_type()
            try:
                bpf_syscall.map_next_key(self.descriptor, key, following)
            except OSError as error:
                if error.errno == errno.ENOENT:
                    return iter(list(keys.values()))
                raise
            keys[bytes(following)] = following
            key = following

    def items(self) -> Iterator[tuple[Key, Value]]:
        """Keys and values; elements that vanish meanwhile are left out."""
        for key in self:
            try:
                yield key, self[key]
            except KeyError:
                continue
