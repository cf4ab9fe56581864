"""What each tool call of a model caused: programs, files touched, connections.

In: the steps of a session, or of a family of sessions that share processes. Out: a `ToolActionRow`
for each thing that a tool call is taken to have caused, with why and how sure.

- `command`: a process that the agent started runs the very command that the model asked for.
  Two calls open at once are told apart by their texts. A program that a running shell starts
  counts when its command line is part of the command.
- `descendant`: done by such a process or one below it, also after the tool call ended.
- `path`, `host`: the arguments name the file or host that a process of the agent's own (itself, an
  MCP server) touched while the tool call was open.
- `window`: it happened while this tool call, and no other, was open, and nothing else tells what
  the tool call did. Only likely.
"""

from __future__ import annotations

import posixpath
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import TypeVar

from analysis.derived import ToolActionRow
from analysis.named_hosts import is_loopback
from analysis.own_places import is_own_place
from analysis.process_owners import ProcessOwners
from analysis.process_tree import ProcessTree
from analysis.steps import ConnectionStep, FileStep, SessionSteps
from analysis.tool_targets import Target, Targets, is_same_file, targets
from analysis.tool_windows import ToolWindow, ToolWindows
from collector.llm.registry import model_provider

MOST_CANDIDATES = 400
"""Files or connections of the agent's own looked at for one tool call."""
_MOST_DIRECTORIES = 4  # from where relative paths are tried


_Done = TypeVar("_Done", FileStep, ConnectionStep)


def tool_actions(steps: SessionSteps) -> list[ToolActionRow]:
    """What the tool calls caused, by tool call in order, then by time. Nothing counts twice,
    save a file that two tool calls open at once name."""
    return _Join(steps).rows()


class _Join:
    def __init__(self, steps: SessionSteps) -> None:
        self._steps = steps
        self._tree = ProcessTree(steps.processes, steps.calls)
        self._windows = ToolWindows(steps.tools, steps.calls, steps.session.session_id)
        self._owners = ProcessOwners(self._tree, self._windows)
        self._rows: list[tuple[int, int, ToolActionRow]] = []
        first_ns = min((tool.requested_ns for tool in steps.tools), default=0)
        self._familiar = {
            (one.address, one.port) for one in steps.connections if one.first_ns < first_ns
        }
        self._own_files = self._unowned(steps.files)
        self._own_connections = self._unowned(steps.connections)
        self._by_name = _by_name(self._own_files)
        self._named: set[str] = set()  # ids of files and connections that arguments name
        directories = _directories(self._tree)
        for window in self._windows.all:
            named = targets(window.tool, directories)
            self._match_paths(window, named)
            self._match_hosts(window, named)
        self._owners.fill_windows()

    def _unowned(self, done: Sequence[_Done]) -> list[_Done]:
        """What processes of the agent's own did, in order of time."""
        own = [one for one in done if self._owners.of_deed(one.process_key, one.first_ns) is None]
        return sorted(own, key=lambda one: one.first_ns)

    def rows(self) -> list[ToolActionRow]:
        """Everything found, once."""
        self._take_processes()
        for file in self._steps.files:
            self._take_done(file)
        for connection in self._steps.connections:
            self._take_done(connection)
        self._rows.sort(key=lambda row: (*row[:2], row[2].kind, row[2].action_id))
        once: dict[tuple[int, str, str], ToolActionRow] = {}
        for at, _, row in self._rows:
            key = (at, row.kind, row.action_id)
            if key not in once or row.confidence == "certain":
                once[key] = row
        return list(once.values())

    # --- files and hosts that arguments name ---------------------------------------------

    def _match_paths(self, window: ToolWindow, named: Targets) -> None:
        for path in named.paths:
            for done, certain in self._files_named(path, window):
                self._named.add(done.file_event_id)
                window.explained = True
                self._add_done(window, done, "path", "certain" if certain else "likely")

    def _files_named(self, path: str, window: ToolWindow) -> Iterator[tuple[FileStep, bool]]:
        """Files of that path, for certain; and likely: below a link or a descriptor, a copy beside
        it that will take its place, what is in the directory of that name."""
        same_name = _lasting_into(self._by_name.get(posixpath.basename(path), []), window)
        exact = any(path in (one.path, one.new_path) for one in same_name)
        for one in same_name:
            if path in (one.path, one.new_path):
                yield one, True
            elif is_same_file(one.new_path or one.path, path, by_tail=not exact):
                yield one, False
        if window.commands:
            return
        for one in _between(self._own_files, window):
            inside = not same_name and one.path.startswith(path.rstrip("/") + "/")
            if one.path.startswith(path + ".") or (
                inside and not is_own_place(one.path[len(path) :])
            ):
                yield one, False

    def _match_hosts(self, window: ToolWindow, named: Targets) -> None:
        if not named.hosts:
            return
        for done in _between(self._own_connections, window):
            if any(reaches(done, target) for target in named.hosts):
                self._named.add(done.network_event_id)
                window.explained = True
                self._add_done(window, done, "host", "certain")

    # --- rows ----------------------------------------------------------------------------

    def _take_processes(self) -> None:
        for node in self._tree.nodes:
            owner = self._owners.of(node)
            if owner is None:
                continue
            for program in node.programs:
                self._add(
                    owner.window,
                    ("process", program.process_key, program.started_ns),
                    owner.how,
                    owner.confidence,
                )

    def _take_done(self, done: FileStep | ConnectionStep) -> None:
        owner = self._owners.of_deed(done.process_key, done.first_ns)
        if owner is not None:
            how = "window" if owner.how == "window" else "descendant"
            self._add_done(owner.window, done, how, owner.confidence)
            return
        if _id_of(done) in self._named:
            return
        window = self._owners.unexplained(done.first_ns)
        if window is not None and self._tells(done):
            self._add_done(window, done, "window", "likely")

    def _tells(self, done: FileStep | ConnectionStep) -> bool:
        """May time alone join it to a tool call? What agents do all the time may not."""
        if isinstance(done, FileStep):
            return done.writes and not is_own_place(done.path)
        if done.transport != "tcp" or (done.address, done.port) in self._familiar:
            return False
        return done.name is None or model_provider(done.name.lower()) is None

    def _add_done(
        self, window: ToolWindow, done: FileStep | ConnectionStep, how: str, confidence: str
    ) -> None:
        kind = "file" if isinstance(done, FileStep) else "connection"
        self._add(window, (kind, _id_of(done), done.first_ns), how, confidence)

    def _add(
        self, window: ToolWindow, action: tuple[str, str, int | None], how: str, confidence: str
    ) -> None:
        tool = window.tool
        kind, action_id, at_ns = action
        self._rows.append(
            (
                window.index,
                at_ns or 0,
                ToolActionRow(
                    tool.session_id, tool.call_id, tool.tool_call_id,
                    kind, action_id, at_ns, how, confidence,
                ),
            )
        )  # fmt: skip


def reaches(done: ConnectionStep, target: Target) -> bool:
    """Is it a connection to that host?"""
    if target.port is not None and done.port is not None and target.port != done.port:
        return False
    name = (done.name or "").lower()
    if target.host in (name, done.address) or name.endswith("." + target.host):
        return True
    return is_loopback(target.host) and is_loopback(done.address)


def _id_of(done: FileStep | ConnectionStep) -> str:
    return done.file_event_id if isinstance(done, FileStep) else done.network_event_id


def _directories(tree: ProcessTree) -> list[str]:
    """Working directories of the agent's own processes, those of the caller first."""
    found: dict[str, None] = {}
    for node in reversed(tree.nodes):
        if node.is_agent:
            for program in node.programs:
                if program.cwd:
                    found[program.cwd] = None
    return list(found)[:_MOST_DIRECTORIES]


def _by_name(files: list[FileStep]) -> dict[str, list[FileStep]]:
    """Files by the last name of their paths, each list in order of time."""
    named: dict[str, list[FileStep]] = {}
    for one in files:
        for name in {posixpath.basename(one.path), posixpath.basename(one.new_path or one.path)}:
            named.setdefault(name, []).append(one)
    return named


def _between(done: list[_Done], window: ToolWindow) -> list[_Done]:
    """What began while the tool call was open. `done` is in order of time."""
    first = bisect_left(done, window.first_ns, key=lambda one: one.first_ns)
    last = bisect_right(done, window.last_ns, key=lambda one: one.first_ns)
    return done[first : min(last, first + MOST_CANDIDATES)]


def _lasting_into(done: list[_Done], window: ToolWindow) -> list[_Done]:
    """What began before the tool call ended and went on while it was open."""
    last = bisect_right(done, window.last_ns, key=lambda one: one.first_ns)
    some = done[max(0, last - MOST_CANDIDATES) : last]
    return [one for one in some if one.last_ns >= window.first_ns]
