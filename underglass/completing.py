"""Ids of sessions and calls, as a shell completes them.

In: what is typed so far, and the store that `--db` or the configuration names. Out: ids, the newest
first, with a word on each. A store that does not answer in time completes nothing: nobody waits for
a completion, and errors have no place there.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_MOST_S = 0.5
_SESSIONS = """
SELECT session_id, coalesce(agent, '') FROM session WHERE starts_with(session_id, ?)
ORDER BY started_ns DESC LIMIT 50
"""
_CALLS = """
SELECT call_id, coalesce(model, request_model, '') FROM llm_call
WHERE starts_with(call_id, ?) ORDER BY started_ns DESC LIMIT 50
"""


class StoredId(click.types.StringParamType):
    """A text parameter whose values are ids in the store."""

    def __init__(self, sql: str) -> None:
        self._sql = sql

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Ids that begin so."""
        from click.shell_completion import CompletionItem

        from analysis.cells import one_line

        db = ctx.params.get("db")
        try:
            with _in_time(_MOST_S):
                rows = self._rows(db if isinstance(db, str) else None, incomplete)
        except Exception:  # whatever it is: there is nothing to complete
            return []
        return [
            CompletionItem(key, help=one_line(about)) for key, about in rows if one_line(key) == key
        ]

    def _rows(self, db: str | None, beginning: str) -> Iterable[tuple[str, str]]:
        from collector.ownership import is_owned
        from underglass.service import reading_place

        place = reading_place(db)
        if place.socket is None and not is_owned(place.path)[0]:
            from collector.database import attach, run

            connection = attach(place.path, writing=False)  # without Arrow, which takes longer
            found: list[tuple[str, str]] = run(connection, self._sql, beginning)
            return found
        with place.open() as reader:
            rows = reader.rows(self._sql.replace("?", "$beginning"), {"beginning": beginning})
            return [(key, about) for key, about in rows]


@contextmanager
def _in_time(seconds: float) -> Iterator[None]:
    """Raises TimeoutError where it takes longer. For the main thread."""

    def over(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


SESSION_ID = StoredId(_SESSIONS)
CALL_ID = StoredId(_CALLS)
