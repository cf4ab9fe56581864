"""Tells who started a capture how it goes.

In: the environment that systemd sets (`NOTIFY_SOCKET`, `WATCHDOG_USEC`), or a pipe. Out: the
messages of sd_notify(3): ready, alive, stopping. Without either nobody is told.
"""

from __future__ import annotations

import os
import socket
import time
from typing import Protocol


class Progress(Protocol):
    """Who is told. None of it fails or blocks."""

    def ready(self) -> None:
        """Probes are attached and queries are answered."""

    def alive(self) -> None:
        """Called several times a second while the capture goes on."""

    def stopping(self) -> None:
        """It ends; what was captured is being stored."""


class SystemdProgress:
    """Tells systemd. Takes its variables out of the environment, which children inherit."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        watchdog_us = os.environ.pop("WATCHDOG_USEC", "")
        whose = os.environ.pop("WATCHDOG_PID", str(os.getpid()))
        wanted = watchdog_us.isdigit() and whose == str(os.getpid())
        self._every_s = int(watchdog_us) / 1e6 / 3 if wanted else None
        self._due = 0.0

    def ready(self) -> None:
        """The unit is started."""
        self._send("READY=1")

    def alive(self) -> None:
        """Feed the watchdog, three times in its time."""
        now = time.monotonic()
        if self._every_s is not None and now >= self._due:
            self._due = now + self._every_s
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """From here on `TimeoutStopSec` counts."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if self._address[:1] not in ("/", "@"):
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as to:
                to.sendto(message.encode(), self._address.replace("@", "\0", 1))
        except OSError:
            pass  # systemd finds out by itself


class PipeProgress:
    """Tells a parent, which reads one byte when it is ready."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def ready(self) -> None:
        """The parent may ask."""
        try:
            os.write(self._descriptor, b"r")
        except OSError:
            pass  # it is gone, which the capture notices by itself

    def alive(self) -> None:
        """The parent does not ask."""

    def stopping(self) -> None:
        """The parent said so itself."""
