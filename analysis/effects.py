"""What a tool step does: waits, edits a file, or fails.

In: `ToolStep`. Out: yes or no, by the tool's name (`markers.toml`) or its shell command. Used by
`analysis.loops` to tell a poll or an edit from a loop. Only what is obvious counts.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from analysis.markers import markers
from analysis.steps import ToolStep

_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1([^\n]*)\n.*?^\s*\2\s*$", re.DOTALL | re.MULTILINE)
_QUOTED = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"")
_SEPARATOR = re.compile(r"&&|\|\||[;\n|&(){}]")
_PREFIX = re.compile(r"\s*(?:(?:\w+=\S*|sudo|time|then|do|else)\s+)*")
_WAIT = re.compile(
    r"(?:sleep|wait|inotifywait|gh run watch|docker wait|kubectl (?:wait|rollout))\b"
)
_WAIT_WORD = re.compile(r"sleep|wait|watch|rollout")
_EDIT_WORD = re.compile(r">>|\b(?:sed|perl|patch|apply_patch|ed|ex|tee|git)\b")
_MAX_EMPTY_CHARS = 40  # of arguments that hold nothing but an empty command
_EDIT = re.compile(
    r"sed\s+(?:-\S+\s+)*(?:-[a-zA-Z]*i|--in-place)|perl\s+(?:-\S+\s+)*-[a-zA-Z]*i"
    r"|(?:patch|apply_patch|ed|ex)\b|tee\s+(?:-a|--append)\b"
    r"|git\s+(?:apply|am|stash|revert|cherry-pick|merge|pull|commit)\b"
)
_APPEND = re.compile(r"(?<![<>])>>\s*(?!&|/dev/)\S")
_READ_SUBCOMMANDS = frozenset({"view", "create"})  # `create` states the whole content
_HEAD_CHARS = 400
_FAILED = re.compile(
    r"\s*(?:<(?:tool_use_)?error>|(?:fatal|error|exception|traceback|failed|failure|usage error)\b"
    r"|\{\s*\"(?:error|is_error|isError)\"\s*:(?!\s*(?:null|false|\"\"|\[\]))"
    r"|<returncode>-?[1-9]|exit(?:ed)?(?: with)? (?:code|status):? ?-?[1-9]"
    r"|process exited with code -?[1-9])",
    re.IGNORECASE,
)
_NOT_EDITED = re.compile(
    r"syntax error|no replacement was performed|not found|did not match|no match|no changes"
    r"|could not find|failed to|does not exist",
    re.IGNORECASE,
)


def shell_command(step: ToolStep) -> str | None:
    """The command of a shell tool as one text; None for other tools and unreadable arguments."""
    commands = shell_commands(step)
    return "\n".join(commands) if commands else None


def shell_commands(step: ToolStep) -> tuple[str, ...]:
    """The commands of a shell tool: one, or as many as its `commands` are, each run by itself."""
    if not markers().is_tool("shell", step.name) or step.arguments is None:
        return ()
    value = _parse(step.arguments)
    if isinstance(value, dict):
        several = value.get("commands")
        if isinstance(several, list):
            return tuple(one for one in several if isinstance(one, str))
        value = value.get("command", value.get("cmd", value.get("input")))
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        script = len(value) == 3 and value[1] in ("-c", "-lc", "-ic")
        return (value[2] if script else shlex.join(value),)
    return (value,) if isinstance(value, str) else ()


def waits(step: ToolStep) -> bool | None:
    """Does the step wait or poll: a wait tool, `sleep`, an empty command, empty input?

    None: not known, a call of a shell whose arguments were not kept.
    """
    known = markers()
    if known.is_tool("wait", step.name):
        return True
    if step.arguments is None:
        may_wait = known.is_tool("shell", step.name) or known.is_tool("stdin", step.name)
        return None if may_wait else False
    if known.is_tool("stdin", step.name):
        value = _parse(step.arguments)
        return isinstance(value, dict) and not str(value.get("chars") or "")
    if len(step.arguments) > _MAX_EMPTY_CHARS and not _WAIT_WORD.search(step.arguments):
        return False
    command = shell_command(step)
    if command is None:
        return False
    return not command.strip() or any(map(_WAIT.match, _simple_commands(command)))


def edits(step: ToolStep) -> bool:
    """Did the step change a file in a way that doing it again would change it again?

    Writing a whole file is not meant: the same content once more changes nothing.
    """
    if markers().is_tool("edit", step.name):
        value = _parse(step.arguments or "")
        subcommand = value.get("command") if isinstance(value, dict) else None
        edit = subcommand not in _READ_SUBCOMMANDS
    elif step.arguments is None or not _EDIT_WORD.search(step.arguments):
        return False
    else:
        command = shell_command(step)
        edit = command is not None and _edits_by_shell(command)
    if not edit or fails(step):
        return False
    return step.is_error is False or not _NOT_EDITED.search((step.result or "")[:_HEAD_CHARS])


def fails(step: ToolStep) -> bool:
    """Did the tool fail: by its flag, or when the client sends none, by how the result begins?"""
    if step.is_error is not None:
        return step.is_error
    return step.result is not None and _FAILED.match(step.result[:_HEAD_CHARS]) is not None


def _edits_by_shell(command: str) -> bool:
    bare = _QUOTED.sub("''", _HEREDOC.sub(r"\3", command))
    return _APPEND.search(bare) is not None or any(map(_EDIT.match, _simple_commands(command)))


def _simple_commands(command: str) -> list[str]:
    """The commands of a line without quoted texts, here-documents and leading assignments."""
    bare = _QUOTED.sub("''", _HEREDOC.sub(r"\3", command))
    return [_PREFIX.sub("", part, count=1) for part in _SEPARATOR.split(bare)]


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
