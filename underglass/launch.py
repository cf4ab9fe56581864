"""The watched command: started, held until the probes are attached, then let go.

Between fork and exec the child waits on a pipe, so the probes see its first byte. It inherits
standard input, output, error and the terminal untouched, and its process group, so that job
control and Ctrl-C work as if underglass were not there.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from underglass import privileges
from underglass.paths import Invoker

_NOT_FOUND = 127
_NOT_EXECUTABLE = 126
_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_TERMINAL = (signal.SIGINT, signal.SIGQUIT)  # the terminal sends these to the child itself


class HeldCommand:
    """A child process that has not yet executed its program."""

    def __init__(self, command: Sequence[str], who: Invoker) -> None:
        self.command = tuple(command)
        self.exit_code: int | None = None
        self._released = False
        hold, self._release = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._child(hold, who)
        os.close(hold)
        for number in _TERMINAL:
            signal.signal(number, signal.SIG_IGN)
        for number in _FORWARDED:
            signal.signal(number, self._forward)

    def _child(self, hold: int, who: Invoker) -> NoReturn:
        code = _NOT_EXECUTABLE
        try:
            os.close(self._release)
            if not os.read(hold, 1):
                os._exit(0)  # given up before it began
            environment = dict(os.environ)
            if who.under_sudo:
                privileges.become(who)
                environment |= {"HOME": str(who.home), "USER": who.name, "LOGNAME": who.name}
            os.execvpe(self.command[0], self.command, environment)
        except OSError as error:
            if error.errno == errno.ENOENT:
                code = _NOT_FOUND
            sys.stderr.write(f"underglass: {self.command[0]}: {error.strerror}\n")
            sys.stderr.flush()
        finally:
            os._exit(code)

    def _forward(self, number: int, _frame: object) -> None:
        if self.exit_code is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def release(self) -> None:
        """Let it execute its program."""
        self._released = True
        os.write(self._release, b"g")
        os.close(self._release)

    def give_up(self) -> None:
        """End it before it began."""
        if not self._released:
            os.close(self._release)
            os.waitpid(self.pid, 0)

    def poll(self) -> int | None:
        """The exit code once it has ended, as a shell reports it: 128 + signal when killed."""
        if self.exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                self.exit_code = code if code >= 0 else 128 - code
        return self.exit_code
