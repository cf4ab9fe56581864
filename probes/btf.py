"""Offsets of kernel struct fields, read from the running kernel's own type information.

In: `/sys/kernel/btf/vmlinux`. Out: -D defines for the BPF programs. Headers of another kernel
would give wrong offsets silently; BTF cannot. Format: kernel Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from probes.errors import UnderglassError

VMLINUX = Path("/sys/kernel/btf/vmlinux")

# define -> (struct, dotted member path; several, parted by a space, are tried in turn)
FIELDS: dict[str, tuple[str, str]] = {
    "TASK_PID": ("task_struct", "pid"),
    "TASK_TGID": ("task_struct", "tgid"),
    "TASK_GROUP_LEADER": ("task_struct", "group_leader"),
    "TASK_REAL_PARENT": ("task_struct", "real_parent"),
    "TASK_START_BOOTTIME": ("task_struct", "start_boottime"),
    "TASK_EXIT_CODE": ("task_struct", "exit_code"),
    "TASK_SIGNAL": ("task_struct", "signal"),
    "SIGNAL_LIVE": ("signal_struct", "live.counter"),
    "TASK_MM": ("task_struct", "mm"),
    "TASK_FS": ("task_struct", "fs"),
    "TASK_CRED": ("task_struct", "cred"),
    "CRED_UID": ("cred", "uid"),
    "CRED_EUID": ("cred", "euid"),
    "CRED_CAP_EFFECTIVE": ("cred", "cap_effective"),
    "CRED_CAP_AMBIENT": ("cred", "cap_ambient"),
    "CRED_USER_NS": ("cred", "user_ns"),
    "TASK_NSPROXY": ("task_struct", "nsproxy"),
    "NSPROXY_UTS_NS": ("nsproxy", "uts_ns"),
    "NSPROXY_IPC_NS": ("nsproxy", "ipc_ns"),
    "NSPROXY_MNT_NS": ("nsproxy", "mnt_ns"),
    "NSPROXY_PID_NS": ("nsproxy", "pid_ns_for_children"),
    "NSPROXY_NET_NS": ("nsproxy", "net_ns"),
    "NSPROXY_TIME_NS": ("nsproxy", "time_ns_for_children"),
    "NSPROXY_CGROUP_NS": ("nsproxy", "cgroup_ns"),
    "MM_ARG_START": ("mm_struct", "arg_start"),
    "MM_ARG_END": ("mm_struct", "arg_end"),
    "MM_EXE_FILE": ("mm_struct", "exe_file"),
    "TASK_FILES": ("task_struct", "files"),
    "FILES_FDT": ("files_struct", "fdt"),
    "FDTABLE_MAX_FDS": ("fdtable", "max_fds"),
    "FDTABLE_FD": ("fdtable", "fd"),
    "FILE_F_PATH": ("file", "f_path"),
    "FILE_F_INODE": ("file", "f_inode"),
    "FILE_F_POS": ("file", "f_pos"),
    "FILE_PRIVATE_DATA": ("file", "private_data"),
    "INODE_I_INO": ("inode", "i_ino"),
    "INODE_I_MODE": ("inode", "i_mode"),
    "INODE_I_UID": ("inode", "i_uid"),
    "INODE_I_SIZE": ("inode", "i_size"),
    "INODE_I_SB": ("inode", "i_sb"),
    "INODE_CTIME_S": ("inode", "i_ctime_sec __i_ctime.tv_sec i_ctime.tv_sec"),
    "INODE_CTIME_NS": ("inode", "i_ctime_nsec __i_ctime.tv_nsec i_ctime.tv_nsec"),
    "SUPER_BLOCK_S_DEV": ("super_block", "s_dev"),
    "SOCKET_TYPE": ("socket", "type"),
    "SOCKET_SK": ("socket", "sk"),
    "SOCKET_ALLOC_VFS_INODE": ("socket_alloc", "vfs_inode"),
    "SOCK_FAMILY": ("sock", "__sk_common.skc_family"),
    "SOCK_PROTOCOL": ("sock", "sk_protocol"),
    "SOCK_NUM": ("sock", "__sk_common.skc_num"),
    "SOCK_DPORT": ("sock", "__sk_common.skc_dport"),
    "SOCK_RCV_SADDR": ("sock", "__sk_common.skc_rcv_saddr"),
    "SOCK_DADDR": ("sock", "__sk_common.skc_daddr"),
    "SOCK_V6_RCV_SADDR": ("sock", "__sk_common.skc_v6_rcv_saddr"),
    "SOCK_V6_DADDR": ("sock", "__sk_common.skc_v6_daddr"),
    "SOCK_SK_SOCKET": ("sock", "sk_socket"),
    "UNIX_SOCK_PEER": ("unix_sock", "peer"),
    "SOCK_PEER_PID": ("sock", "sk_peer_pid"),
    "PID_NUMBERS": ("pid", "numbers"),
    "UPID_NR": ("upid", "nr"),
    "FS_PWD": ("fs_struct", "pwd"),
    "FS_ROOT": ("fs_struct", "root"),
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
_MOST_QUALIFIERS = 64
# Words of a record by kind: its own, and those of each member, value or parameter.
_FIXED_WORDS = [3] * 32
_MEMBER_WORDS = [0] * 32
for _kind, _words in {1: 1, 3: 3, 14: 1, 17: 1}.items():  # int, array, var, decl_tag
    _FIXED_WORDS[_kind] += _words
for _kind, _words in {4: 3, 5: 3, 6: 2, 13: 2, 15: 3, 19: 3}.items():
    _MEMBER_WORDS[_kind] = _words


class BtfUnavailable(UnderglassError):
    """The kernel's type information is missing or lacks a field that capture needs."""


class Btf:
    """The types of one BTF blob: finds members of the structs that it was asked for."""

    def __init__(self, blob: bytes, structs: Iterable[str]) -> None:
        """Walk the type records once. Raises BtfUnavailable when the blob is not BTF."""
        if len(blob) < 24 or struct.unpack_from("<H", blob)[0] != 0xEB9F:
            raise BtfUnavailable("kernel BTF is not readable", hint="use a kernel with BTF")
        header, types, types_size, strings, strings_size = struct.unpack_from("<IIIII", blob, 4)
        start = header + types
        if start % 4 or types_size % 4 or start + types_size > len(blob):
            raise BtfUnavailable("kernel BTF is damaged", hint="use a kernel with BTF")
        self._strings = blob[header + strings : header + strings + strings_size]
        self._words = words = memoryview(blob)[start : start + types_size].cast("I")
        wanted = {self._strings.find(b"\0" + name.encode() + b"\0") + 1: name for name in structs}
        wanted.pop(0, None)  # a name that occurs nowhere; 0 is the name of the anonymous
        self.structs: dict[str, int] = {}  # name -> word index of its record
        self._records = [0]  # type id -> word index of its record
        append, fixed, per_member = self._records.append, _FIXED_WORDS, _MEMBER_WORDS
        at, end = 0, len(words)
        while at + 2 < end:
            append(at)
            info = words[at + 1]
            kind = info >> 24 & 0x1F
            if kind == _STRUCT and words[at] in wanted and info & 0xFFFF:
                self.structs[wanted[words[at]]] = at
            at += fixed[kind] + per_member[kind] * (info & 0xFFFF)

    def _name(self, offset: int) -> str:
        return self._strings[offset : self._strings.find(b"\0", offset)].decode()

    def _member(self, at: int, name: str) -> tuple[int, int] | None:
        """(byte offset, type id) of a member, also inside anonymous structs and unions."""
        words = self._words
        info = words[at + 1]
        for member in range(at + 3, at + 3 + 3 * (info & 0xFFFF), 3):
            name_offset, type_id, bits = words[member : member + 3]
            if info >> 31:
                bits &= 0xFFFFFF  # kind_flag: the upper byte is the bit-field size
            if name_offset:
                if self._name(name_offset) == name:
                    return bits // 8, type_id
                continue
            inner = self._resolve(type_id)
            if words[inner + 1] >> 24 & 0x1F in (_STRUCT, _UNION):
                found = self._member(inner, name)
                if found:
                    return bits // 8 + found[0], found[1]
        return None

    def _resolve(self, type_id: int) -> int:
        """Word index of a type, seen through typedefs and qualifiers."""
        for _ in range(_MOST_QUALIFIERS):
            at = self._records[type_id]
            if self._words[at + 1] >> 24 & 0x1F not in _TRANSPARENT:
                return at
            type_id = self._words[at + 2]
        raise ValueError("a type that is defined by itself")

    def offsets(self, fields: dict[str, tuple[str, str]]) -> dict[str, int]:
        """Byte offset of each field. Raises BtfUnavailable for one that the kernel lacks."""
        try:
            return {define: self._offset(*field) for define, field in fields.items()}
        except (IndexError, ValueError, RecursionError) as error:
            raise BtfUnavailable("kernel BTF is damaged", hint="use a kernel with BTF") from error

    def _offset(self, struct_name: str, paths: str) -> int:
        *others, last = paths.split()
        for path in others:
            try:
                return self._offset(struct_name, path)
            except BtfUnavailable:
                pass  # another kernel's name for it
        return self._offset_of(struct_name, last)

    def _offset_of(self, struct_name: str, path: str) -> int:
        at, offset = self.structs.get(struct_name), 0
        for name in path.split("."):
            found = self._member(at, name) if at is not None else None
            if found is None:
                raise BtfUnavailable(
                    f"this kernel's BTF has no {struct_name}.{path}",
                    hint="report the kernel version; capture needs Linux 5.8 or newer",
                )
            offset += found[0]
            at = self._resolve(found[1])
        return offset


def kernel_offsets() -> dict[str, int]:
    """Offsets of `FIELDS` in the running kernel."""
    try:
        blob = VMLINUX.read_bytes()
    except OSError as error:
        raise BtfUnavailable(
            f"cannot read {VMLINUX}: {error.strerror}",
            hint="boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (Debian and Ubuntu kernels are)",
        ) from error
    return Btf(blob, {name for name, _ in FIELDS.values()}).offsets(FIELDS)
