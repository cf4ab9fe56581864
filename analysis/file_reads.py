"""Which tool calls only look: the file that a call reads, and calls that search.

In: a tool's name and its arguments. Out: a path, or yes and no, by `markers.toml` and, for shells,
the command. Only what is obvious counts: one command that prints files and does nothing else.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from analysis.markers import markers

_PATH_FIELDS = (
    "file_path", "path", "absolute_path", "filePath", "filepath", "target_file", "file",
    "filename", "notebook_path", "relative_workspace_path",
)  # fmt: skip
_CHANGING = frozenset({"create", "str_replace", "insert", "undo_edit", "write"})
_PRINTERS = frozenset({"cat", "head", "tail", "nl", "bat", "less", "more"})
_LOOKERS = _PRINTERS | {"ls", "grep", "rg", "find", "fd", "tree", "wc", "stat", "file", "ag"}
_GIT_LOOKERS = frozenset({"log", "diff", "show", "status", "blame", "ls-files", "grep"})
_PLAIN = re.compile(r"[^;&|<>$`\n(){}]*")
_SED_PRINT = re.compile(r"\d+(?:,\d+)?p")
_LONGEST = 4096  # PATH_MAX


def read_path(name: str, arguments: Any) -> str | None:
    """The one file that the call reads; None where it does another thing or does not say.

    `arguments` as parsed; a text is a shell's command.
    """
    if markers().is_tool("shell", name):
        words = _words(arguments)
        return _printed(words) if words else None
    if not markers().is_tool("read", name) or not isinstance(arguments, dict):
        return None
    if arguments.get("command") in _CHANGING:
        return None
    for field in _PATH_FIELDS:
        path = arguments.get(field)
        if isinstance(path, str) and 0 < len(path) <= _LONGEST:
            return path
    return None


def changed_path(name: str, arguments: Any) -> str | None:
    """The file that an edit or write names."""
    if not isinstance(arguments, dict):
        return None
    edits = markers().is_tool("edit", name) or name.lower().startswith(("write", "create"))
    if not edits or arguments.get("command") == "view":
        return None
    return next((p for f in _PATH_FIELDS if isinstance(p := arguments.get(f), str) and p), None)


def looks(name: str, arguments: str | None) -> bool:
    """Does the call only read or search? `arguments` is canonical JSON, None: not known."""
    if markers().is_tool("search", name):
        return True
    if arguments is None:
        return markers().is_tool("read", name) and not markers().is_tool("edit", name)
    value = parsed(arguments)
    if markers().is_tool("shell", name):
        words = _words(value)
        if not words:
            return False
        if words[0] == "git":
            return len(words) > 1 and words[1] in _GIT_LOOKERS
        return words[0] in _LOOKERS or _printed(words) is not None
    if not markers().is_tool("read", name):
        return False
    return not isinstance(value, dict) or value.get("command") not in _CHANGING


def parsed(arguments: str | None) -> Any:
    """The arguments as JSON; a text that is none stays itself."""
    try:
        return None if arguments is None else json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments


def _words(arguments: Any) -> list[str]:
    """The words of a shell's command if it is a single plain one."""
    command = arguments
    if isinstance(command, dict):
        command = command.get("command", command.get("cmd", command.get("input")))
    if isinstance(command, list) and command and all(isinstance(word, str) for word in command):
        if len(command) != 3 or command[1] not in ("-c", "-lc", "-ic"):
            return command
        command = command[2]
    if not isinstance(command, str) or not _PLAIN.fullmatch(command[: 2 * _LONGEST]):
        return []
    try:
        return shlex.split(command[: 2 * _LONGEST])
    except ValueError:
        return []


def _printed(words: list[str]) -> str | None:
    """The one file that the command prints."""
    named = [word for word in words[1:] if not word.startswith("-") and not word.isdecimal()]
    if words[0] == "sed":
        prints = "-n" in words[1:] and named and _SED_PRINT.fullmatch(named[0])
        named = named[1:] if prints else []
    elif words[0] not in _PRINTERS:
        return None
    return named[0] if len(named) == 1 and len(named[0]) <= _LONGEST else None
