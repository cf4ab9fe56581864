"""Marker strings of agents and clients, read once from `markers.toml` beside this module.

In: tool results, tool names and user texts. Out: the first `Marker` that fits, or None.
Texts are matched from their beginning, so that an agent that merely reads a file which quotes a
marker is not taken at its word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

_NOTHING = "(?!)"
_LOOK_CHARS = 1200  # of a text; wrapper and wildcard fit in


@dataclass(frozen=True, slots=True)
class Marker:
    """One entry of the file. `kind` is its class."""

    client: str
    seen: str | None
    kind: str
    where: str
    pattern: re.Pattern[str]
    within_chars: int | None = None
    tool: re.Pattern[str] | None = None
    without_arguments: bool = False


class Markers:
    """Every marker, sorted by where it may match."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.version: int = document["version"]
        self.all = tuple(_marker(entry) for entry in document["marker"])
        self._wrapper = re.compile(f"(?:{document['wrapper']})*")
        self._tools = {kind: _names(names) for kind, names in document["tools"].items()}
        tags = "|".join(map(re.escape, document["injected"]))
        self._injected = re.compile(rf"<({tags})>.*?(?:</\1>|\Z)", re.DOTALL)
        self._by_place = {
            place: tuple(marker for marker in self.all if marker.where == place)
            for place in (
                *("tool_result", "tool_name", "user_text"),
                *("system_text", "last_user_text", "summary_text"),
            )
        }
        self._any_of = {place: _any_of(found) for place, found in self._by_place.items()}

    def in_result(self, result: str, tool: str) -> Marker | None:
        """The marker with which a result of the tool begins."""
        return self._in_text("tool_result", result, tool)

    def in_user_text(self, text: str) -> Marker | None:
        """The marker with which a user's text begins."""
        return self._in_text("user_text", text, "")

    def in_tool_name(self, name: str, arguments: str | None) -> Marker | None:
        """The marker for a tool of that name; `arguments` is canonical JSON."""
        for marker in self._by_place["tool_name"]:
            if _is_named(marker.pattern, name) and (
                not marker.without_arguments or arguments in (None, "", "{}")
            ):
                return marker
        return None

    def in_system_text(self, text: str) -> Marker | None:
        """The marker with which a request's system prompt begins."""
        return self._in_text("system_text", text, "")

    def in_last_user_text(self, text: str) -> Marker | None:
        """The marker with which the last text of a request in the user's name begins."""
        return self._in_text("last_user_text", text, "")

    def in_summary_text(self, text: str) -> Marker | None:
        """The marker with which a text begins that stands for what was left out before it."""
        return self._in_text("summary_text", text, "")

    def of_compaction(self, text: str) -> Marker | None:
        """The marker by which a text in the user's name asks for a summary, or is one."""
        return self.in_last_user_text(text) or self.in_summary_text(text)

    def is_tool(self, kind: str, name: str) -> bool:
        """Is the tool one of the kind (shell, wait, stdin, edit, write, read)?"""
        return _is_named(self._tools[kind], name)

    def without_injected(self, text: str) -> str:
        """The user's text without what the client put beside it."""
        return self._injected.sub("", text)

    def _in_text(self, place: str, text: str, tool: str) -> Marker | None:
        head = text[:_LOOK_CHARS]
        wrapped = self._wrapper.match(head)
        start = len(head) - len(head.lstrip())
        starts = {start, wrapped.end() if wrapped else start}
        at_start, within, within_chars = self._any_of[place]
        if not any(at_start.match(head, position) for position in starts) and not (
            len(text) <= within_chars and within.search(text)
        ):
            return None
        for marker in self._by_place[place]:
            if marker.tool is not None and not _is_named(marker.tool, tool):
                continue
            if marker.within_chars is not None:
                if len(text) <= marker.within_chars and marker.pattern.search(text):
                    return marker
            elif any(marker.pattern.match(head, position) for position in starts):
                return marker
        return None


@cache
def markers() -> Markers:
    """The markers of this release."""
    import tomllib

    path = Path(__file__).with_name("markers.toml")
    return Markers(tomllib.loads(path.read_text(encoding="utf-8")))


def _marker(entry: dict[str, Any]) -> Marker:
    by_name = entry["where"] == "tool_name"
    tools = entry.get("tool")
    return Marker(
        client=entry["client"],
        seen=entry.get("seen"),
        kind=entry["class"],
        where=entry["where"],
        pattern=_names(entry["text"]) if by_name else _texts(entry["text"]),
        within_chars=entry.get("within"),
        tool=None if tools is None else _names(tools),
        without_arguments=entry.get("arguments") == "empty",
    )


def _any_of(found: Sequence[Marker]) -> tuple[re.Pattern[str], re.Pattern[str], int]:
    """All patterns that match at the beginning as one, all others as one, and their `within`."""
    at_start = [marker.pattern.pattern for marker in found if marker.within_chars is None]
    within = [marker for marker in found if marker.within_chars is not None]
    return (
        re.compile("|".join(at_start) or _NOTHING),
        re.compile("|".join(marker.pattern.pattern for marker in within) or _NOTHING),
        max((marker.within_chars or 0 for marker in within), default=-1),
    )


@lru_cache(maxsize=4096)
def _is_named(pattern: re.Pattern[str], name: str) -> bool:
    return any(pattern.fullmatch(part) for part in {name, name.rpartition("__")[2]})


def _texts(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(_wildcard(pattern) for pattern in patterns))


def _names(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(_wildcard(pattern) for pattern in patterns), re.IGNORECASE)


def _wildcard(pattern: str) -> str:
    return r"[^\n]{0,300}?".join(re.escape(part) for part in pattern.split("*"))
