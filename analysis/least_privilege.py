"""The least privilege that would have sufficed for a session.

In: its `FootprintRow`s. Out: a `Profile`: what may be read and written, run and reached.
`analysis.profile_formats` writes it for tools that enforce such things. What was denied and what
failed is no part of it.

Paths are taken together by one rule: a directory stands for its files (`directory/**`) when the
session used more than `FILES_OF_A_DIRECTORY` of them, and for those above it likewise; never a
directory as broad as `/`, `/etc`, `/home` or a home. Sensitive files are always named one by one.
Directories of the system stand whole among what may be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis.derived import FootprintRow
from analysis.footprint import EVERYTHING_BELOW

FILES_OF_A_DIRECTORY = 2
_BROAD = re.compile(r"|/(?:etc|home|root|srv|opt|var|mnt|media|Users|home/[^/]+|Users/[^/]+)")
_SYSTEM = re.compile(r"/(?:usr|bin|sbin|lib(?:32|64)?|proc|sys|dev)(?=/|$)")


@dataclass(frozen=True, slots=True)
class Profile:
    """What sufficed. Paths are absolute; `directory/**` is everything below a directory.

    `sensitive`: what of `read` and `write` is sensitive, with the reason. `hosts` are
    `host:port`.
    """

    read: tuple[str, ...]
    write: tuple[str, ...]
    programs: tuple[str, ...]
    hosts: tuple[str, ...]
    sockets: tuple[str, ...] = ()
    sensitive: tuple[tuple[str, str], ...] = ()


def profile(rows: Sequence[FootprintRow]) -> Profile:
    """The profile of one session, or of several together."""
    used = [row for row in rows if row.count > 0]
    sensitive = {row.name: row.sensitive for row in used if row.sensitive is not None}
    write = collapsed((row.name for row in used if row.kind in ("written", "deleted")), sensitive)
    read = collapsed((row.name for row in used if row.kind == "read"), sensitive, system=True)
    return Profile(
        read=read,
        write=write,
        programs=_names(used, "program"),
        hosts=_names(used, "host"),
        sockets=_names(used, "local_socket"),
        sensitive=tuple(sorted(sensitive.items())),
    )


def collapsed(
    paths: Iterable[str], alone: Iterable[str] = (), *, system: bool = False
) -> tuple[str, ...]:
    """The paths with directories in place of their files, see the rule above; `alone` stay as
    they are. `system`: directories of the system stand whole."""
    used = set(paths)
    kept = used.intersection(alone)
    left: set[str] = set()
    for path in used - kept:
        found = _SYSTEM.match(path) if system else None
        left.add(found.group() + EVERYTHING_BELOW if found else path)
    deepest = max((_place(path).count("/") for path in left), default=0)
    for depth in range(deepest, 1, -1):
        groups: dict[str, set[str]] = {}
        for path in left:
            if _place(path).count("/") == depth:
                groups.setdefault(_place(path).rpartition("/")[0], set()).add(path)
        for directory, members in groups.items():
            if len(members) > FILES_OF_A_DIRECTORY and not _BROAD.fullmatch(directory):
                left -= members
                left.add(directory + EVERYTHING_BELOW)
    return tuple(sorted(kept | {path for path in left if not _is_covered(path, left)}))


def _place(path: str) -> str:
    """The path itself, or the directory that `directory/**` is."""
    return path.removesuffix(EVERYTHING_BELOW)


def _is_covered(path: str, by: set[str]) -> bool:
    above = _place(path)
    if path == above and path + EVERYTHING_BELOW in by:
        return True
    while above := above.rpartition("/")[0]:
        if above + EVERYTHING_BELOW in by:
            return True
    return False


def _names(rows: Iterable[FootprintRow], kind: str) -> tuple[str, ...]:
    return tuple(sorted({row.name for row in rows if row.kind == kind}))
