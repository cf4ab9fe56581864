"""The other end of the probe process: start it, steer it, read its frames.

In: nothing but the right to start a privileged process. Out: raw bytes of frames on `socket`.
Closing the socket, or dying, is enough to end the probe process.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from types import TracebackType

from probes import frames
from probes.errors import UnderglassError
from probes.events import ConnectionKey

RECEIVE_BYTES = 1 << 20
_START = "import underglass, sys; from probes.process import main; sys.exit(main())"


class NeedsRoot(UnderglassError):
    """Attaching probes needs privileges that this process lacks."""

    exit_code = 3


def need_root() -> None:
    """Raises NeedsRoot for anyone else."""
    if os.geteuid() != 0:
        raise NeedsRoot(
            "attaching probes needs root",
            hint=f"sudo {os.path.abspath(sys.argv[0])} " + " ".join(sys.argv[1:]),
        )


class ProbeClient:
    """A running probe process. A context manager: leaving it ends the process."""

    def __init__(
        self, *, data_ring_pages: int | None = None, file_ring_pages: int | None = None
    ) -> None:
        """Start it; it reports `ready` or `failed` as a frame. Raises NeedsRoot."""
        need_root()
        ours, theirs = socket.socketpair()
        self.socket = ours
        self._controlling = threading.Lock()
        pages = (data_ring_pages or 0, file_ring_pages or 0)  # 0: as is usual
        arguments = [str(theirs.fileno()), *map(str, pages)]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, *arguments],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is for the agent
            cwd="/",
        )
        theirs.close()

    @property
    def pid(self) -> int:
        """Of the probe process."""
        return self._process.pid

    def control(self, operation: str, **arguments: object) -> None:
        """Ask for something; see `probes.process`. May be called from any thread."""
        with self._controlling:
            self.socket.sendall(frames.control(operation, **arguments))

    def ignore(self, connection: ConnectionKey) -> None:
        """Ask the kernel to stop copying a connection; not heard when the probe is busy or gone."""
        try:
            with self._controlling:
                self.socket.send(
                    frames.control("ignore", connection=list(connection)), socket.MSG_DONTWAIT
                )
        except OSError:
            pass  # what still comes is counted as unwanted

    def receive(self) -> bytes:
        """Bytes of frames; empty when the probe process has ended."""
        try:
            return self.socket.recv(RECEIVE_BYTES)
        except ConnectionResetError:
            return b""

    def close(self) -> None:
        """Let the probe process end. Not waited for: the kernel takes most of a second to take
        uprobes out, and nothing depends on it."""
        self.socket.close()
        self._process.poll()

    def __enter__(self) -> ProbeClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
