"""A reader of a store whose sessions are all analysed.

In: the place of a store. Out: a `Reader`. A capture analyses its sessions itself; what one left
behind that crashed, or an earlier version wrote, is analysed before it is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from probes.errors import UnderglassError
from underglass.limits import runaway_limits
from underglass.progress import SESSIONS_FROM, progress_bar

if TYPE_CHECKING:
    from analysis.analyst import Analyst
    from analysis.reading import Reader
    from analysis.reading_place import ReadingPlace
    from collector.store import Store

_STALE = "SELECT count(*) FROM stale_session"


@contextmanager
def analysed_reader(place: ReadingPlace) -> Iterator[Reader]:
    """Like `place.open`; when the store cannot be written, what is not analysed is told."""
    with place.open() as reader:
        ((stale,),) = reader.rows(_STALE)
        if not stale or reader.source != "file":
            yield reader
            return
    try:
        analyse_store(place.path)
    except UnderglassError as error:
        click.echo(f"underglass: {stale} sessions are not analysed: {error}", err=True)
    with place.open() as reader:
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
        return analysed_with_bar(store, analyst)


def analysed_with_bar(store: Store, analyst: Analyst) -> int:
    """Analyse what is stale in an open store; how many families of sessions that were."""
    stale = len(store.stale_sessions())
    with progress_bar("analysing", stale, least=SESSIONS_FROM) as done:
        return analyst.analyse_stale(None if done is None else lambda count, _total: done(count))
