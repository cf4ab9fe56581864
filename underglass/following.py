"""Following a store: what happens, whoever owns it and whether it is there yet.

In: where to read, and `analysis.happenings`. Out: happenings as they come, and a word on standard
error when the one who answers has changed. A file that nobody owns is read when it has changed; it
is not kept open, so that a collector may take it over.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.errors import UnderglassError
from underglass.standard_output import nobody_reads

if TYPE_CHECKING:
    from analysis.happenings import Happening, Happenings
    from analysis.reading_place import ReadingPlace

EVERY_S = 0.25
_MOST_REFUSALS = 4  # a collector that ends refuses, too, but not for long


def follow(
    happenings: Happenings,
    place: Callable[[], ReadingPlace],
    say: Callable[[str], None],
    *,
    seconds: float | None = None,
) -> Iterator[Happening]:
    """What happens, without end or for so many seconds. Ends when nobody reads standard output.

    `place` is asked again while there is no store. Raises UnderglassError for what will not pass:
    a bad filter, no permission, a store of another version.
    """
    from collector.store_errors import (
        CollectorDiffers,
        CollectorForbidden,
        QueryFailed,
        StoreMissing,
        StoreTooNew,
        StoreTooOld,
    )

    lasting = (CollectorDiffers, CollectorForbidden, StoreTooNew, StoreTooOld)
    deadline = None if seconds is None else time.monotonic() + seconds
    source = problem = None
    refusals = 0  # of queries, before any was answered
    where = place()
    while not _over(deadline):
        try:
            with where.open() as reader:
                happenings.connected(reader)
                if source not in (None, reader.source) or problem is not None:
                    say(f"now from {where.describe(reader.source)}")
                source, problem = reader.source, None
                if reader.source == "file":
                    before = _stamp(where.path)
                    yield from happenings.read(reader)
                    refusals = -1
                while reader.source != "file" and not _over(deadline):
                    yield from happenings.read(reader)
                    refusals = -1
                    _pause(deadline)
            while source == "file" and not _over(deadline) and _stamp(where.path) == before:
                _pause(deadline)
        except UnderglassError as error:
            if isinstance(error, lasting) or error.exit_code != 1:
                raise
            if isinstance(error, QueryFailed) and refusals >= 0:
                refusals += 1
                if refusals == _MOST_REFUSALS:
                    raise
            if str(error) != problem:
                say(f"{error}; waiting for it")
                problem = str(error)
            _pause(deadline)
            if isinstance(error, StoreMissing):
                where = place()


def _over(deadline: float | None) -> bool:
    if deadline is not None and time.monotonic() >= deadline:
        return True
    return nobody_reads()


def _pause(deadline: float | None) -> None:
    left_s = EVERY_S if deadline is None else deadline - time.monotonic()
    time.sleep(min(EVERY_S, max(left_s, 0.0)))


def _stamp(path: Path) -> Any:
    """What changes when the file is written or owned."""
    from collector.database import wal_path
    from collector.ownership import is_owned

    files = []
    for each in (path, wal_path(path)):
        try:
            found = os.stat(each)
            files.append((found.st_ino, found.st_mtime_ns, found.st_size))
        except OSError:
            files.append((0, 0, 0))
    return files, is_owned(path)[0]
