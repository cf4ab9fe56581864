"""The capture of a `top` that finds no collector: processes of its own, which end with it.

In: a store's path, as root. Out: a collector that watches the whole host, writes that store and
answers queries, with its probe process; both know nothing of the terminal. The collector holds
one end of a pipe, so that it ends in good order however the view ends.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import click

from probes.errors import UnderglassError
from underglass.notifying import PipeProgress
from underglass.paths import invoker
from underglass.serving import Serving

_START = "import sys, underglass; from underglass.own_capture import main; sys.exit(main())"
_READY_TIMEOUT_S = 120.0  # the first time on a kernel the probes are compiled
_END_TIMEOUT_S = 20.0
_TOLD_BYTES = 4096
_SAY_AFTER_S = 0.5


class OwnCapture:
    """A running capture of the whole host but this process. A context manager."""

    def __init__(self, store: Path) -> None:
        """Start it; returns when it answers queries. Raises UnderglassError when it cannot."""
        held, self._lifeline = os.pipe()
        ready, tell = os.pipe()
        self._said = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, str(store), str(held), str(tell)],
            pass_fds=(held, tell),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,
            cwd="/",
        )
        os.close(held)
        os.close(tell)
        try:
            self._wait_ready(ready)
        except BaseException:
            self.close()
            raise
        finally:
            os.close(ready)

    def _wait_ready(self, ready: int) -> None:
        if not select.select([ready], [], [], _SAY_AFTER_S)[0]:
            click.echo("underglass: attaching probes to this host; Ctrl-C stops", err=True)
        if select.select([ready], [], [], _READY_TIMEOUT_S)[0] and os.read(ready, 1):
            return
        self._close_lifeline()
        code = self._end()
        raise UnderglassError(
            f"this host cannot be captured: {self._last_words() or f'exit code {code}'}",
            hint="see `underglass doctor`; `underglass top --no-capture` only reads",
            exit_code=code or 1,
        )

    @property
    def ended(self) -> bool:
        """Whether the collector is gone, on its own account."""
        return self._process.poll() is not None

    def close(self) -> str:
        """End the capture, wait until all is stored, and return what it said last."""
        self._close_lifeline()
        self._end()
        words = self._last_words()
        self._said.close()
        return words

    def __enter__(self) -> OwnCapture:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        words = self.close()
        if words:
            click.echo(words, err=True)

    def _close_lifeline(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def _end(self) -> int | None:
        """The collector's exit code; None when it takes too long, and goes on ending by itself."""
        try:
            return self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return None

    def _last_words(self) -> str:
        if self._said.closed:
            return ""
        size_bytes = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size_bytes - _TOLD_BYTES))
        return self._said.read().decode("utf-8", "replace").strip()


def main(argv: Sequence[str] = sys.argv[1:]) -> int:
    """`STORE LIFELINE_FD READY_FD`: capture the host but the parent, until it lets go."""
    from underglass.watching import Watch, watch

    store, lifeline, ready = Path(argv[0]), int(argv[1]), int(argv[2])
    try:
        summary = watch(
            Watch(
                description="top",
                store=store,
                everything=True,
                but=(os.getppid(),),
                serving=Serving(invoker(), PipeProgress(ready), lifeline=lifeline),
            )
        )
    except UnderglassError as error:
        click.echo(f"{error}; {error.hint or ''}", err=True)
        return error.exit_code
    summary.show(f"stored in {store}; see: underglass report")
    return int(summary.probe_died)
