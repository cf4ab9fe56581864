"""The processes of a session as a tree, and which of them are the agent.

In: `ProcessStep`s, one for each program that a process ran, and the calls to models. Out: a
`ProcessTree` of `Node`s, one for each process: its programs in order, its parent, whether it is
the agent (it talks to a model, or an ancestor of it that ran before). Used by `analysis.actions`,
`analysis.said_and_did` and `analysis.injection`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from analysis.steps import CallStep, ProcessStep

_KEY_PARTS = 3  # boot, pid and start name the process; what follows numbers its programs
_DEEPEST = 1000  # ancestors; hostile rows may form a ring


@dataclass(slots=True, eq=False)
class Node:
    """One process. `start_ns` is 0 when not known: it ran before the capture."""

    pid: int
    ppid: int | None
    start_ns: int
    programs: list[ProcessStep]
    parent: Node | None = None
    is_agent: bool = False
    children: list[Node] = field(default_factory=list)

    @property
    def first(self) -> ProcessStep:
        """The first program that it ran."""
        return self.programs[0]

    @property
    def end_ns(self) -> int | None:
        """When the last of its programs ended; None: it runs, or its end was not seen."""
        return self.programs[-1].ended_ns

    def program_at(self, at_ns: int) -> ProcessStep:
        """The program that it ran at that time."""
        found = self.programs[0]
        for program in self.programs[1:]:
            if (program.started_ns or 0) > at_ns:
                break
            found = program
        return found

    def lineage(self) -> Iterator[Node]:
        """The process and its ancestors, nearest first."""
        node: Node | None = self
        for _ in range(_DEEPEST):
            if node is None:
                return
            yield node
            node = node.parent


class ProcessTree:
    """`nodes` are in order of their start."""

    def __init__(self, processes: Iterable[ProcessStep], calls: Iterable[CallStep] = ()) -> None:
        by_process: dict[tuple[str, int], list[ProcessStep]] = {}
        for step in processes:
            by_process.setdefault((_process_name(step.process_key), step.pid), []).append(step)
        self._by_key: dict[str, Node] = {}
        self._by_name: dict[str, Node] = {}
        nodes = [_node(programs) for programs in by_process.values()]
        self.nodes = sorted(nodes, key=_start)
        self._bearers: dict[int, list[Node]] = {}
        for node in self.nodes:
            self._bearers.setdefault(node.pid, []).append(node)
            self._by_name[_process_name(node.first.process_key)] = node
            for program in node.programs:
                self._by_key[program.process_key] = node
        for node in self.nodes:
            parent = self.bearer(node.ppid, node.start_ns) if node.ppid is not None else None
            if parent is not None and parent is not node:
                node.parent = parent
                parent.children.append(node)
        self._mark_agent(calls)

    def node(self, process_key: str) -> Node | None:
        """The process that a key names, whichever of its programs it is."""
        return self._by_key.get(process_key) or self._by_name.get(_process_name(process_key))

    def bearer(self, pid: int, at_ns: int) -> Node | None:
        """The process that had the pid at that time."""
        bearers = self._bearers.get(pid)
        if not bearers:
            return None
        before = bisect_right(bearers, at_ns, key=_start)
        return bearers[before - 1] if before else None

    def _mark_agent(self, calls: Iterable[CallStep]) -> None:
        """Who calls the models. A program that a tool started and that calls one, too, is none:
        it lies below the process that called first."""
        callers: dict[int, Node] = {}
        for call in sorted(calls, key=lambda call: call.started_ns):
            node = self.bearer(call.pid, call.started_ns)
            if node is None or id(node) in callers:
                continue
            if any(id(above) in callers for above in node.lineage()):
                continue
            callers[id(node)] = node
        for node in callers.values():
            for above in node.lineage():
                above.is_agent = True


def program_name(node: Node) -> str:
    """Base name of its first program: of the executable, else as it was called."""
    first = node.first
    path = first.exe or (first.argv[0] if first.argv else first.comm or "")
    return path.rpartition("/")[2]


def _node(programs: list[ProcessStep]) -> Node:
    programs.sort(key=lambda step: step.started_ns or 0)
    first = programs[0]
    return Node(first.pid, first.ppid, first.started_ns or 0, programs)


def _start(node: Node) -> int:
    return node.start_ns


def _process_name(process_key: str) -> str:
    return ":".join(process_key.split(":", _KEY_PARTS)[:_KEY_PARTS])
