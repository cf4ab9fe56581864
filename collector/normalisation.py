"""What makes two tool calls the same: canonical arguments and results without their noise.

In: the argument text that a model wrote and the result text that a request carried back.
Out: canonical JSON for the store, and 16-digit hashes by which `analysis.loops` compares.
Pure; a result of any length costs what 128 KiB cost. Histories are resent with every request, so
hash a result when its tool call id is first answered, not each time it is seen.
"""

from __future__ import annotations

import json
import re
from hashlib import blake2b
from typing import Any

SAMPLE_CHARS = 64 * 1024
"""A longer result is compared by this much of its head, as much of its tail, and its length."""

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_SPACE_RUN = re.compile(r"[ \t]+")
_COMMAND_KEYS = frozenset({"command", "cmd"})
_INTEGER = re.compile(r"-?[1-9][0-9]{0,14}|0")
_BOOLEANS = {"true": True, "false": False}

_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?"
_NOISE = re.compile(
    "(?=[0-9A-Fa-fJMNOSTWPp/=])(?:"  # no other character begins a pattern below
    + "|".join(
        f"(?P<{name}>{pattern})"
        for name, pattern in (
            ("uuid", r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"),
            (
                "time",
                rf"\b\d{{4}}[-/]\d{{2}}[-/]\d{{2}}(?:[T ]{_CLOCK}(?:Z|\s?[+-]\d{{2}}:?\d{{2}})?)?"
                rf"|\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? )?"
                rf"(?:{_MONTH} {{1,2}}\d{{1,2}}|\d{{1,2}} {_MONTH}(?! {{1,2}}\d{{1,2}} )),?"
                rf"(?: {_CLOCK}(?: [A-Z]{{3,4}})?)?(?: {{1,2}}\d{{4}})?\b(?: {_CLOCK})?"
                r"|\b\d{1,2}:\d{2}:\d{2}(?:[.,]\d+)?\b"
                r"|\b1[5-9]\d{8}(?:\.\d+|\d{9}|\d{6}|\d{3})?\b",
            ),
            ("address", r"\b0x[0-9a-fA-F]{4,}\b"),
            (
                "duration",
                r"\b(?:\d+h ?)?(?:\d+m ?)?\d+(?:\.\d+)?\s?"
                r"(?:[nuµm]?s|secs?|seconds?|mins?|minutes?|milliseconds?)\b",
            ),
            (
                "pid",
                r"\b[Pp]?(?:PID|[Pp]id)\b[\s=:#\"']{0,4}\d+|\b[Pp]rocess [Ii][Dd]:? ?\d+|==\d+==",
            ),
            ("tmp", r"(?:/private)?(?:/var)?/tmp/[\w.+@-]+|/var/folders/\w+/\w+/T/[\w.+@-]+"),
        )
    )
    + ")"
)


def canonical_arguments(arguments: str) -> str:
    """JSON text with sorted keys and no padding; text that is not JSON is returned stripped.

    Always encodable as UTF-8: a lone surrogate stays an escape, or becomes `?` outside JSON.
    """
    try:
        value = json.loads(arguments)
        return _dump(value)
    except (ValueError, RecursionError):
        return arguments.strip().encode("utf-8", "replace").decode("utf-8")


def arguments_hash(arguments: str) -> str:
    """16 hex digits, the same for arguments that differ only in how a model spells them.

    That is: key order and padding; a parameter left out, null or empty; a number or a boolean as
    text. Runs of white space inside a one-line shell command (`command`, `cmd`) count as one
    space; lines of a longer command keep their indentation, which may carry meaning.
    """
    try:
        value = json.loads(arguments)
        if isinstance(value, dict):
            for key in _COMMAND_KEYS & value.keys():
                value[key] = _collapse(value[key])
        text = _dump(_plain(value))
    except (ValueError, RecursionError):
        text = _collapse(arguments)
    return _digest(text)


def normalise_result(text: str) -> str:
    """The result without what differs between two runs of the same command.

    Times, dates, durations, process ids, addresses, UUIDs and the random part of temporary
    paths become placeholders; colour codes and trailing white space go.
    """
    length = len(text)
    if length > 2 * SAMPLE_CHARS:
        text = f"{text[:SAMPLE_CHARS]}\n<{length} characters>\n{text[-SAMPLE_CHARS:]}"
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    return _strip_lines(_NOISE.sub(_placeholder, text))


def result_hash(text: str) -> str:
    """16 hex digits of the normalised result."""
    return _digest(normalise_result(text))


def _placeholder(match: re.Match[str]) -> str:
    return f"<{match.lastgroup}>"


def _strip_lines(text: str) -> str:
    return "\n".join([line.rstrip() for line in text.strip().split("\n")])


def _collapse(command: Any) -> Any:
    if isinstance(command, list):
        return [_collapse(word) for word in command]
    if not isinstance(command, str):
        return command
    command = _strip_lines(command)
    return command if "\n" in command else _SPACE_RUN.sub(" ", command)


def _plain(value: Any) -> Any:
    """Without the object members that say nothing, and with scalars in one spelling."""
    if isinstance(value, dict):
        members = {key: _plain(member) for key, member in value.items()}
        return {key: member for key, member in members.items() if not _is_empty(member)}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return int(value) if _INTEGER.fullmatch(value) else _BOOLEANS.get(value, value)
    return value


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)


def _dump(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return text


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
