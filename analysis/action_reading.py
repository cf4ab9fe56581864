"""What the tree of actions needs of a store: the open branches, and nothing else.

In: a `Reader` and a `TreeQuestion`: which session, which branches are open, a filter. Out: the
`Line`s of `analysis.action_tree`. A fixed number of queries, whatever is open, each bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.action_nodes import (
    Key,
    Line,
    Loaded,
    TreeConnection,
    TreeFile,
    TreeSession,
    TreeTool,
)
from analysis.action_tree import process_key, tree_lines
from analysis.process_tree import Node, ProcessTree
from analysis.reading import Reader, query
from analysis.session_rows import process_step
from analysis.where import parse_terms

MOST_SESSIONS = 100
MOST_TOOLS = 300
"""Of each session."""
MOST_PROCESSES = 5000
FEW_FILES = 4
MANY_FILES = 300
MOST_FILES = 5000
_OPEN_AT_ONCE = 500  # tool calls of the sessions that `everything` opens
_HOW = 3  # columns of tree_processes before those of a ProcessStep
_NONE: frozenset[Key] = frozenset()


@dataclass(frozen=True, slots=True)
class TreeQuestion:
    """Which part of the tree: that of one session with its family, or of the latest ones.

    `opened` and `closed` are keys of lines; `everything` opens all but these. The session itself,
    and without one the latest, is open unless it is closed. A filter opens everything.
    """

    session_id: str | None = None
    where: str = ""
    opened: frozenset[Key] = _NONE
    closed: frozenset[Key] = _NONE
    everything: bool = False

    def read(self, reader: Reader) -> tuple[Line, ...]:
        """The lines. Raises `UnderglassError`, a BadFilter among them."""
        return _Reading(reader, self).lines()


class _Reading:
    def __init__(self, reader: Reader, asked: TreeQuestion) -> None:
        self._reader = reader
        self._asked = asked
        self._terms = parse_terms(asked.where)
        self._all = asked.everything or bool(self._terms)
        self._sessions: list[TreeSession] = []
        self._first_open: set[Key] = set()

    def lines(self) -> tuple[Line, ...]:
        tree_lines(Loaded(), lambda key: False, self._terms)  # a bad filter costs no query
        self._read_sessions()
        opened = [one for one in self._sessions if self._is_open(one.key)]
        tools = self._tools(opened)
        owns = [one.session_id for one in opened if self._is_open(one.own_key)]
        nodes = [
            tool.node
            for each in tools.values()
            for tool in each
            if self._is_open(tool.key) and tool.processes + tool.files + tool.connections
        ]
        if not nodes and not owns:
            return self._drawn(Loaded(self._sessions, tools))
        forests, causes, hidden = self._forests(opened, nodes, owns)
        everyone = [node for roots in forests.values() for node in _walk(roots)]
        touched = self._touched(everyone)
        shown = [node for roots in forests.values() for node in self._open_nodes(roots)]
        files, connections = self._did(opened, shown, nodes)
        ids = self._in(opened)
        unasked = self._rows("tree_unasked", {}, ids)
        loaded = Loaded(
            sessions=self._sessions,
            tools=tools,
            forests=forests,
            causes=causes,
            touched=touched,
            files=files,
            connections=connections,
            unasked=frozenset((kind, id) for kind, id in unasked),
            hidden_processes=hidden,
        )
        return self._drawn(loaded)

    def _drawn(self, loaded: Loaded) -> tuple[Line, ...]:
        return tree_lines(loaded, self._is_open, self._terms)

    def _is_open(self, key: Key) -> bool:
        if key in self._asked.closed:
            return False
        if key in self._asked.opened or key in self._first_open:
            return True
        return self._all and key[0] not in ("session", "more")

    def _read_sessions(self) -> None:
        ids: Sequence[str] = ()
        chosen = self._asked.session_id
        if chosen is not None:
            family = self._reader.rows(query("session_steps"), {"sessions": [chosen]})
            ids = family.column("session_id")[:MOST_SESSIONS] or (chosen,)
        names = {f"session{at}": each for at, each in enumerate(ids)}
        sql = query("tree_sessions").replace("{all}", "FALSE" if ids else "TRUE")
        sql = sql.replace("{sessions}", ", ".join(f"${name}" for name in names) or "NULL")
        found = self._reader.rows(sql, {**names, "limit": MOST_SESSIONS})
        self._sessions = [TreeSession(*row) for row in found]
        if chosen is not None:
            self._first_open = {one.key for one in self._sessions}
            return
        self._first_open = {one.key for one in self._sessions[:1]}
        room = _OPEN_AT_ONCE
        for one in self._sessions if self._all else ():
            room -= one.tool_calls + 1
            if room < 0:
                break
            self._first_open.add(one.key)

    def _tools(self, sessions: Sequence[TreeSession]) -> dict[str, list[TreeTool]]:
        tools: dict[str, list[TreeTool]] = {}
        if sessions:
            for row in self._rows("tree_tools", {"limit": MOST_TOOLS}, self._in(sessions)):
                tool = TreeTool(*row)
                tools.setdefault(tool.session_id, []).append(tool)
        return tools

    def _forests(
        self, sessions: Sequence[TreeSession], tools: list[str], owns: list[str]
    ) -> tuple[dict[str, list[Node]], dict[str, tuple[str, str]], int]:
        """Processes by what they belong to, why, and how many more there are."""
        asked = {"tools": tools, "own": owns, "limit": MOST_PROCESSES}
        rows = self._rows("tree_processes", asked, self._in(sessions))
        steps: dict[str, list[Any]] = {}
        causes: dict[str, tuple[str, str]] = {}
        for row in rows:
            parent, how, confidence = row[:_HOW]
            step = process_step(row[_HOW:-1])
            steps.setdefault(parent, []).append(step)
            if how is not None:
                causes[step.process_key] = (how, confidence)
        forests = {
            parent: [node for node in ProcessTree(each).nodes if node.parent is None]
            for parent, each in steps.items()
        }
        return forests, causes, (rows[0][-1] - len(rows)) if rows else 0

    def _touched(self, nodes: Sequence[Node]) -> dict[str, tuple[int, int, int]]:
        if not nodes:
            return {}
        rows = self._reader.rows(query("tree_counts"), _programs(nodes)).rows
        return {node: (files, links, sensitive) for node, files, links, sensitive in rows}

    def _open_nodes(self, roots: Iterable[Node]) -> Iterable[Node]:
        waiting = list(roots)
        while waiting:
            node = waiting.pop()
            if self._is_open(process_key(node)):
                yield node
                waiting += node.children

    def _did(
        self, sessions: Sequence[TreeSession], nodes: Sequence[Node], tools: list[str]
    ) -> tuple[dict[str, list[TreeFile]], dict[str, list[TreeConnection]]]:
        """Files and connections of open processes and tool calls."""
        words = [
            term.text.lower() for term in self._terms if term.field is None and not term.inverse
        ]
        given = {f"word{at}": word for at, word in enumerate(words)}
        fits = " AND ".join(f"contains(said, ${name})" for name in given) or "TRUE"
        asked = _programs(nodes) | given | {"tools": tools, "limit": MOST_FILES}
        opened = {key for key in self._asked.opened if key[0] == "more" and len(key) == 2}
        wide = [key[1] for key in opened]
        of_files = asked | {"few": FEW_FILES, "many": MANY_FILES, "wide": wide}
        ids = self._in(sessions)
        files: dict[str, list[TreeFile]] = {}
        for row in self._rows("tree_files", of_files, ids, fits):
            files.setdefault(row[0], []).append(TreeFile(*row))
        connections: dict[str, list[TreeConnection]] = {}
        of_links = asked | {"many": MANY_FILES}
        for row in self._rows("tree_connections", of_links, ids, fits):
            connections.setdefault(row[0], []).append(TreeConnection(*row))
        return files, connections

    def _in(self, sessions: Sequence[TreeSession]) -> dict[str, str]:
        return {f"session{at}": one.session_id for at, one in enumerate(sessions)}

    def _rows(
        self, name: str, asked: Mapping[str, Any], ids: Mapping[str, str], where: str = "TRUE"
    ) -> tuple[tuple[Any, ...], ...]:
        sql = query(name).replace("{sessions}", ", ".join(f"${each}" for each in ids))
        return self._reader.rows(sql.replace("{where}", where), {**asked, **ids}).rows


def _programs(nodes: Sequence[Node]) -> dict[str, Any]:
    """Parameters that name the programs of processes."""
    programs = [(one, node.first.process_key) for node in nodes for one in node.programs]
    return {
        "keys": [one.process_key for one, _ in programs],
        "nodes": [node for _, node in programs],
        "since_ns": min((one.started_ns or 0 for one, _ in programs), default=0),
    }


def _walk(roots: Iterable[Node]) -> Iterable[Node]:
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.children
