"""Sessions, their tool calls, and what these caused, as the lines of a tree.

In: what `analysis.action_reading` loaded of a store, and which branches are open. Out: `Line`s from
top to bottom, each with its depth: session, tool call, process, file, connection; what no tool
call did stands below `by itself`. Equal files are folded, and of each thing that a process did to
files only the first few are shown until the fold is opened. Pure. Drawn by `tui.views.activity`,
printed by `underglass tree`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from analysis import cells
from analysis.action_nodes import (
    ACTIVITY,
    Key,
    Line,
    Loaded,
    TreeFile,
    TreeSession,
    TreeTool,
)
from analysis.process_tree import Node
from analysis.steps import ProcessStep
from analysis.where import Term, named_column

MOST_LINES = 6000
_DEEPEST = 40  # levels; hostile rows may nest without end
_COMMON_ERROR = "ENOENT"  # programs look for files in many places
_ARGUMENT = re.compile(r'^\{"[^"]*":\s*"?')
_VERBS = {"read_write": 1, "write": 0, "read": 9}  # what changes files comes first


def process_key(node: Node) -> Key:
    """The line of a process."""
    return ("process", node.first.process_key)


def fold_key(node: str, verb: str) -> Key:
    """The line that stands for the rest of what a process did to files."""
    return ("more", f"{node} {verb}")


def tree_lines(
    loaded: Loaded, is_open: Callable[[Key], bool], terms: Sequence[Term] = ()
) -> tuple[Line, ...]:
    """The lines to show, at most `MOST_LINES`. With `terms` only those that fit all, and what
    leads there; below one that fits, what is open. Raises BadFilter."""
    tests = [_test(term) for term in terms]
    found = _Lines(loaded, is_open).all()
    if tests:
        return tuple(_fitting(list(found), tests))
    return tuple(found)


class _Lines:
    def __init__(self, loaded: Loaded, is_open: Callable[[Key], bool]) -> None:
        self._loaded = loaded
        self._open = is_open
        self._left = MOST_LINES

    def all(self) -> Iterator[Line]:
        ids = {one.session_id for one in self._loaded.sessions}
        below: dict[str, list[TreeSession]] = {}
        for session in self._loaded.sessions:
            if session.parent_session_id in ids:
                below.setdefault(str(session.parent_session_id), []).append(session)
        roots = [one for one in self._loaded.sessions if one.parent_session_id not in ids]
        for session in roots:
            for line in self._session(session, below, 0):
                self._left -= 1
                if self._left < 0:
                    return
                if not self._left:
                    yield _more(("more", "lines"), 0, "more than can be shown here")
                    return
                yield line
        if self._loaded.hidden_processes:
            count = self._loaded.hidden_processes
            yield _more(("more", "processes"), 0, f"{count:,} more programs: table processes (0)")

    def _session(
        self, session: TreeSession, below: Mapping[str, Sequence[TreeSession]], depth: int
    ) -> Iterator[Line]:
        is_open = self._open(session.key)
        begun = cells.day_and_clock(_time(session.started_ns)).text
        many = f"{session.tool_calls:,} tool call{'' if session.tool_calls == 1 else 's'}"
        agent = cells.one_line(session.agent or "session")
        yield Line(
            session.key, depth, "session", f"{agent} {cells.one_line(session.session_id)}",
            f"{many}, {begun}", "", is_open, session.session_id,
            record={
                "session_id": session.session_id, "agent": session.agent,
                "parent_session_id": session.parent_session_id,
                "started_at": _time(session.started_ns), "tool_calls": session.tool_calls,
            },
        )  # fmt: skip
        if not is_open:
            return
        tools = self._loaded.tools.get(session.session_id, ())
        if tools and tools[0].total > len(tools):
            earlier = tools[0].total - len(tools)
            key = ("more", session.session_id)
            yield _more(key, depth + 1, f"{earlier:,} earlier tool calls: table tools (3)")
        for tool in tools:
            yield from self._tool(tool, depth + 1)
        if not depth:  # processes belong to the first session of a family
            yield from self._own(session)
        if depth < _DEEPEST:
            for child in below.get(session.session_id, ()):
                yield from self._session(child, below, depth + 1)

    def _own(self, session: TreeSession) -> Iterator[Line]:
        """What no tool call asked for."""
        is_open = self._open(session.own_key)
        yield Line(
            session.own_key, 1, "own", "by itself", "asked for by no tool call", "dim", is_open,
            session.session_id,
        )  # fmt: skip
        if is_open:
            roots = self._loaded.forests.get(session.session_id, ())
            for node in roots:
                yield from self._process(node, 2, session.root_pid)
            if not roots:
                yield _more(("more", *session.own_key), 2, "nothing was seen")

    def _tool(self, tool: TreeTool, depth: int) -> Iterator[Line]:
        caused = tool.processes + tool.files + tool.connections
        is_open = self._open(tool.key) if caused else None
        took = None if tool.result_ns is None else (tool.result_ns - tool.requested_ns) / 1e6
        outcome = {True: "error", False: "ok", None: "no result"}[tool.is_error]
        if tool.is_error is None and tool.result_ns is not None:
            outcome = "answered"
        counts = (
            _many(tool.processes, "program"),
            _many(tool.files, "file"),
            _many(tool.connections, "connection"),
        )
        note = ", ".join(filter(None, (f"{outcome} {cells.duration(took).text}", *counts)))
        arguments = cells.one_line(tool.arguments or "")
        arguments = _ARGUMENT.sub("", arguments).removesuffix('"}')
        yield Line(
            tool.key, depth, "tool", f"{cells.one_line(tool.name)} {arguments}", note,
            "bad" if tool.is_error else "", is_open, tool.tool_call_id, bool(tool.is_error),
            {
                "session_id": tool.session_id, "call_id": tool.call_id,
                "tool_call_id": tool.tool_call_id, "name": tool.name,
                "arguments": tool.arguments, "is_error": tool.is_error,
                "requested_at": _time(tool.requested_ns), "duration_ms": took,
                "result_preview": tool.result,
            },
        )  # fmt: skip
        if is_open:
            yield from self._files(tool.node, depth + 1)
            yield from self._connections(tool.node, depth + 1)
            for node in self._loaded.forests.get(tool.node, ()):
                yield from self._process(node, depth + 1, None)

    def _process(self, node: Node, depth: int, agent_pid: int | None) -> Iterator[Line]:
        first = node.first
        files, connections, sensitive = self._loaded.touched.get(first.process_key, (0, 0, 0))
        shown = [each for each in node.children if self._matters(each)]
        key = process_key(node)
        is_open = self._open(key) if files or connections or shown else None
        last = node.programs[-1]
        cause = self._loaded.causes.get(first.process_key)
        unasked = any(("process", one.process_key) in self._loaded.unasked for one in node.programs)
        failed = bool(last.signal or last.exit_code)
        took = None
        if node.end_ns is not None and first.started_ns is not None:
            took = (node.end_ns - first.started_ns) / 1e6
        ended = ""
        if last.signal:
            ended = f"signal {last.signal}"
        elif last.exit_code is not None:
            ended = f"exit {last.exit_code}"
        why = cause[0] if cause and cause[0] != "descendant" else ""
        note = ", ".join(
            filter(
                None,
                (
                    "unasked" if unasked else "",
                    "agent" if agent_pid is not None and node.pid == agent_pid else "",
                    ended,
                    cells.duration(took).text if took is not None else "",
                    why,
                    "likely" if cause and cause[1] == "likely" else "",
                    _many(sensitive, "sensitive file"),
                    _many(files, "file"),
                    _many(connections, "connection"),
                ),
            )
        )
        style: cells.Style = "bad" if unasked else "warn" if failed or sensitive else ""
        yield Line(
            key, depth, "process", _command(node), note,
            style or ("" if first.argv else "dim"), is_open, last.process_key,
            failed or unasked or bool(sensitive),
            {
                "process_key": last.process_key, "pid": node.pid, "ppid": node.ppid,
                "started_at": _time(first.started_ns), "ended_at": _time(node.end_ns),
                "exe": last.exe, "argv": list(last.argv), "comm": last.comm, "cwd": last.cwd,
                "exit_code": last.exit_code, "signal": last.signal,
                "session_id": first.session_id, "unasked": unasked,
                "how": cause[0] if cause else None, "confidence": cause[1] if cause else None,
            },
        )  # fmt: skip
        if not is_open:
            return
        yield from self._files(first.process_key, depth + 1)
        yield from self._connections(first.process_key, depth + 1)
        if depth >= _DEEPEST:
            if shown:
                yield _more(("more", "below", *key), depth + 1, "further levels")
            return
        for child in shown:
            yield from self._process(child, depth + 1, agent_pid)

    def _matters(self, node: Node) -> bool:
        """A process that only forked, touched nothing and has no child says nothing."""
        if node.children or any(one.argv for one in node.programs):
            return True
        return node.first.process_key in self._loaded.touched

    def _files(self, node: str, depth: int) -> Iterator[Line]:
        by_verb: dict[str, list[TreeFile]] = {}
        for each in self._loaded.files.get(node, ()):
            by_verb.setdefault(each.verb, []).append(each)
        for verb in sorted(by_verb, key=lambda one: (_VERBS.get(one, 5), one)):
            alike = by_verb[verb]
            for each in alike:
                yield self._file(each, depth)
            rest = alike[0].alike - len(alike)
            if rest > 0:
                key = fold_key(node, verb)
                done = {"read": "read", "write": "written"}.get(verb, verb.replace("_", " "))
                if self._open(key):
                    text = f"{rest:,} more {done}: table files (0)"
                    yield _more(key, depth, text)
                else:
                    yield _more(key, depth, f"{rest:,} more {done}", openable=True)

    def _file(self, each: TreeFile, depth: int) -> Line:
        unasked = ("file", each.id) in self._loaded.unasked
        failed = each.error is not None and each.error != _COMMON_ERROR
        note = ", ".join(
            filter(
                None,
                (
                    "unasked" if unasked else "",
                    each.error,
                    each.sensitive,
                    each.how,
                    "likely" if each.confidence == "likely" else "",
                    f"{each.times:,} times" if each.times > 1 else "",
                ),
            )
        )
        style: cells.Style = "bad" if unasked else "warn" if failed or each.sensitive else "dim"
        if style == "dim" and each.verb != "read" and each.error is None:
            style = ""
        to = f" → {cells.one_line(each.new_path)}" if each.new_path else ""
        return Line(
            ("file", each.node, each.id), depth, "file",
            f"{each.verb.replace('_', '+')} {cells.one_line(each.path)}{to}", note, style, None,
            each.id, unasked or failed or each.sensitive is not None,
            {
                "file_event_id": each.id, "operation": each.verb, "path": each.path,
                "new_path": each.new_path, "error": each.error, "sensitive": each.sensitive,
                "count": each.times, "first_at": _time(each.first_ns),
                "last_at": _time(each.last_ns), "pid": each.pid, "how": each.how,
                "confidence": each.confidence, "unasked": unasked,
            },
        )  # fmt: skip

    def _connections(self, node: str, depth: int) -> Iterator[Line]:
        found = self._loaded.connections.get(node, ())
        for each in found:
            unasked = ("connection", each.id) in self._loaded.unasked
            where = cells.one_line(each.name or each.address)
            if each.port is not None:
                where = f"[{where}]:{each.port}" if ":" in where else f"{where}:{each.port}"
            note = ", ".join(
                filter(
                    None,
                    (
                        "unasked" if unasked else "",
                        each.error,
                        each.transport if each.transport != "tcp" else "",
                        cells.one_line(each.address) if each.name else "",
                        each.how,
                        "likely" if each.confidence == "likely" else "",
                        f"{each.times:,} times" if each.times > 1 else "",
                    ),
                )
            )
            local = each.transport == "unix"
            style: cells.Style = "bad" if unasked else "warn" if each.error and not local else ""
            yield Line(
                ("connection", each.node, each.id), depth, "connection", f"connect {where}", note,
                style, None, each.id, unasked or (each.error is not None and not local),
                {
                    "network_event_id": each.id, "transport": each.transport,
                    "address": each.address, "port": each.port, "name": each.name,
                    "error": each.error, "count": each.times, "first_at": _time(each.first_ns),
                    "last_at": _time(each.last_ns), "pid": each.pid, "how": each.how,
                    "confidence": each.confidence, "unasked": unasked,
                },
            )  # fmt: skip
        if found and found[0].alike > len(found):
            rest = found[0].alike - len(found)
            key = ("more", node, "connections")
            yield _more(key, depth, f"{rest:,} more connections: table connections (0)")


def _more(key: Key, depth: int, text: str, *, openable: bool = False) -> Line:
    return Line(key, depth, "more", f"… {text}", "", "dim", False if openable else None, "")


def _command(node: Node) -> str:
    """The first program, and the last one when the process became another."""
    first, last = node.first, node.programs[-1]
    text = _argv(first)
    if last is not first and last.argv and last.argv != first.argv:
        text += f" → {_argv(last)}"
    return text


def _argv(program: ProcessStep) -> str:
    if program.argv:
        return cells.one_line(" ".join(program.argv))
    return f"[{cells.one_line(program.comm or str(program.pid))}]"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}" if count else ""


def _time(at_ns: int | None) -> Any:
    import datetime

    if at_ns is None:
        return None
    try:
        return datetime.datetime.fromtimestamp(at_ns / 1e9, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _test(term: Term) -> Callable[[Line], bool]:
    word = term.text.lower()
    fields = ("label", "note")
    if term.field is not None:
        fields = (named_column(term.field, ACTIVITY).key,)  # type: ignore[assignment]

    def fits(line: Line) -> bool:
        texts = [str(getattr(line, name)).lower() for name in fields]
        found = any(word == text if term.exact else word in text for text in texts)
        return found != term.inverse

    return fits


def _fitting(lines: Sequence[Line], tests: Sequence[Callable[[Line], bool]]) -> Iterator[Line]:
    """Lines that pass every test, and those above them."""
    keep = [False] * len(lines)
    above: list[int] = []
    for at, line in enumerate(lines):
        del above[line.depth :]
        above += [at] * (line.depth + 1 - len(above))
        if line.kind != "more" and all(test(line) for test in tests):
            keep[at] = True
            for each in above:
                keep[each] = True
    return (line for at, line in enumerate(lines) if keep[at])
