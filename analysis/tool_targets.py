"""What a tool call's arguments name: files and hosts.

In: a `ToolStep`. Out: `Targets`: absolute paths (relative ones below the working directories that
are given) and hosts with their ports. Patches name files, too. Hostile arguments give nothing.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from analysis.steps import ToolStep

_MOST_TEXTS = 200  # texts looked at in the arguments of one tool call
_MOST_TARGETS = 100
_LONGEST_PATH = 4096  # PATH_MAX
_DEEPEST = 8
_SHORTEST_WORD = 4

_PATCHED = re.compile(
    r"^(?:\*\*\* (?:Add|Update|Delete) File: |\*\*\* Move to: |(?:\+\+\+|---) [ab]/)(\S[^\n\t]*)",
    re.MULTILINE,
)
_PATH_KEY = re.compile(r"file|path|dir|folder|notebook|cwd|root|uri", re.IGNORECASE)
_DESCRIPTOR = re.compile(r"/proc/[^/]+/(?:task/\d+/)?fd/\d+(?=/)")
_DIRECTORY_KEYS = ("workdir", "cwd", "working_directory", "directory")
_URL = re.compile(r"\b(?:https?|wss?|ftp)://[^\s'\"<>()\\`]{1,2000}", re.IGNORECASE)
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443, "ftp": 21}


@dataclass(frozen=True, slots=True)
class Target:
    """A host. `port` is that of the URL, given or its scheme's."""

    host: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Targets:
    """What the arguments name, without repeats."""

    paths: tuple[str, ...]
    hosts: tuple[Target, ...]


def targets(tool: ToolStep, directories: Iterable[str] = ()) -> Targets:
    """Files and hosts that the arguments name. `directories`: where relative paths may begin."""
    value = _parsed(tool)
    texts = list(_texts(value))
    bases = list(directories)
    if isinstance(value, dict):
        given = (value.get(key) for key in _DIRECTORY_KEYS)
        bases = [one for one in given if isinstance(one, str) and one.startswith("/")] + bases
    paths: dict[str, None] = {}
    hosts: dict[Target, None] = {}
    for key, text in texts:
        for name in _paths_in(key, text):
            for path in _absolute(name, bases):
                if len(paths) < _MOST_TARGETS:
                    paths[path] = None
        for target in urls_in(text):
            if len(hosts) < _MOST_TARGETS:
                hosts[target] = None
    return Targets(tuple(paths), tuple(hosts))


def argument_words(tool: ToolStep) -> frozenset[str]:
    """Texts that the arguments give, as a program may be handed them."""
    return frozenset(text for _, text in _texts(_parsed(tool)) if len(text) >= _SHORTEST_WORD)


def argument_text(tool: ToolStep) -> str:
    """All texts of the arguments, a line each, without the escapes of JSON."""
    return "\n".join(text for _, text in _texts(_parsed(tool)))


def is_same_file(path: str, named: str, *, by_tail: bool) -> bool:
    """May a path that the kernel tells be the one that arguments name?

    The kernel names some by a descriptor of their directory, and follows links above a file:
    `by_tail` takes the last two names for enough.
    """
    below_descriptor = _DESCRIPTOR.match(path)
    if below_descriptor is not None:
        return named.endswith(path[below_descriptor.end() :])
    folder, name = named.split("/")[-2:]
    if folder == "~":
        return path.endswith("/" + name)
    return by_tail and path.split("/")[-2:] == [folder, name]


def urls_in(text: str) -> Iterator[Target]:
    """Hosts of the URLs in a text."""
    for match in _URL.finditer(text):
        target = _target(match.group())
        if target is not None:
            yield target


def _target(url: str) -> Target | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    return Target(host.lower().rstrip("."), port or _PORTS.get(parts.scheme)) if host else None


def _parsed(tool: ToolStep) -> Any:
    if not tool.arguments:
        return None
    try:
        return json.loads(tool.arguments)
    except (ValueError, RecursionError):
        return tool.arguments


def _texts(value: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Texts with the names that they stand under, breadth bounded."""
    waiting = [(key, value, depth)]
    given = 0
    while waiting and given < _MOST_TEXTS:
        key, value, depth = waiting.pop(0)
        if isinstance(value, str):
            given += 1
            yield key, value
        elif depth < _DEEPEST and isinstance(value, dict):
            waiting += [(str(name), one, depth + 1) for name, one in value.items()][:_MOST_TEXTS]
        elif depth < _DEEPEST and isinstance(value, list):
            waiting += [(key, one, depth + 1) for one in value[:_MOST_TEXTS]]


def _paths_in(key: str, text: str) -> Iterator[str]:
    for match in _PATCHED.finditer(text):
        yield match.group(1).strip()
    if not text or len(text) > _LONGEST_PATH or "\n" in text or "\0" in text:
        return
    if text.startswith("file://"):
        yield text.removeprefix("file://")
    elif "://" not in text and (
        _PATH_KEY.search(key) or (text.startswith(("/", "./", "../")) and " " not in text)
    ):
        yield text


def _absolute(name: str, bases: list[str]) -> Iterator[str]:
    if name.startswith("/"):
        yield posixpath.normpath(name)
        return
    if name.startswith("~/"):  # whose home is not known: told by its end
        yield posixpath.normpath("/" + name)
        return
    for base in bases:
        yield posixpath.normpath(posixpath.join(base, name))
