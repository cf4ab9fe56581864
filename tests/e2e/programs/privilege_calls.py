"""Changes its privileges with every call that can, with success and failure.

Prints a JSON list of what each call was given and returned, and what the process may do after it.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
from collections.abc import Callable

libc = ctypes.CDLL(None, use_errno=True)
told: list[dict[str, object]] = []

SETUID, SETGID, SETREUID, SETREGID, SETRESUID, SETRESGID, CAPSET = 105, 106, 113, 114, 117, 119, 126
CLONE, UNSHARE, SETNS, PTRACE = 56, 272, 308, 101
NEW_UTS = 0x04000000
TRACEME, ATTACH, DETACH, SEIZE = 0, 16, 17, 0x4206
NOBODY = 65534


def call(change: str, number: int, *arguments: object, argument: int = 0, target: int = 0) -> None:
    result = libc.syscall(number, *arguments)
    if result < 0:
        result = -ctypes.get_errno()
    told.append(
        possessions()
        | {"change": change, "result": result, "argument": argument, "target_pid": target}
    )


def possessions() -> dict[str, object]:
    """What this thread may do."""
    with open("/proc/thread-self/status") as status:
        said = status.read()
    real, effective = re.findall(r"Uid:\t(\d+)\t(\d+)", said)[0]
    capable = int(re.findall(r"CapEff:\t(\w+)", said)[0], 16)
    return {"uid": int(real), "euid": int(effective), "capabilities": capable}


def in_child(work: Callable[[], None]) -> None:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        told.clear()
        work()
        os.write(write, json.dumps(told).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    told.extend(json.loads(os.read(read, 65536)))


def users() -> None:
    call("SETGID", SETGID, NOBODY)
    call("SETGID", SETREGID, NOBODY, NOBODY)
    call("SETGID", SETRESGID, NOBODY, NOBODY, NOBODY)
    call("SETUID", SETREUID, 0, 0)
    call("SETUID", SETRESUID, -1, NOBODY, -1)
    call("SETUID", SETUID, NOBODY)
    call("SETUID", SETRESUID, NOBODY, NOBODY, NOBODY)
    call("SETUID", SETUID, 0)
    call("SETGID", SETGID, 0)
    call("UNSHARE", UNSHARE, NEW_UTS, argument=NEW_UTS)


def capabilities() -> None:
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    few = 1 << 10 | 1 << 21
    call("CAPSET", CAPSET, header, (ctypes.c_uint32 * 6)(few, few, 0, 0, 0, 0))
    call("CAPSET", CAPSET, header, (ctypes.c_uint32 * 6)(few | 1, few | 1, 0, 0, 0, 0))


def namespaces() -> None:
    own = os.open("/proc/self/ns/uts", os.O_RDONLY)
    call("UNSHARE", UNSHARE, NEW_UTS, argument=NEW_UTS)
    call("SETNS", SETNS, own, NEW_UTS, argument=NEW_UTS)
    call("SETNS", SETNS, 999, NEW_UTS, argument=NEW_UTS)


def born_apart() -> None:
    """A child that begins in a namespace of its own; nothing is told of the parent's call."""
    child = libc.syscall(CLONE, NEW_UTS | signal.SIGCHLD, 0, 0, 0, 0)
    if child:
        os.waitpid(child, 0)
        return
    told.clear()
    told.append(possessions() | {"change": "UNSHARE", "result": 0})
    told[0] |= {"argument": NEW_UTS, "target_pid": 0}
    os.write(results, json.dumps(told).encode())
    os._exit(0)


def tracing() -> None:
    call("PTRACE", PTRACE, TRACEME, 0, 0, 0)


in_child(users)
in_child(capabilities)
in_child(namespaces)
in_child(tracing)
received, results = os.pipe()
born_apart()
told += json.loads(os.read(received, 65536))
victim = os.fork()
if not victim:
    signal.pause()
call("PTRACE", PTRACE, SEIZE, victim, 0, 0, argument=SEIZE, target=victim)
libc.syscall(PTRACE, DETACH, victim, 0, 0)  # what a tracer does is not told
call("PTRACE", PTRACE, ATTACH, 2**22, 0, 0, argument=ATTACH, target=2**22)
os.kill(victim, signal.SIGKILL)
os.waitpid(victim, 0)
print(json.dumps(told))
