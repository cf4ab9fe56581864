"""Which tool call each process belongs to.

In: the tree of processes and the windows of the tool calls. Out: `ProcessOwners`, which tells the
owner of a process, and of what a process did at some time. Used by `analysis.actions`, whose
docstring says what counts as evidence.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.command_text import Command
from analysis.process_tree import Node, ProcessTree, program_name
from analysis.tool_targets import argument_words
from analysis.tool_windows import ToolWindow, ToolWindows

MOST_CANDIDATES = 400
"""Processes looked at for one tool call. The command of a tool call starts within milliseconds;
what comes hundreds of processes later is below it."""

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "busybox", "pwsh"})


@dataclass(frozen=True, slots=True)
class Owner:
    """To which tool call a process belongs, why (`ToolActionRow.how`), and how sure that is."""

    window: ToolWindow
    how: str
    confidence: str


class ProcessOwners:
    """Owners by command and descent from the start; `fill_windows` adds those by time alone."""

    def __init__(self, tree: ProcessTree, windows: ToolWindows) -> None:
        self._tree = tree
        self._windows = windows
        self._owners: dict[int, Owner] = {}  # by id(node)
        self._first_ns = min((window.start_ns for window in windows.all), default=0)
        self._last_ns = max((one.tool.result_ns or one.start_ns for one in windows.all), default=0)
        self._habits = {
            program_name(node)
            for node in tree.nodes
            if node.start_ns < self._first_ns and node.parent is not None and node.parent.is_agent
        }
        self._match_commands()
        self._inherit()

    def of(self, node: Node) -> Owner | None:
        """The owner of a process."""
        return self._owners.get(id(node))

    def of_deed(self, process_key: str, at_ns: int) -> Owner | None:
        """The owner of what a process did at that time."""
        node = self._tree.node(process_key)
        owner = self._owners.get(id(node)) if node is not None else None
        if owner is None:
            return None
        return self._typed_into(owner, at_ns) or owner

    def unexplained(self, at_ns: int) -> ToolWindow | None:
        """The one tool call that was open at that time, when nothing is known of its effect."""
        window = self._windows.only(at_ns)
        return None if window is None or window.explained else window

    def fill_windows(self) -> None:
        """Join by time alone what has no owner yet, and what is below it."""
        for node in self._tree.nodes:
            if id(node) in self._owners or node.is_agent:
                continue
            above = self._owners.get(id(node.parent)) if node.parent is not None else None
            if above is not None:
                self._owners[id(node)] = Owner(above.window, "descendant", above.confidence)
                continue
            window = self.unexplained(node.start_ns) if node.start_ns else None
            if window is not None and self._may_be_of(node, window):
                self._owners[id(node)] = Owner(window, "window", "likely")

    def _match_commands(self) -> None:
        """Longer commands first: a short one may stand inside the wrapper of a long one."""
        workers = [node for node in self._tree.nodes if not node.is_agent]
        started = [node for node in workers if node.parent is None or node.parent.is_agent]
        below = [node for node in workers if node.parent is not None and not node.parent.is_agent]
        commands = [
            (window, Command(text)) for window in self._windows.all for text in window.commands
        ]
        commands.sort(key=lambda one: (-len(one[1].squeezed), one[0].start_ns))
        left = [
            (window, command)
            for window, command in commands
            if not self._match_whole(window, command, _started_in(started, window))
        ]
        for window, command in left:
            candidates = [
                node
                for node in (*_started_in(started, window), *_started_in(below, window))
                if node.parent is not None and node.parent.start_ns < window.first_ns
            ]
            if self._match_whole(window, command, candidates):
                continue
            for node in candidates:
                if id(node) not in self._owners and any(
                    command.names(program.argv) for program in node.programs
                ):
                    self._own(node, window, "likely")

    def _match_whole(self, window: ToolWindow, command: Command, nodes: Sequence[Node]) -> bool:
        for node in nodes:
            if id(node) not in self._owners and any(
                command.is_run_by(program.argv) for program in node.programs
            ):
                self._own(node, window, "certain")
                return True
        return False

    def _own(self, node: Node, window: ToolWindow, confidence: str) -> None:
        self._owners[id(node)] = Owner(window, "command", confidence)
        window.explained = True

    def _inherit(self) -> None:
        for node in self._tree.nodes:
            if id(node) in self._owners or node.parent is None:
                continue
            above = self._owners.get(id(node.parent))
            if above is None or node.is_agent:
                continue
            now = self._typed_into(above, node.start_ns)
            self._owners[id(node)] = now or Owner(above.window, "descendant", above.confidence)

    def _typed_into(self, owner: Owner, at_ns: int) -> Owner | None:
        """The later tool call that typed into what an earlier one left running."""
        if at_ns <= owner.window.last_ns:
            return None
        window = self._windows.only(at_ns)
        if window is None or not window.types:
            return None
        return Owner(window, "window", "likely")

    def _may_be_of(self, node: Node, window: ToolWindow) -> bool:
        """May time alone join the process to the tool call?

        Not what the agent runs anyway, and no program that a command would have named: a shell
        may be told the command through its input.
        """
        if node.parent is not None and not node.parent.is_agent:
            return not self._is_below_errand(node)
        argv = node.first.argv
        if window.commands:
            return program_name(node) in SHELLS and "-c" not in argv
        words = argument_words(window.tool)
        return program_name(node) not in self._habits or any(word in words for word in argv[1:])

    def _is_below_errand(self, node: Node) -> bool:
        """Is it below what the agent ran before a model first asked for a tool, and what was done
        before the last tool call was? A server or shell that tools use lives on."""
        top = node
        for above in node.lineage():
            if above.is_agent:
                break
            top = above
        ended_ns = top.end_ns
        return top.start_ns < self._first_ns and ended_ns is not None and ended_ns < self._last_ns


def _started_in(nodes: list[Node], window: ToolWindow) -> list[Node]:
    first = bisect_left(nodes, window.first_ns, key=lambda node: node.start_ns)
    last = bisect_right(nodes, window.last_ns, key=lambda node: node.start_ns)
    return nodes[first : min(last, first + MOST_CANDIDATES)]
