"""Giving privileges up: the collector and the watched command run without them.

Under sudo both become the invoking user. Started by root itself there is no other user to
become; the collector then keeps only what writing root's own files and forwarding signals take.
"""

from __future__ import annotations

import ctypes
import os

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


def become(who: Invoker) -> None:
    """Turn this process into the invoking user's, for good."""
    os.initgroups(who.name, who.gid)
    os.setgid(who.gid)
    os.setuid(who.uid)


def drop(who: Invoker) -> None:
    """Give up what the collector does not need. Call before any thread starts."""
    if os.geteuid() != 0:
        return
    if who.under_sudo:
        become(who)
        return
    header = _Header(_CAPABILITY_VERSION_3, 0)
    data = (_Data * 2)(_Data(_KEPT, _KEPT, 0), _Data(0, 0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(ctypes.byref(header), data) != 0:
        raise OSError(ctypes.get_errno(), "capset")
