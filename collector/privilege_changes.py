"""Changes of what processes may do, with capabilities, namespaces and requests by name.

In: `CredentialsChanged`. Out: `PrivilegeChangeRow`s, one an event. Names are those of
capabilities(7), namespaces(7) and ptrace(2).
"""

from __future__ import annotations

from collector.capture_info import CaptureInfo
from collector.errno_names import error_name
from collector.file_events import event_id
from collector.processes import ProcessTable
from collector.rows import PrivilegeChangeRow
from probes.events import CredentialChange, CredentialsChanged

ALL = ("all",)
_CAPABILITIES = (
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID"),
    *("CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE"),
    *("CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK"),
    *("CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE"),
    *("CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE"),
    *("CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE"),
    *("CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG"),
    *("CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF"),
    "CAP_CHECKPOINT_RESTORE",
)
_LEAST_ALL = 40  # of Linux 5.8; a later kernel's set is longer, without gaps

# include/uapi/linux/sched.h
_CLONE = {
    0x00000080: "time",
    0x00000200: "fs",
    0x00000400: "files",
    0x00020000: "mount",
    0x00040000: "sysvsem",
    0x02000000: "cgroup",
    0x04000000: "uts",
    0x08000000: "ipc",
    0x10000000: "user",
    0x20000000: "pid",
    0x40000000: "network",
}
# include/uapi/linux/ptrace.h; registers as on x86-64 and arm64, where they have one
_PTRACE = {
    0: "PTRACE_TRACEME",
    1: "PTRACE_PEEKTEXT",
    2: "PTRACE_PEEKDATA",
    3: "PTRACE_PEEKUSER",
    4: "PTRACE_POKETEXT",
    5: "PTRACE_POKEDATA",
    6: "PTRACE_POKEUSER",
    7: "PTRACE_CONT",
    8: "PTRACE_KILL",
    9: "PTRACE_SINGLESTEP",
    12: "PTRACE_GETREGS",
    13: "PTRACE_SETREGS",
    14: "PTRACE_GETFPREGS",
    15: "PTRACE_SETFPREGS",
    16: "PTRACE_ATTACH",
    17: "PTRACE_DETACH",
    24: "PTRACE_SYSCALL",
    0x4200: "PTRACE_SETOPTIONS",
    0x4201: "PTRACE_GETEVENTMSG",
    0x4202: "PTRACE_GETSIGINFO",
    0x4203: "PTRACE_SETSIGINFO",
    0x4204: "PTRACE_GETREGSET",
    0x4205: "PTRACE_SETREGSET",
    0x4206: "PTRACE_SEIZE",
    0x4207: "PTRACE_INTERRUPT",
    0x4208: "PTRACE_LISTEN",
    0x4209: "PTRACE_PEEKSIGINFO",
    0x420A: "PTRACE_GETSIGMASK",
    0x420B: "PTRACE_SETSIGMASK",
    0x420C: "PTRACE_SECCOMP_GET_FILTER",
    0x420D: "PTRACE_SECCOMP_GET_METADATA",
    0x420E: "PTRACE_GET_SYSCALL_INFO",
    0x420F: "PTRACE_GET_RSEQ_CONFIGURATION",
    0x4210: "PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG",
    0x4211: "PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG",
    0x4212: "PTRACE_SET_SYSCALL_INFO",
}


class PrivilegeChanges:
    """Rows of privilege changes that are new; `received` events so far."""

    def __init__(self, info: CaptureInfo, processes: ProcessTable) -> None:
        self._info = info
        self._processes = processes
        self._rows: list[PrivilegeChangeRow] = []
        self.received = 0

    def changed(self, event: CredentialsChanged) -> None:
        """A process changed its privileges, or tried to."""
        self.received += 1
        key = self._processes.key_at(event.pid, event.start_ns, event.ktime_ns)
        change = event.change
        self._rows.append(
            PrivilegeChangeRow(
                privilege_change_id=event_id(
                    self._info, key, event.tid, event.ktime_ns, change.name
                ),
                capture_id=self._info.capture_id,
                process_key=key,
                pid=event.pid,
                at_ns=self._info.wall_ns(event.ktime_ns),
                change=change.name.lower(),
                error=error_name(event.result),
                uid=event.uid,
                euid=event.euid,
                capabilities=capability_names(event.capabilities),
                detail=_detail(change, event.argument),
                target_pid=(event.target_pid or None)
                if change is CredentialChange.PTRACE
                else None,
            )
        )

    def take(self) -> list[PrivilegeChangeRow]:
        """Rows that are new."""
        rows, self._rows = self._rows, []
        return rows


def capability_names(bits: int) -> tuple[str, ...]:
    """Capabilities of a set, in the order of their numbers; `("all",)` when it is full."""
    if bits.bit_length() >= _LEAST_ALL and bits & bits + 1 == 0:
        return ALL
    return tuple(
        _CAPABILITIES[bit] if bit < len(_CAPABILITIES) else f"CAP_{bit}"
        for bit in range(bits.bit_length())
        if bits >> bit & 1
    )


def _detail(change: CredentialChange, argument: int) -> str | None:
    """What is unshared or entered, such as `mount user`; None: any namespace. Or a request."""
    if change is CredentialChange.PTRACE:
        return _PTRACE.get(argument, f"request {argument}")
    if change not in (CredentialChange.UNSHARE, CredentialChange.SETNS) or not argument:
        return None
    names = [name for flag, name in _CLONE.items() if argument & flag]
    rest = argument & ~sum(_CLONE)
    return " ".join([*sorted(names), *([hex(rest)] if rest else [])])
