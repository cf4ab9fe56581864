"""Where programs keep their own state, apart from what they work on.

In: paths, the agent's working directories, and what the agent wrote before any tool call. Out: is
a path a place of the agent's own? Told by convention (XDG base directories, hidden directories,
temporary and kernel file systems) and by habit, not by agents' names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_VOLATILE = re.compile(r"/(?:proc|sys|dev|run|tmp|var/tmp|var/run|var/lock)(?:/|$)")
_HIDDEN = re.compile(r"/\.[^/]+")
_XDG = re.compile(r"/\.(?:cache|config|local/(?:share|state))(?:/|$)")
_STARTS_PROGRAMS = re.compile(r"/\.config/(?:autostart|systemd)/|/\.local/share/systemd/")
_GIT = re.compile(r"/\.git(?:/(?!hooks/|config$)|$)")


def is_own_place(path: str) -> bool:
    """Is it where any program may keep state of its own: hidden, temporary, or the kernel's?"""
    return _VOLATILE.match(path) is not None or _HIDDEN.search(path) is not None


class OwnPlaces:
    """Places of one agent.

    `work`: its working directories; what is in them is no state, even below /tmp. `written`:
    paths that it wrote before a model asked for anything: their hidden directories are its own.
    """

    def __init__(self, work: Iterable[str], written: Iterable[str] = ()) -> None:
        self._work = [folder.rstrip("/") + "/" for folder in work if folder.strip("/")]
        self._learned = {place for path in written if (place := _hidden_place(path))}

    def are_known_to_hold(self, path: str) -> bool:
        """Did the agent write in the same hidden directory before?"""
        place = _hidden_place(path)
        return place is not None and place in self._learned

    def hold(self, path: str) -> bool:
        """Is the path in a place of the agent's own?"""
        if _STARTS_PROGRAMS.search(path):
            return False
        for folder in self._work:
            if path.startswith(folder) and not _HIDDEN.search("/" + path[len(folder) :]):
                return False
        if _GIT.search(path) or _XDG.search(path):
            return True
        if self.are_known_to_hold(path):
            return True
        if any(path.startswith(folder) for folder in self._work):
            return False
        return _VOLATILE.match(path) is not None


def _hidden_place(path: str) -> str | None:
    """The path up to its first hidden name, of which what follows a second dot is left out: state
    beside a hidden directory is named like it (`.agent/`, `.agent.json`, `.agent.json.tmp`)."""
    match = _HIDDEN.search(path)
    if match is None:
        return None
    name = match.group()[2:].partition(".")[0]
    return f"{path[: match.start()]}/.{name}"
