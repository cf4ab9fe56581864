"""Names of the errors that system calls return.

In: what a call returned, as the kernel's tracepoints tell it. Out: `ENOENT` and the like, to rows.
The numbers are Linux's, wherever a recording is decoded.
"""

from __future__ import annotations

import errno

_LAST_ERRNO = 4095  # MAX_ERRNO of include/linux/err.h
# Two names have one number; and codes that only the kernel sees, which restarts the call.
_OTHERWISE = {
    35: "EDEADLK",
    95: "EOPNOTSUPP",
    512: "ERESTARTSYS",
    513: "ERESTARTNOINTR",
    514: "ERESTARTNOHAND",
    516: "ERESTART_RESTARTBLOCK",
}


def error_name(result: int) -> str | None:
    """The error's name, `E` and the number when it has none; None when the call succeeded."""
    if not -_LAST_ERRNO <= result < 0:
        return None
    return _OTHERWISE.get(-result) or errno.errorcode.get(-result) or f"E{-result}"
