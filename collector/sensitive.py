"""Which files are sensitive: what they hold should not leave the machine.

In: absolute paths. Out: the reason in a word (`ssh_key`, `environment_file`, see `sensitive.toml`
beside this module), to the rows of file events and to `collector.content_sightings`; and the names
by which the kernel picks the files whose content is fingerprinted.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

KERNEL_NAME_BYTES = 63
_FORMAT = 1
_REMEMBERED_PATHS = 65_536


@dataclass(frozen=True, slots=True)
class _Kind:
    """One entry of the file. `names` and `places` match a last component and a whole path."""

    reason: str
    own: bool
    names: re.Pattern[str]
    places: re.Pattern[str]
    excepted: re.Pattern[str]
    readers: re.Pattern[str]

    def fits(self, path: str, name: str) -> bool:
        """Does the kind mean this path, whose last component is `name`?"""
        if self.names.fullmatch(name) is None and self.places.search(path) is None:
            return False
        return self.excepted.fullmatch(name) is None


class SensitiveFiles:
    """The kinds of one document. Raises ValueError for a format that is not known."""

    def __init__(self, document: dict[str, Any]) -> None:
        if document["version"] != _FORMAT:
            raise ValueError(f"version {document['version']}, expected {_FORMAT}")
        entries: Sequence[dict[str, Any]] = document["kind"]
        self._never = _kind({"reason": "", **document["never"]})
        self._kinds = tuple(_kind(entry) for entry in entries)
        self._any_name = _names(name for entry in entries for name in entry.get("names", ()))
        self._any_place = _places(
            [path for entry in entries for path in entry.get("paths", ())],
            [path for entry in entries for path in entry.get("directories", ())],
        )
        self.readers = {kind.reason: kind.readers for kind in self._kinds}
        self.own = frozenset(kind.reason for kind in self._kinds if kind.own)
        self.kernel_names = _kernel_names(entries, document["kernel"])

    def sensitivity(self, path: str) -> str | None:
        """Why the file is sensitive; None when it is not."""
        name = path.rpartition("/")[2]
        if self._any_name.fullmatch(name) is None and self._any_place.search(path) is None:
            return None
        if self._never.fits(path, name):
            return None
        return next((kind.reason for kind in self._kinds if kind.fits(path, name)), None)


@cache
def sensitive_files() -> SensitiveFiles:
    """Those of this release."""
    text = files("collector").joinpath("sensitive.toml").read_text("utf-8")
    return SensitiveFiles(tomllib.loads(text))


@lru_cache(maxsize=_REMEMBERED_PATHS)
def sensitivity(path: str) -> str | None:
    """Why a file is sensitive, in a word; None when it is not."""
    return sensitive_files().sensitivity(path)


def is_own(reason: str) -> bool:
    """Do agents read files of this kind as a matter of course, as they are their own?"""
    return reason in sensitive_files().own


def is_usual_reader(reason: str, program: str) -> bool:
    """Is a program of this name, without its directory, one that files of this kind are for?"""
    readers = sensitive_files().readers.get(reason)
    return readers is not None and readers.fullmatch(program) is not None


def kernel_names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of files, and names of directories of which every file counts: whole names, for a
    lookup in the kernel, at most `KERNEL_NAME_BYTES` long."""
    return sensitive_files().kernel_names


def _kind(entry: dict[str, Any]) -> _Kind:
    return _Kind(
        reason=entry["reason"],
        own=entry.get("own", False),
        names=_names(entry.get("names", ())),
        places=_places(entry.get("paths", ()), entry.get("directories", ())),
        excepted=_names(entry.get("except", ())),
        readers=_names(entry.get("readers", ())),
    )


def _names(names: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(_wildcard, names)) or r"(?!)")


def _places(paths: Iterable[str], directories: Iterable[str]) -> re.Pattern[str]:
    places = [rf"{_wildcard(path)}\Z" for path in paths]
    places += [f"{_wildcard(directory)}/" for directory in directories]
    return re.compile(rf"(?:\A|/)(?:{'|'.join(places)})" if places else r"(?!)")


def _wildcard(pattern: str) -> str:
    return "[^/]*".join(map(re.escape, pattern.split("*")))


def _kernel_names(
    entries: Iterable[dict[str, Any]], kernel: dict[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names: dict[str, None] = {}
    directories: dict[str, None] = {}
    for entry in entries:
        for path in (*entry.get("names", ()), *entry.get("paths", ())):
            parent, _, name = path.rpartition("/")
            if "*" not in name and name not in kernel["generic_names"]:
                names[name] = None
            elif parent:
                directories[parent.rpartition("/")[2]] = None
        for directory in entry.get("directories", ()):
            directories[directory.rpartition("/")[2]] = None
    for directory in kernel["generic_directories"]:
        directories.pop(directory, None)
    return _fitting(names), _fitting(directories)


def _fitting(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        name for name in names if "*" not in name and len(name.encode()) <= KERNEL_NAME_BYTES
    )
