"""Offsets of kernel struct fields, read from the running kernel's own type information.

In: `/sys/kernel/btf/vmlinux`. Out: -D defines for the BPF programs. Headers of another kernel
would give wrong offsets silently; BTF cannot. Format: kernel Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable
from pathlib import Path

from probes.errors import UnderglassError

VMLINUX = Path("/sys/kernel/btf/vmlinux")

# define -> (struct, dotted member path)
FIELDS: dict[str, tuple[str, str]] = {
    "TASK_PID": ("task_struct", "pid"),
    "TASK_TGID": ("task_struct", "tgid"),
    "TASK_GROUP_LEADER": ("task_struct", "group_leader"),
    "TASK_REAL_PARENT": ("task_struct", "real_parent"),
    "TASK_START_BOOTTIME": ("task_struct", "start_boottime"),
    "TASK_EXIT_CODE": ("task_struct", "exit_code"),
    "TASK_MM": ("task_struct", "mm"),
    "TASK_FS": ("task_struct", "fs"),
    "MM_ARG_START": ("mm_struct", "arg_start"),
    "MM_ARG_END": ("mm_struct", "arg_end"),
    "MM_EXE_FILE": ("mm_struct", "exe_file"),
    "FILE_F_PATH": ("file", "f_path"),
    "FS_PWD": ("fs_struct", "pwd"),
    "PATH_MNT": ("path", "mnt"),
    "PATH_DENTRY": ("path", "dentry"),
    "DENTRY_D_PARENT": ("dentry", "d_parent"),
    "DENTRY_NAME": ("dentry", "d_name.name"),
    "VFSMOUNT_MNT_ROOT": ("vfsmount", "mnt_root"),
    "MOUNT_MNT": ("mount", "mnt"),
    "MOUNT_MNT_PARENT": ("mount", "mnt_parent"),
    "MOUNT_MNT_MOUNTPOINT": ("mount", "mnt_mountpoint"),
}

_STRUCT, _UNION = 4, 5
_TRANSPARENT = frozenset({8, 9, 10, 11, 18})  # typedef, volatile, const, restrict, type_tag
_ENTRY_BYTES = {1: 4, 3: 12, 14: 4, 17: 4}  # int, array, var, decl_tag: trailing bytes
_MEMBER_BYTES = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}  # per vlen entry


class BtfUnavailable(UnderglassError):
    """The kernel's type information is missing or lacks a field that capture needs."""


class Btf:
    """The types of one BTF blob; looks structs up by name."""

    def __init__(self, blob: bytes | mmap.mmap) -> None:
        if len(blob) < 24 or struct.unpack_from("<H", blob)[0] != 0xEB9F:
            raise BtfUnavailable("kernel BTF is not readable", hint="use a kernel with BTF")
        header, types, types_size, strings, _ = struct.unpack_from("<IIIII", blob, 4)
        self._blob = blob
        self._strings = header + strings
        self._offsets: list[int] = [0]  # type id -> offset of its record
        at, end = header + types, header + types + types_size
        unpack, append = struct.Struct("<III").unpack_from, self._offsets.append
        while at < end:
            append(at)
            _, info, _ = unpack(blob, at)
            kind = info >> 24 & 0x1F
            at += 12 + _ENTRY_BYTES.get(kind, 0) + _MEMBER_BYTES.get(kind, 0) * (info & 0xFFFF)
        self._structs: dict[str, int] | None = None

    def _name(self, offset: int) -> str:
        start = self._strings + offset
        return bytes(self._blob[start : self._blob.find(b"\0", start)]).decode()

    def _named(self, names: Iterable[str]) -> dict[str, int]:
        """Records of the structs with these names."""
        wanted = {name.encode() + b"\0" for name in names}
        longest = max(map(len, wanted))
        found = {}
        for at in self._offsets[1:]:
            name_offset, info, _ = struct.unpack_from("<III", self._blob, at)
            if info >> 24 & 0x1F == _STRUCT and info & 0xFFFF and name_offset:
                start = self._strings + name_offset
                head = bytes(self._blob[start : start + longest])
                name = head[: head.find(b"\0") + 1]
                if name in wanted:
                    found[name[:-1].decode()] = at
        return found

    def _member(self, at: int, name: str) -> tuple[int, int] | None:
        """(byte offset, type id) of a member, also inside anonymous structs and unions."""
        _, info, _ = struct.unpack_from("<III", self._blob, at)
        for index in range(info & 0xFFFF):
            name_offset, type_id, bits = struct.unpack_from(
                "<III", self._blob, at + 12 + 12 * index
            )
            if info >> 31:
                bits &= 0xFFFFFF  # kind_flag: upper byte is the bit-field size
            if name_offset:
                if self._name(name_offset) == name:
                    return bits // 8, type_id
                continue
            inner = self._resolve(type_id)
            if struct.unpack_from("<I", self._blob, inner + 4)[0] >> 24 & 0x1F in (_STRUCT, _UNION):
                found = self._member(inner, name)
                if found:
                    return bits // 8 + found[0], found[1]
        return None

    def _resolve(self, type_id: int) -> int:
        while True:
            at = self._offsets[type_id]
            _, info, referred = struct.unpack_from("<III", self._blob, at)
            if info >> 24 & 0x1F not in _TRANSPARENT:
                return at
            type_id = referred

    def offsets(self, fields: dict[str, tuple[str, str]]) -> dict[str, int]:
        """Byte offset of each field. Raises BtfUnavailable for one that the kernel lacks."""
        structs = self._named({struct_name for struct_name, _ in fields.values()})
        result = {}
        for define, (struct_name, path) in fields.items():
            at, offset = structs.get(struct_name), 0
            for name in path.split("."):
                found = self._member(at, name) if at is not None else None
                if found is None:
                    raise BtfUnavailable(
                        f"this kernel's BTF has no {struct_name}.{path}",
                        hint="report the kernel version; capture needs Linux 5.8 or newer",
                    )
                offset += found[0]
                at = self._resolve(found[1])
            result[define] = offset
        return result


def kernel_offsets() -> dict[str, int]:
    """Offsets of `FIELDS` in the running kernel."""
    try:
        blob = VMLINUX.read_bytes()
    except OSError as error:
        raise BtfUnavailable(
            f"cannot read {VMLINUX}: {error.strerror}",
            hint="boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (Debian and Ubuntu kernels are)",
        ) from error
    return Btf(blob).offsets(FIELDS)
