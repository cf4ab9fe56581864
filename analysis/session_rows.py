"""Sessions as detectors read them, loaded from a store.

In: a `Reader` and ids of sessions. Out: families of sessions: those that descend from one first
session (sub-agents share its processes), each with its typed rows. A store may hold more than
fits in memory, so families are loaded some at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from analysis.reading import Reader, contents_of, query
from analysis.result import ResultSet
from analysis.steps import (
    CallStep,
    ConnectionStep,
    ContextNode,
    FileStep,
    PrivilegeStep,
    ProcessStep,
    SessionStep,
    SessionSteps,
    SightingStep,
    ToolStep,
    UserTurn,
)
from analysis.turns import MessageLink, user_turns
from collector.store_errors import QueryFailed

FAMILIES_AT_ONCE = 64
_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Family:
    """Sessions that descend from one, and what belongs to them.

    `sessions` are in order of their start, the first one the ancestor of all. Processes, files,
    connections, privileges and sightings of the family stand in each of them: sub-agents mostly
    run inside their parent's process. `nodes` are the messages of all calls; `schemas` the bytes
    of each tool set; `gaps` the arrival of each part of an answer, from the call's start;
    `build_ids` those of executables by path.
    """

    root_id: str
    sessions: tuple[SessionSteps, ...]
    nodes: Mapping[str, ContextNode] = field(default_factory=dict)
    schemas: Mapping[str, int] = field(default_factory=dict)
    gaps: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    build_ids: Mapping[str, str] = field(default_factory=dict)

    @property
    def together(self) -> SessionSteps:
        """All calls, tool calls and turns of the family, as if of its first session."""
        parts = self.sessions
        first = parts[0]
        return SessionSteps(
            session=first.session,
            calls=_merged([part.calls for part in parts], lambda call: call.started_ns),
            tools=_merged([part.tools for part in parts], lambda tool: tool.requested_ns),
            turns=_merged([part.turns for part in parts], lambda turn: turn.at_ns),
            processes=first.processes,
            files=first.files,
            connections=first.connections,
            privileges=first.privileges,
            sightings=first.sightings,
        )


def session_steps(reader: Reader, session_id: str) -> SessionSteps:
    """One session with its rows. Raises `QueryFailed` when the store has no such session."""
    for family in families(reader, [session_id]):
        for steps in family.sessions:
            if steps.session.session_id == session_id:
                return steps
    raise QueryFailed(f"no session {session_id}", hint="`underglass sessions` lists the sessions")


def families(reader: Reader, session_ids: Collection[str]) -> Iterator[Family]:
    """The families of the sessions, each once, oldest first, loaded some at a time."""
    wanted = list(dict.fromkeys(session_ids))
    done: set[str] = set()
    for at in range(0, len(wanted), FAMILIES_AT_ONCE):
        part = [one for one in wanted[at : at + FAMILIES_AT_ONCE] if one not in done]
        if not part:
            continue
        rows = _read(reader, "session_steps", {"sessions": part})
        known = [SessionStep(*row) for row in rows]
        done.update(session.session_id for session in known)
        yield from _load(reader, known)


def root_of(session: SessionStep, by_id: Mapping[str, SessionStep]) -> str:
    """The first ancestor's id; a parent that is not known, or a ring, ends the search."""
    seen = {session.session_id}
    while (parent := by_id.get(session.parent_session_id or "")) is not None:
        if parent.session_id in seen:
            break
        seen.add(parent.session_id)
        session = parent
    return session.session_id


def _load(reader: Reader, sessions: list[SessionStep]) -> Iterator[Family]:
    if not sessions:
        return
    asked: dict[str, Any] = {"sessions": [one.session_id for one in sessions]}
    dated = {**asked, "since_ns": min(one.started_ns for one in sessions)}
    by_id = {one.session_id: one for one in sessions}
    roots = {one.session_id: root_of(one, by_id) for one in sessions}

    def of_session(rows: list[_Row]) -> dict[str, list[_Row]]:
        parted: dict[str, list[_Row]] = {}
        for row in rows:
            parted.setdefault(row.session_id, []).append(row)  # type: ignore[attr-defined]
        return parted

    def of_family(rows: list[_Row]) -> dict[str, list[_Row]]:
        parted: dict[str, list[_Row]] = {}
        for row in rows:
            root = roots.get(row.session_id or "")  # type: ignore[attr-defined]
            if root is not None:
                parted.setdefault(root, []).append(row)
        return parted

    calls = of_session([CallStep(*row) for row in _read(reader, "call_steps", dated)])
    tools = of_session([ToolStep(*row) for row in _read(reader, "tool_steps", dated)])
    processes = [process_step(row) for row in _read(reader, "process_steps", asked)]
    trees = _trees(processes, roots)
    files = of_family([FileStep(*row) for row in _read(reader, "file_steps", asked)])
    connections = of_family(
        [ConnectionStep(*row) for row in _read(reader, "connection_steps", asked)]
    )
    privileges = of_family([_privilege(row) for row in _read(reader, "privilege_steps", asked)])
    sightings = of_family([SightingStep(*row) for row in _read(reader, "sighting_steps", asked)])
    last_ns = max((one.started_ns for part in calls.values() for one in part), default=0)
    nodes = _nodes(reader, {**dated, "until_ns": last_ns})
    schemas = {tool_set: size or 0 for tool_set, size in _read(reader, "tool_schema_sizes", dated)}
    gaps = {call_id: tuple(offsets) for call_id, offsets in _read(reader, "chunk_times", dated)}
    build_ids: dict[str, str] = dict(_read(reader, "build_ids", {}).rows)
    links = [
        MessageLink(
            one.node, one.parent_node, one.position, one.body if one.role == "user" else None
        )
        for one in nodes.values()
    ]
    every_call = [(call, call.input_node) for part in calls.values() for call in part]
    turns: dict[str, list[UserTurn]] = of_session(user_turns(every_call, links))
    members: dict[str, list[SessionStep]] = {}
    for session in sessions:
        members.setdefault(roots[session.session_id], []).append(session)
    for root, family in members.items():
        family.sort(key=lambda one: (one.session_id != root, one.started_ns, one.session_id))
        yield Family(
            root_id=root,
            sessions=tuple(
                SessionSteps(
                    session=one,
                    calls=tuple(calls.get(one.session_id, ())),
                    tools=tuple(tools.get(one.session_id, ())),
                    turns=tuple(turns.get(one.session_id, ())),
                    processes=tuple(trees.get(root, ())),
                    files=tuple(files.get(root, ())),
                    connections=tuple(connections.get(root, ())),
                    privileges=tuple(privileges.get(root, ())),
                    sightings=tuple(sightings.get(root, ())),
                )
                for one in family
            ),
            nodes=nodes,
            schemas=schemas,
            gaps=gaps,
            build_ids=build_ids,
        )


def _trees(processes: list[ProcessStep], roots: Mapping[str, str]) -> dict[str, list[ProcessStep]]:
    """The processes of each family, with their parents, and with children of no session."""
    trees: dict[str, dict[str, ProcessStep]] = {}
    by_pid: dict[int, set[str]] = {}
    parents: dict[int, set[str]] = {}
    for process in processes:
        root = roots.get(process.session_id or "")
        if root is not None:
            trees.setdefault(root, {})[process.process_key] = process
            by_pid.setdefault(process.pid, set()).add(root)
            parents.setdefault(process.ppid or 0, set()).add(root)
    for process in processes:
        if process.session_id not in roots:
            related = set(parents.get(process.pid, ()))
            if process.session_id is None:
                related |= by_pid.get(process.ppid or 0, set())
            for root in related:
                trees[root][process.process_key] = process
    return {
        root: sorted(tree.values(), key=lambda one: (one.started_ns or 0, one.process_key))
        for root, tree in trees.items()
    }


def process_step(row: tuple[Any, ...]) -> ProcessStep:
    """A row of the query `process_steps`."""
    values: list[Any] = [tuple(each) if isinstance(each, list) else each for each in row]
    return ProcessStep(*values)


def _privilege(row: tuple[Any, ...]) -> PrivilegeStep:
    values: list[Any] = [tuple(each) if isinstance(each, list) else each for each in row]
    return PrivilegeStep(*values)


def _nodes(reader: Reader, dated: Mapping[str, Any]) -> dict[str, ContextNode]:
    links = _read(reader, "message_nodes", dated)
    contents = contents_of(reader, links.column("content_hash"))
    unknown = (None, None, None, None)
    nodes = {}
    for node, parent, position, key in links:
        kind, role, size_bytes, body = contents.get(key, unknown)
        nodes[node] = ContextNode(node, parent, position, kind, role, size_bytes, key, body)
    return nodes


def _merged(parts: list[tuple[_Row, ...]], at: Any) -> tuple[_Row, ...]:
    if len(parts) == 1:
        return parts[0]
    return tuple(sorted((row for part in parts for row in part), key=at))


def _read(reader: Reader, name: str, asked: Mapping[str, Any]) -> ResultSet:
    result = reader.rows(query(name), asked)
    if result.truncated:
        raise QueryFailed(
            f"a family of sessions holds more than {len(result)} rows of one kind (`{name}`)"
        )
    return result
