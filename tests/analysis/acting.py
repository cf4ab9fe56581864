"""Steps of files by a few actors, written in seconds."""

from __future__ import annotations

from itertools import count
from typing import Any

from analysis.actors import Actor
from analysis.steps import FileStep, ProcessStep

S = 1_000_000_000
_numbers = count()


def actor(name: str, *, seconds: float | None = None) -> Actor:
    """An actor with one process of the same name, alive for so long."""
    return Actor(
        actor_id=name,
        session_id=f"session-{name}",
        label=name,
        process_keys=frozenset({name}),
        started_ns=None if seconds is None else 0,
        ended_ns=None if seconds is None else int(seconds * S),
    )


def step(who: str, at: float, operation: str, path: str, **fields: Any) -> FileStep:
    """One row; `until` and `count` make it one of several equal events."""
    until = fields.pop("until", at)
    return FileStep(
        file_event_id=f"f{next(_numbers):06}",
        process_key=who,
        pid=ord(who[0]),
        session_id=None,
        first_ns=round(at * S),
        last_ns=round(until * S),
        count=fields.pop("count", 1),
        operation=operation,
        access=fields.pop("access", None),
        path=path,
        **fields,
    )


def take(who: str, at: float, path: str) -> FileStep:
    """O_CREAT|O_EXCL that succeeds."""
    return step(who, at, "open", path, access="write", creates=True, exclusive=True)


def fail(who: str, at: float, until: float, path: str, tries: int) -> FileStep:
    """O_CREAT|O_EXCL that fails, so many times."""
    return step(
        who, at, "open", path,
        access="write", creates=True, exclusive=True, error="EEXIST", until=until, count=tries,
    )  # fmt: skip


def free(who: str, at: float, path: str) -> FileStep:
    return step(who, at, "unlink", path)


def write(who: str, at: float, path: str, **fields: Any) -> FileStep:
    """open(path, "w")."""
    return step(who, at, "open", path, access="write", creates=True, truncates=True, **fields)


def read(who: str, at: float, path: str, **fields: Any) -> FileStep:
    return step(who, at, "open", path, access="read", **fields)


def process(key: str, argv: str = "", *, ended: float | None = None) -> ProcessStep:
    return ProcessStep(
        process_key=key,
        pid=ord(key[0]),
        ppid=1,
        argv=tuple(argv.split()),
        exe=None,
        uid=0,
        started_ns=0,
        session_id=None,
        ended_ns=None if ended is None else round(ended * S),
    )
