"""Lock files: who tried to make them, who made them, who removed them.

In: `FileStep`s. Out: by path what happened there, for `analysis.lock_waits`, and which paths are
locks. A lock file is made by the call that fails when it exists: open(2) with O_CREAT|O_EXCL,
mkdir, link, symlink. Who made it holds it until it is removed or renamed; EEXIST is a failed try.
"""

from __future__ import annotations

import os.path
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from analysis.actors import Actor, Actors
from analysis.steps import FileStep

_LOCK_NAME = re.compile(r"(?:^|[._-])(?:lock(?:file|dir)?|lck|mutex)(?:[._-]|$)", re.IGNORECASE)
_MAX_PATH = 40
_MAKES = {"mkdir": False, "link": True, "symlink": True}  # is the lock the new name?


@dataclass(slots=True)
class Hold:
    """From the making of a lock to its end; None: not seen. Actor None: not one of the actors."""

    start_ns: int
    actor: Actor | None
    step: FileStep
    end_ns: int | None = None
    ended_by: Actor | None = None


@dataclass(slots=True)
class Place:
    """All that happened to one path, in order of time."""

    tries: list[FileStep] = field(default_factory=list)
    taken: list[tuple[int, FileStep]] = field(default_factory=list)
    freed: list[tuple[int, FileStep]] = field(default_factory=list)


def locks(files: Iterable[FileStep]) -> frozenset[str]:
    """Paths that serve as locks: made exclusively, and named so or fought for."""
    return frozenset(
        path
        for path, place in places(files).items()
        if (place.taken or place.tries) and (is_lock_name(path) or (place.tries and place.freed))
    )


def is_lock_name(path: str) -> bool:
    """Is it named as lock files are: index.lock, .lock, lockfile, build.lck?"""
    return _LOCK_NAME.search(os.path.basename(path)) is not None


def short_path(path: str) -> str:
    """The path for a line of text: of a long one its last two names."""
    return path if len(path) <= _MAX_PATH else "…/" + "/".join(path.rsplit("/", 2)[1:])


def places(files: Iterable[FileStep]) -> dict[str, Place]:
    """By path, where something was made exclusively or EEXIST came back."""
    found: defaultdict[str, Place] = defaultdict(Place)
    for step in sorted(files, key=lambda step: (step.first_ns, step.file_event_id)):
        name = _lock_of(step)
        if name is not None and step.error == "EEXIST":
            found[name].tries.append(step)
        elif step.error is None:
            if name is not None:
                found[name].taken += moments(step)
            if step.operation in ("unlink", "rmdir", "rename"):
                found[step.path].freed += moments(step)
            if step.operation == "rename" and step.new_path is not None:
                found[step.new_path].freed += moments(step)
    return {path: place for path, place in found.items() if place.tries or place.taken}


def _lock_of(step: FileStep) -> str | None:
    """The path that the call makes, if it is a call that fails where one is."""
    if step.operation == "open":
        return step.path if step.creates and step.exclusive else None
    if step.operation not in _MAKES:
        return None
    return step.new_path if _MAKES[step.operation] else step.path


def moments(step: FileStep) -> list[tuple[int, FileStep]]:
    """When it happened for certain: the first and the last time."""
    return [(at, step) for at in dict.fromkeys((step.first_ns, step.last_ns))]


def holds_of(place: Place, actors: Actors) -> list[Hold]:
    """Who held the lock from when to when, in order of time, one after the other."""
    holds: list[Hold] = []
    changes = [(at, 1, step) for at, step in place.taken]
    changes += [(at, 0, step) for at, step in place.freed]
    for at, takes, step in sorted(changes, key=lambda change: change[:2]):
        actor = actors.of_file(step)
        if holds and holds[-1].end_ns is None:
            holds[-1].end_ns = at
            holds[-1].ended_by = None if takes else actor
        if takes:
            holds.append(Hold(at, actor, step))
    return holds
