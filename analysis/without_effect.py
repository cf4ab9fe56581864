"""Tool calls that must leave a trace, left none, and report success.

In: the steps of a session and what its tool calls caused. Out: findings of kind `no_effect`: one
for shell commands that no process belongs to, one for files that nobody wrote. Commands that a
shell carries out by itself (`cd`) start nothing where one shell serves many. When not one of the
commands led to a process, or not one of the files was seen written, tools probably run where the
capture does not see them (another machine, a container): then it is said once, as information.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from analysis.derived import ToolActionRow
from analysis.effects import edits, fails, shell_command
from analysis.escalations import tool_escalation
from analysis.markers import markers
from analysis.process_tree import ProcessTree
from analysis.steps import Evidence, Finding, SessionSteps, ToolStep
from analysis.tool_targets import targets

MOST_EVIDENCE = 20
_NOTE_CHARS = 200
_HEAD_CHARS = 300
_FAILURE = re.compile(
    r"\b(?:invalid|unavailable|not found|unknown|error|failed|failure|denied|rejected"
    r"|refused|cannot|could not|unable|does not exist|did not match|no such"
    r"|cancell?ed|aborted|timed out)\b",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(r"&&|\|\||[;\n|&(){}]")
_BUILTINS = frozenset(
    {"cd", "pwd", "echo", "printf", "export", "unset", "set", "true", "false", ":", "alias", "test",
     "[", "read", "type", "umask", "ulimit", "wait", "jobs", "exit", "history", "source", "."}
)  # fmt: skip

Acts = Mapping[tuple[str, str], Sequence[ToolActionRow]]
"""What each tool call caused, by its call and its own id."""


def without_effect(steps: SessionSteps, acts: Acts, tree: ProcessTree) -> list[Finding]:
    """At most one finding for commands and one for files."""
    if not any(node.is_agent for node in tree.nodes):
        return []  # not on this machine
    done = [tool for tool in steps.tools if _succeeded(tool)]
    commands = [tool for tool in done if _must_start(tool)]
    silent = [tool for tool in commands if not acts.get((tool.call_id, tool.tool_call_id))]
    found = []
    if silent:
        started = len(commands) - len(silent)
        title = _title("command", len(silent), "started no process")
        found.append(_finding(steps, silent, title, seen=started > 0))
    if steps.files:
        found += _unwritten(steps, acts, done)
    return found


def _succeeded(tool: ToolStep) -> bool:
    if tool.result_ns is None or fails(tool) or tool_escalation(tool) is not None:
        return False
    return tool.is_error is False or not _FAILURE.search((tool.result or "")[:_HEAD_CHARS])


def _must_start(tool: ToolStep) -> bool:
    command = shell_command(tool)
    if command is None or not command.strip():
        return False
    words = [part.split() for part in _SEPARATOR.split(command)]
    return any(part and part[0] not in _BUILTINS for part in words)


def _unwritten(steps: SessionSteps, acts: Acts, done: Sequence[ToolStep]) -> list[Finding]:
    writing = {one.file_event_id for one in steps.files if one.writes}
    judged = [tool for tool in done if _must_write(tool) and targets(tool, ("/",)).paths]
    silent = [
        tool
        for tool in judged
        if not any(
            act.kind == "file" and act.action_id in writing
            for act in acts.get((tool.call_id, tool.tool_call_id), ())
        )
    ]
    if not silent:
        return []
    title = _title("file tool call", len(silent), "wrote nothing")
    return [_finding(steps, silent, title, seen=len(judged) > len(silent))]


def _must_write(tool: ToolStep) -> bool:
    if markers().is_tool("edit", tool.name):
        return edits(tool)
    return markers().is_tool("write", tool.name)


def _title(noun: str, count: int, what: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'} reported success and {what}"


def _finding(steps: SessionSteps, tools: Sequence[ToolStep], title: str, *, seen: bool) -> Finding:
    return Finding(
        kind="no_effect",
        session_id=steps.session.session_id,
        severity="warning" if seen else "info",
        first_at_ns=tools[0].requested_ns,
        last_at_ns=tools[-1].result_ns,
        title=title + ("" if seen else "; none of them was seen to"),
        evidence=tuple(
            Evidence(
                "tool",
                tool.tool_call_id,
                f"{tool.name} {tool.arguments or ''}"[:_NOTE_CHARS],
                tool.requested_ns,
            )
            for tool in tools[:MOST_EVIDENCE]
        ),
        count=len(tools),
    )
