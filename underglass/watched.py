"""`--watch`: the same output again and again, in the same place of the terminal.

In: what prints it once. Out: frames on the terminal's second screen, until Ctrl-C.
"""

from __future__ import annotations

import io
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout

import click

from probes.errors import UnderglassError

# The second screen, without a cursor, long lines cut; and back.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"
_HEAD_LINES = 2
_LEAST_ROWS = 3
_USAGE = 2  # the exit code of what will not be right the next time either


class _Frame(io.StringIO):
    """Text that will stand on a terminal."""

    def isatty(self) -> bool:
        return True


def room() -> int:
    """Lines of the terminal below the frame's head."""
    return max(shutil.get_terminal_size().lines - _HEAD_LINES - 1, _LEAST_ROWS)


def watch(title: str, every_s: float, draw: Callable[[], None]) -> None:
    """Draw until Ctrl-C, which is raised. A store that cannot be read just now is told there.

    Raises UsageError when standard output is no terminal, and BadFilter.
    """
    if not sys.stdout.isatty():
        raise click.UsageError(
            "--watch draws on a terminal; for scripts: `underglass follow --json` prints what is "
            "new as it comes, and --watch --json the rows again and again"
        )
    screen = sys.stdout
    screen.write(_ENTER)
    try:
        while True:
            screen.write(_framed(title, every_s, draw))
            screen.flush()
            time.sleep(every_s)
    finally:
        screen.write(_LEAVE)
        screen.flush()


def _framed(title: str, every_s: float, draw: Callable[[], None]) -> str:
    frame = _Frame()
    with redirect_stdout(frame), redirect_stderr(frame):
        try:
            draw()
        except UnderglassError as error:
            if error.exit_code == _USAGE:
                raise
            click.secho(f"{error}", fg="red")
            if error.hint:
                click.echo(f"fix: {error.hint}")
    size = shutil.get_terminal_size()
    clock = time.strftime("%H:%M:%S")
    head = f"{title}  every {every_s:g} s  Ctrl-C ends"[: max(size.columns - len(clock) - 2, 0)]
    head = f"{head:<{max(size.columns - len(clock) - 1, 0)}} {clock}"
    lines = frame.getvalue().splitlines()
    left = size.lines - _HEAD_LINES - 1
    if len(lines) > left:
        lines = [*lines[: left - 1], f"… {len(lines) - left + 1} more lines"]
    cleared = [f"{_CLEAR_LINE}{line}" for line in (head, "", *lines)]
    return _HOME + "\n".join(cleared) + f"\n{_CLEAR_REST}"


def watch_lines(every_s: float, print_line: Callable[[], None]) -> None:
    """Print a line again and again, until Ctrl-C or until nobody reads."""
    while True:
        print_line()
        sys.stdout.flush()
        time.sleep(every_s)
