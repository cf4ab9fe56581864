"""A reader of a store whose sessions are all analysed.

In: the path of a store. Out: a `Reader`. A capture analyses its sessions itself; what one left
behind that crashed, or an earlier version wrote, is analysed before it is read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from probes.errors import UnderglassError
from underglass.limits import runaway_limits

if TYPE_CHECKING:
    from analysis.reading import Reader

_STALE = "SELECT count(*) FROM stale_session"
_BAR_FROM = 200  # sessions; fewer take no time


@contextmanager
def analysed_reader(path: Path) -> Iterator[Reader]:
    """Like `open_reader`; when the store cannot be written, what is not analysed is told."""
    from analysis.reading import open_reader

    with open_reader(path) as reader:
        ((stale,),) = reader.rows(_STALE)
        if not stale or reader.source != "file":
            yield reader
            return
    try:
        analyse_store(path)
    except UnderglassError as error:
        click.echo(f"underglass: {stale} sessions are not analysed: {error}", err=True)
    with open_reader(path) as reader:
        yield reader


def analyse_store(path: Path, *, everything: bool = False) -> int:
    """Analyse what is stale, or everything; how many families of sessions that were.

    Raises what `Store.open` and `Store.write` raise.
    """
    from analysis.analyst import Analyst
    from collector.store import Store

    with Store.open(path) as store:
        analyst = Analyst(store, limits=runaway_limits())
        if everything:
            store.mark_all_stale()
        with _bar(len(store.stale_sessions())) as progress:
            return analyst.analyse_stale(progress)


@contextmanager
def _bar(sessions: int) -> Iterator[Callable[[int, int], None] | None]:
    if sessions < _BAR_FROM or not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=sessions, label="analysing", file=sys.stderr) as bar:
        yield lambda done, _total: bar.update(done - bar.pos)
