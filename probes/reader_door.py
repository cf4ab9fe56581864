"""Whether readers ring at the collector, heard by a process that has not to wait for the processor.

In: the collector's pid and the descriptor of the socket where readers ring before they ask
(`collector.query_client.knock`). Out: whether somebody did. On a busy machine the collector, which
runs when no agent wants the processor, would see a query only after seconds.
"""

from __future__ import annotations

import ctypes
import os
import socket

_PIDFD_GETFD = 438  # the same on every architecture
_MOST_AT_ONCE = 64


class Door:
    """A listening socket of another process. `close` it, or it goes on listening."""

    def __init__(self, pid: int, descriptor: int) -> None:
        """Raises OSError."""
        pidfd = os.pidfd_open(pid)
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            own = libc.syscall(_PIDFD_GETFD, pidfd, descriptor, 0)
            if own < 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
        finally:
            os.close(pidfd)
        self._socket = socket.socket(fileno=own)
        self._socket.setblocking(False)

    def rung(self) -> bool:
        """Whether somebody rang since the last time."""
        for count in range(_MOST_AT_ONCE):
            try:
                self._socket.accept()[0].close()
            except OSError:  # nobody, or no longer a socket that listens
                return count > 0
        return True

    def close(self) -> None:
        """Forget the socket."""
        self._socket.close()
