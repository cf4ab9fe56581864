"""What happened without any tool call asking for it, and tool calls without any effect.

In: the steps of a session (or family) and what its tool calls caused. Out: findings.

- `unasked_action`, at most one each for programs, files and connections: what the agent's
  processes did that no tool call explains. Only what matters: a program counts when it (or one
  below it) wrote outside of places for state, reached a host or read a sensitive file; a file
  when it was written there; a connection when it left the machine for a host that serves no models.
  An agent's housekeeping is told by rule: what it ran, wrote and reached before a model first asked
  for a tool, it does anyway. A session without tool calls has nothing to compare with.
- `no_effect`: see `analysis.without_effect`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from analysis.derived import ToolActionRow
from analysis.named_hosts import is_loopback, names_host
from analysis.own_places import OwnPlaces
from analysis.process_tree import Node, ProcessTree, program_name
from analysis.steps import (
    ConnectionStep,
    Evidence,
    FileStep,
    Finding,
    SessionSteps,
    Severity,
)
from analysis.without_effect import without_effect
from collector.llm.registry import model_provider
from collector.sensitive import is_own, is_usual_reader

MOST_EVIDENCE = 20
"""Pieces of evidence that a finding lists; `count` tells how many there are."""
_NAMED = 3  # in a title
_NOTE_CHARS = 200
_LOOKED_UP = "system_accounts"  # every shell reads these


def said_and_did(steps: SessionSteps, actions: Sequence[ToolActionRow]) -> list[Finding]:
    """Findings in order of time. `actions` are those of `analysis.actions.tool_actions`."""
    if not steps.tools:
        return []
    by_tool: dict[tuple[str, str], list[ToolActionRow]] = {}
    for action in actions:
        by_tool.setdefault((action.call_id, action.tool_call_id), []).append(action)
    tree = ProcessTree(steps.processes, steps.calls)
    found = [*_unasked(steps, actions, tree), *without_effect(steps, by_tool, tree)]
    return sorted(found, key=lambda finding: finding.first_at_ns or 0)


# --- Unasked -----------------------------------------------------------------------------------


def _unasked(
    steps: SessionSteps, actions: Sequence[ToolActionRow], tree: ProcessTree
) -> list[Finding]:
    asked = {(action.kind, action.action_id) for action in actions}
    since_ns = min(tool.requested_ns for tool in steps.tools)
    places = OwnPlaces(*_habitual_places(steps, tree, since_ns))
    files = [
        one
        for one in steps.files
        if one.first_ns >= since_ns
        and ("file", one.file_event_id) not in asked
        and _matters(one, places, tree)
    ]
    familiar = _familiar_hosts(steps, since_ns)
    connections = [
        one
        for one in steps.connections
        if one.first_ns >= since_ns
        and ("connection", one.network_event_id) not in asked
        and _leaves(one)
        and (one.name or one.address) not in familiar
        and not any(names_host(turn.text, one) for turn in steps.turns)
    ]
    programs = _programs(tree, [*files, *connections], asked, since_ns)
    written = [one for one in files if one.writes]
    session_id = steps.session.session_id
    found = []
    if programs:
        found.append(_program_finding(session_id, programs))
    if written:
        found.append(_file_finding(session_id, written))
    if connections:
        found.append(_connection_finding(session_id, connections, tree))
    return found


def _habitual_places(
    steps: SessionSteps, tree: ProcessTree, since_ns: int
) -> tuple[list[str], list[str]]:
    work = [step.cwd for node in tree.nodes if node.is_agent for step in node.programs if step.cwd]
    written = [one.path for one in steps.files if one.writes and one.first_ns < since_ns]
    return work, written


def _familiar_hosts(steps: SessionSteps, since_ns: int) -> set[str]:
    return {
        host
        for one in steps.connections
        if one.first_ns < since_ns
        for host in (one.name, one.address)
        if host
    }


def _matters(one: FileStep, places: OwnPlaces, tree: ProcessTree) -> bool:
    if one.sensitive is not None and one.error is None and not _is_usual(one, tree):
        return not places.are_known_to_hold(one.path)
    return one.writes and not places.hold(one.new_path or one.path)


def _is_usual(one: FileStep, tree: ProcessTree) -> bool:
    """Is it read as a matter of course: by the agent or the program that it is for, or to look a
    user up?"""
    reason = one.sensitive or ""
    if one.writes:
        return is_own(reason)
    node = tree.node(one.process_key)
    name = program_name(node) if node is not None else ""
    return is_own(reason) or reason == _LOOKED_UP or is_usual_reader(reason, name)


def _leaves(one: ConnectionStep) -> bool:
    """A TCP connection to another machine that serves no models. Of UDP, what connects without
    ever sending (to sort addresses) cannot be told from what sends."""
    if one.transport != "tcp" or is_loopback(one.address):
        return False
    return one.name is None or model_provider(one.name.lower()) is None


def _programs(
    tree: ProcessTree,
    did: Iterable[FileStep | ConnectionStep],
    asked: set[tuple[str, str]],
    since_ns: int,
) -> list[tuple[Node, FileStep | ConnectionStep]]:
    """Programs that the agent started, with the first thing that makes each of them matter."""
    habits = {node.first.argv for node in tree.nodes if node.start_ns < since_ns}
    found: dict[int, tuple[Node, FileStep | ConnectionStep]] = {}
    for one in did:
        node = tree.node(one.process_key)
        top = _top(node) if node is not None else None
        if top is None or id(top) in found or top.start_ns < since_ns:
            continue
        if top.first.argv in habits or ("process", top.first.process_key) in asked:
            continue
        found[id(top)] = (top, one)
    return sorted(found.values(), key=lambda one: one[0].start_ns)


def _top(node: Node) -> Node | None:
    """The process above (or itself) that the agent started."""
    top = None
    for above in node.lineage():
        if above.is_agent:
            return top
        top = above
    return top


def _program_finding(
    session_id: str, programs: list[tuple[Node, FileStep | ConnectionStep]]
) -> Finding:
    names = _list([program_name(node) for node, _ in programs])
    many = "A program" if len(programs) == 1 else f"{len(programs)} programs"
    return Finding(
        kind="unasked_action",
        session_id=session_id,
        severity=_severity(did for _, did in programs),
        first_at_ns=programs[0][0].start_ns,
        last_at_ns=programs[-1][0].start_ns,
        title=f"{many} that no tool call asked for had effects: {names}",
        evidence=tuple(
            Evidence(
                "process",
                node.first.process_key,
                f"{' '.join(node.first.argv)[:_NOTE_CHARS] or program_name(node)}; {_did(did)}",
                node.start_ns,
                node.pid,
            )
            for node, did in programs[:MOST_EVIDENCE]
        ),
        count=len(programs),
    )


def _file_finding(session_id: str, files: list[FileStep]) -> Finding:
    paths = list(dict.fromkeys(one.new_path or one.path for one in files))
    many = "A file was" if len(paths) == 1 else f"{len(paths)} files were"
    return Finding(
        kind="unasked_action",
        session_id=session_id,
        severity=_severity(files),
        first_at_ns=files[0].first_ns,
        last_at_ns=max(one.last_ns for one in files),
        title=f"{many} changed though no tool call asked for it: {_list(paths)}",
        evidence=tuple(_evidence(one) for one in files[:MOST_EVIDENCE]),
        count=len(paths),
    )


def _connection_finding(
    session_id: str, connections: list[ConnectionStep], tree: ProcessTree
) -> Finding:
    hosts = list(dict.fromkeys(one.name or one.address for one in connections))
    nodes = [tree.node(one.process_key) for one in connections]
    by_agent = all(node is not None and node.is_agent for node in nodes)
    many = "A host was" if len(hosts) == 1 else f"{len(hosts)} hosts were"
    return Finding(
        kind="unasked_action",
        session_id=session_id,
        severity="info" if by_agent else "warning",  # agents send telemetry
        first_at_ns=connections[0].first_ns,
        last_at_ns=max(one.last_ns for one in connections),
        title=f"{many} reached though no tool call asked for it: {_list(hosts)}",
        evidence=tuple(_evidence(one) for one in connections[:MOST_EVIDENCE]),
        count=len(hosts),
    )


def _severity(did: Iterable[FileStep | ConnectionStep]) -> Severity:
    for one in did:
        if isinstance(one, ConnectionStep) or one.sensitive is not None:
            return "warning"
    return "info"


def _evidence(one: FileStep | ConnectionStep) -> Evidence:
    if isinstance(one, FileStep):
        return Evidence("file", one.file_event_id, _did(one), one.first_ns, one.pid)
    return Evidence("connection", one.network_event_id, _did(one), one.first_ns, one.pid)


def _did(one: FileStep | ConnectionStep) -> str:
    if isinstance(one, ConnectionStep):
        return f"connected to {one.name or one.address}:{one.port}"
    verb = f"opened to {one.access}" if one.operation == "open" else one.operation
    return f"{verb} {one.path}" + (f" -> {one.new_path}" if one.new_path else "")


def _list(names: Sequence[str]) -> str:
    some = list(dict.fromkeys(names))
    more = f" and {len(some) - _NAMED} more" if len(some) > _NAMED else ""
    return ", ".join(some[:_NAMED]) + more
