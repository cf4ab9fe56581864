"""What the tree of actions is made of: its lines, and what they are made from.

In: nothing. Out: the types that `analysis.action_reading` fills, `analysis.action_tree` makes lines
of, and the views draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from analysis import cells
from analysis.process_tree import Node
from analysis.table_layout import Column, Table

Key = tuple[str, ...]
LineKind = Literal["session", "tool", "own", "process", "file", "connection", "more"]

ACTIVITY = Table(
    "activity",
    "Activity",
    ("key",),
    (
        Column("kind", "kind", 10, "session, tool, process, file, connection."),
        Column("label", "what", 40, "Tool and arguments, command, path or host.", max_width=90),
        Column("note", "note", 16, "How it ended, why it is taken to be caused.", max_width=40),
    ),
    has_session=False,
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `open` None: nothing is below it. `marked`: it failed, is sensitive or unasked.

    `id` is that of the session, tool call, process, file or network event.
    """

    key: Key
    depth: int
    kind: LineKind
    label: str
    note: str
    style: cells.Style
    open: bool | None
    id: str
    marked: bool = False
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TreeSession:
    """A session. Times in nanoseconds since the epoch, as everywhere here."""

    session_id: str
    agent: str | None
    parent_session_id: str | None
    root_pid: int | None
    started_ns: int
    tool_calls: int

    @property
    def key(self) -> Key:
        """Its line."""
        return ("session", self.session_id)

    @property
    def own_key(self) -> Key:
        """The line below which stands what no tool call did."""
        return ("own", self.session_id)


@dataclass(frozen=True, slots=True)
class TreeTool:
    """A tool call, and how many things it caused."""

    session_id: str
    call_id: str
    tool_call_id: str
    name: str
    arguments: str | None
    is_error: bool | None
    requested_ns: int
    result_ns: int | None
    result: str | None
    total: int
    processes: int
    files: int
    connections: int

    @property
    def node(self) -> str:
        """What processes and files name it by."""
        return f"{self.call_id} {self.tool_call_id}"

    @property
    def key(self) -> Key:
        """Its line."""
        return ("tool", self.node)


@dataclass(frozen=True, slots=True)
class TreeFile:
    """Equal things done to one path. `alike`: how many paths the process did the same to."""

    node: str
    verb: str
    path: str
    new_path: str | None
    error: str | None
    sensitive: str | None
    how: str | None
    confidence: str | None
    id: str
    times: int
    first_ns: int
    last_ns: int
    pid: int
    alike: int


@dataclass(frozen=True, slots=True)
class TreeConnection:
    """Equal connections. `alike`: how many different ones the process made."""

    node: str
    transport: str
    address: str
    port: int | None
    name: str | None
    error: str | None
    how: str | None
    confidence: str | None
    id: str
    times: int
    first_ns: int
    last_ns: int
    pid: int
    alike: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is known of the open branches.

    `forests`: tool call's node, or session -> its processes that have no parent there. `causes`:
    program -> why it counts as caused, and how sure. `touched`: process -> files, connections and
    sensitive files. `unasked`: kind and id of what findings call unasked.
    """

    sessions: Sequence[TreeSession] = ()
    tools: Mapping[str, Sequence[TreeTool]] = field(default_factory=dict)
    forests: Mapping[str, Sequence[Node]] = field(default_factory=dict)
    causes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    touched: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    files: Mapping[str, Sequence[TreeFile]] = field(default_factory=dict)
    connections: Mapping[str, Sequence[TreeConnection]] = field(default_factory=dict)
    unasked: frozenset[tuple[str, str]] = frozenset()
    hidden_processes: int = 0
