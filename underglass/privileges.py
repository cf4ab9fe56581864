"""Giving privileges up: the collector and the watched command run without them.

Under sudo both become the invoking user. Started by root itself there is no other user to
become; the collector then keeps only what writing root's own files and forwarding signals take.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection

from underglass.paths import Invoker

_CAPABILITY_VERSION_3 = 0x20080522
_KEPT = (1 << 1) | (1 << 3) | (1 << 5)  # CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_KILL


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def become(who: Invoker, groups: Collection[int] = ()) -> None:
    """Turn this process into the invoking user's, for good."""
    os.setgroups([*os.getgrouplist(who.name, who.gid), *groups])
    os.setgid(who.gid)
    os.setuid(who.uid)


def drop(who: Invoker, groups: Collection[int] = ()) -> None:
    """Give up what the collector does not need. Call before any thread starts.

    `groups`: to belong to besides those of the user.
    """
    if os.geteuid() != 0:
        return
    if who.under_sudo:
        become(who, groups)
        return
    if groups:
        os.setgroups([*os.getgroups(), *groups])
    _keep(_KEPT)


def drop_all(who: Invoker) -> None:
    """Become the invoking user, in the environment, too; or stay root, with no capability."""
    if os.geteuid() != 0:
        return
    if who.under_sudo:
        become(who)
        os.environ.update(HOME=str(who.home), USER=who.name, LOGNAME=who.name)
        return
    _keep(0)


def _keep(capabilities: int) -> None:
    """Keep of what this process has these alone. Raises OSError."""
    header = _Header(_CAPABILITY_VERSION_3, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    had = (_Data * 2)()
    if libc.capget(ctypes.byref(header), had) == 0:
        kept = capabilities & had[0].permitted
        if libc.capset(ctypes.byref(header), (_Data * 2)(_Data(kept, kept, 0))) == 0:
            return
    raise OSError(ctypes.get_errno(), "capset")
