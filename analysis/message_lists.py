"""Message lists as chains of nodes, each measured once and summed up along the chain.

In: `ContextNode`s by name. Out: of the list that ends in a node, its `Sums`, its tool results by
tool and file contents by path, its messages. Work grows with the nodes that are new, not with
the length of the lists: agents resend theirs with every request. A node whose parent is not
known begins a list.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from analysis.message_anatomy import Anatomy, Called, Result, anatomy
from analysis.steps import ContextNode

_NEAR = 200
"""A tool result is looked for so many messages behind its call; results follow their calls."""
_TALLIES_KEPT = 64
_MOST_NAMES = 500
OTHERS = "(others)"
"""Tools and files beyond so many, together."""
UNKNOWN_TOOL = "(unknown)"


class Sums(NamedTuple):
    """Sums over a list. `messages` leaves out system prompts; `depth` counts all."""

    depth: int = 0
    messages: int = 0
    system_bytes: int = 0
    user_bytes: int = 0
    assistant_bytes: int = 0
    tool_result_bytes: int = 0
    other_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return sum(self[2:])


class Tallies(NamedTuple):
    """Bytes of tool results by tool, and of file contents by path."""

    tools: dict[str, int]
    files: dict[str, int]


class MessageLists:
    """The lists of some calls. Memory: a few numbers a node, and each distinct message's parts."""

    def __init__(self, nodes: Mapping[str, ContextNode]) -> None:
        self._nodes = nodes
        self._sums: dict[str, Sums] = {}
        self._parents: dict[str, str | None] = {}
        self._anatomies: dict[str, Anatomy] = {}
        self._tallies: OrderedDict[str, Tallies] = OrderedDict()

    def knows(self, leaf: str | None) -> bool:
        """Is there a list that ends in this node?"""
        return leaf is not None and leaf in self._nodes

    def sums(self, leaf: str) -> Sums:
        """The sums over the list that ends in the node."""
        new: list[str] = []
        walked: set[str] = set()
        node: str | None = leaf
        while node is not None and node not in self._sums and node not in walked:
            if node not in self._nodes:
                node = None
                break
            walked.add(node)
            new.append(node)
            node = self._nodes[node].parent_node
        if node not in self._sums:
            node = None  # unknown, or a ring
        for one in reversed(new):
            before = Sums() if node is None else self._sums[node]
            part = self.anatomy(one)
            self._sums[one] = Sums(
                before.depth + 1,
                before.messages + (not part.is_system),
                before.system_bytes + part.system_bytes,
                before.user_bytes + part.user_bytes,
                before.assistant_bytes + part.assistant_bytes,
                before.tool_result_bytes + part.tool_result_bytes,
                before.other_bytes + part.other_bytes,
            )
            self._parents[one] = node
            node = one
        return self._sums[leaf]

    def anatomy(self, node: str) -> Anatomy:
        """The parts of one message."""
        about = self._nodes[node]
        key = about.content_hash or node
        known = self._anatomies.get(key)
        if known is None:
            known = self._anatomies[key] = anatomy(about)
        return known

    def content(self, node: str) -> str:
        """What is equal for equal messages."""
        return self._nodes[node].content_hash or node

    def size_bytes(self, node: str) -> int:
        """The size of one message."""
        part = self.anatomy(node)
        return sum(
            (
                *(part.system_bytes, part.user_bytes, part.assistant_bytes),
                *(part.tool_result_bytes, part.other_bytes),
            )
        )

    def upwards(self, leaf: str | None) -> Iterator[str]:
        """The nodes of a list from its end to its beginning."""
        if leaf is not None:
            self.sums(leaf)
        while leaf is not None:
            yield leaf
            leaf = self._parents[leaf]

    def last(self, leaf: str) -> str | None:
        """The last message that is no instruction; clients put some behind the user's words."""
        return next((one for one in self.upwards(leaf) if not self.anatomy(one).is_system), None)

    def shared(self, one: str, other: str) -> str | None:
        """The last node of the beginning that two lists share."""
        a: str | None = one
        b: str | None = other
        depth_a, depth_b = self.sums(one).depth, self.sums(other).depth
        while a != b and a is not None and b is not None:
            if depth_a >= depth_b:
                a, depth_a = self._parents[a], depth_a - 1
            else:
                b, depth_b = self._parents[b], depth_b - 1
        return a if a == b else None

    def tallies(self, leaf: str) -> Tallies:
        """Tool results by tool and files by path over the list that ends in the node."""
        new: list[str] = []
        tools: dict[str, int] = {}
        files: dict[str, int] = {}
        for node in self.upwards(leaf):
            known = self._tallies.get(node)
            if known is not None:
                self._tallies.move_to_end(node)
                if not new:
                    return known
                tools, files = dict(known.tools), dict(known.files)
                break
            new.append(node)
        for node in reversed(new):
            for tool, path, size in self.results(node):
                _add(tools, tool, size)
                if path is not None:
                    _add(files, path, size)
        found = Tallies(tools, files)
        self._tallies[leaf] = found
        if len(self._tallies) > _TALLIES_KEPT:
            self._tallies.popitem(last=False)
        return found

    def results(self, node: str) -> Iterator[tuple[str, str | None, int]]:
        """The tool results in one message: tool, the file that it read, size in bytes."""
        part = self.anatomy(node)
        if not part.results:
            if part.tool_result_bytes:
                yield UNKNOWN_TOOL, None, part.tool_result_bytes
            return
        told = sum(result.size_bytes for result in part.results)
        left = part.tool_result_bytes
        for position, result in enumerate(part.results):
            last = position == len(part.results) - 1
            size = left if last else min(left, result.size_bytes)
            if not last and told > part.tool_result_bytes:
                size = min(left, result.size_bytes * part.tool_result_bytes // told)
            left -= size
            call = self._called(node, result)
            name = call.name if call is not None else result.name or UNKNOWN_TOOL
            yield name, None if call is None else call.path, size

    def _called(self, node: str, result: Result) -> Called | None:
        """The tool call that a result answers: by its id; else the one of that name, if there is
        one, in the last message that calls tools."""
        for steps, above in enumerate(self.upwards(node)):
            if steps > _NEAR:
                break
            calls = self.anatomy(above).called
            if result.tool_call_id is not None:
                for call in reversed(calls):
                    if call.tool_call_id == result.tool_call_id:
                        return call
            elif calls:
                fitting = [call for call in calls if result.name in (None, call.name)]
                return fitting[0] if len(fitting) == 1 else None
        return None


def _add(tally: dict[str, int], name: str, size: int) -> None:
    if name not in tally and len(tally) >= _MOST_NAMES:
        name = OTHERS
    tally[name] = tally.get(name, 0) + size
