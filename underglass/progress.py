"""Bars for work that takes long, on standard error and on a terminal alone.

In: how much there is to do. Out: a function that is told how much of it is done. All bars are made
here, so that they look alike.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

Done = Callable[[int], None]

BYTES_FROM = 1 << 20
"""Files smaller than this are read in no time."""
SESSIONS_FROM = 200
"""Fewer sessions are analysed or sent in no time."""


@contextmanager
def progress_bar(label: str, total: int, *, least: int = 1) -> Iterator[Done | None]:
    """A bar that is filled when `total` is told; None off a terminal, or for less than `least`."""
    if total < least or not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=total, label=label, file=sys.stderr) as bar:
        yield lambda done: bar.update(min(done, total) - bar.pos)
