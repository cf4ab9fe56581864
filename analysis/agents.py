"""Which agents a session's calls came from: client, version, program, user, prompt and tools.

In: a session's steps, the messages of its calls and the build ids of executables. Out: an
`AgentRow` for each program that made calls of the session; the view `agents` is the registry over
all sessions. Prompts and tool sets are told by their fingerprints, so that a change is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.derived import AgentRow
from analysis.steps import CallStep, ContextNode, ProcessStep, SessionSteps
from collector.conversations import digest

_LONGEST_LIST = 1_000_000


def agent_rows(
    steps: SessionSteps, nodes: Mapping[str, ContextNode], build_ids: Mapping[str, str]
) -> list[AgentRow]:
    """One row for each agent and program that made calls, in order of their first call.

    `build_ids`: by path of the executable, as far as they are known.
    """
    parted: dict[tuple[str | None, ProcessStep | None], list[CallStep]] = {}
    programs = _programs(steps.processes)
    for call in steps.calls:
        program = _program_at(programs.get(call.pid, ()), call.started_ns)
        parted.setdefault((call.agent, program), []).append(call)
    rows: dict[tuple[str | None, str | None], AgentRow] = {}
    for (agent, program), calls in parted.items():
        executable = program.exe if program is not None else None
        known = rows.get((agent, executable))
        models = dict.fromkeys(call.model for call in calls if call.model)
        row = AgentRow(
            session_id=steps.session.session_id,
            agent=agent or "",
            agent_version=steps.session.agent_version,
            executable=executable or "",
            build_id=build_ids.get(executable or ""),
            uid=program.uid if program is not None else None,
            system_prompt=_system_prompt(calls, nodes),
            tool_set=next((call.tool_set for call in calls if call.tool_set), None),
            models=tuple(models),
            calls=len(calls),
            first_ns=min(call.started_ns for call in calls),
            last_ns=max(call.ended_ns or call.started_ns for call in calls),
        )
        rows[agent, executable] = row if known is None else _together(known, row)
    return list(rows.values())


def _together(known: AgentRow, more: AgentRow) -> AgentRow:
    """Two processes of one program in one session."""
    return AgentRow(
        session_id=known.session_id,
        agent=known.agent,
        agent_version=known.agent_version,
        executable=known.executable,
        build_id=known.build_id,
        uid=known.uid,
        system_prompt=known.system_prompt or more.system_prompt,
        tool_set=known.tool_set or more.tool_set,
        models=tuple(dict.fromkeys((*known.models, *more.models))),
        calls=known.calls + more.calls,
        first_ns=min(known.first_ns, more.first_ns),
        last_ns=max(known.last_ns, more.last_ns),
    )


def _programs(processes: Sequence[ProcessStep]) -> dict[int, list[ProcessStep]]:
    by_pid: dict[int, list[ProcessStep]] = {}
    for process in processes:
        by_pid.setdefault(process.pid, []).append(process)
    return by_pid


def _program_at(bearers: Sequence[ProcessStep], at_ns: int) -> ProcessStep | None:
    """What the process ran then; `bearers` in order of their start."""
    before = [one for one in bearers if (one.started_ns or 0) <= at_ns]
    return before[-1] if before else bearers[0] if bearers else None


def _system_prompt(calls: Sequence[CallStep], nodes: Mapping[str, ContextNode]) -> str | None:
    """Fingerprint of the system prompt of the first call that had one.

    Clients put it at the head of the list, or into messages with the role `system` or `developer`.
    """
    for call in calls:
        node = nodes.get(call.input_node or "")
        heads: list[str] = []
        for _ in range(_LONGEST_LIST):
            if node is None:
                break
            if node.kind == "system" or node.role in ("system", "developer"):
                heads.append(node.content_hash)
            node = nodes.get(node.parent_node or "")
        if heads:
            return digest(*(head.encode() for head in reversed(heads)))[:16]
    return None
