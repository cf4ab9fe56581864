"""Who acts: sessions with their processes, as far as conflicts need it.

In: sessions, processes and what tool calls caused. Out: `Actor`s, and for each step the one that
did it. A sub-agent is an actor of its own when it has a session; where it has no process of its
own, what its tool calls caused is its work (`attributed`).
"""

from __future__ import annotations

import os.path
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from analysis.derived import ToolActionRow
from analysis.steps import FileStep, ProcessStep, SessionStep

_INTERPRETERS = ("python", "node", "ruby", "perl", "bash", "sh", "deno", "bun")


@dataclass(frozen=True, slots=True)
class Actor:
    """An agent, a sub-agent or a session, with the processes that work for it.

    `label` is for people. `started_ns` and `ended_ns` are those of its processes together; None:
    not known, or still running.
    """

    actor_id: str
    session_id: str
    label: str
    process_keys: frozenset[str]
    started_ns: int | None = None
    ended_ns: int | None = None

    @property
    def wall_ns(self) -> int | None:
        """How long it ran; None: not known."""
        if self.started_ns is None or self.ended_ns is None:
            return None
        return max(0, self.ended_ns - self.started_ns)


class Actors:
    """Finds the actor of a step: that of its process, unless a tool call of another one did it."""

    def __init__(self, actors: Iterable[Actor]) -> None:
        self._of_process: dict[str, Actor] = {}
        self._of_session: dict[str, Actor | None] = {}
        for actor in actors:
            for key in sorted(actor.process_keys):
                self._of_process.setdefault(key, actor)
            other = self._of_session.get(actor.session_id)
            self._of_session[actor.session_id] = None if other else actor
        for key, actor in list(self._of_process.items()):
            self._of_process.setdefault(process_of(key), actor)

    def of_file(self, step: FileStep) -> Actor | None:
        """Who did it; None: nobody that is an actor."""
        key = step.process_key
        runs = self._of_process.get(key) or self._of_process.get(process_of(key))
        if step.session_id is None or (runs and runs.session_id == step.session_id):
            return runs
        named = self._of_session.get(step.session_id)
        if runs is None:  # what ran above an agent is no part of it
            return None if named is None or named.process_keys else named
        return named or runs

    def of_session(self, session_id: str) -> Actor | None:
        """The one actor of a session; None: none, or several."""
        return self._of_session.get(session_id)


def actors_of(sessions: Sequence[SessionStep], processes: Iterable[ProcessStep]) -> list[Actor]:
    """One actor for each session, in the order of the sessions.

    A process belongs to the session that it works for, if it is not above the one that talks to
    the model: what starts several agents works for none of them.
    """
    working: defaultdict[str, dict[str, ProcessStep]] = defaultdict(dict)
    for process in processes:
        if process.session_id is not None:
            working[process.session_id][process.process_key] = process
    return [
        _actor(session, _below(session.root_pid, list(working[session.session_id].values())))
        for session in sessions
    ]


def attributed(files: Iterable[FileStep], actions: Iterable[ToolActionRow]) -> list[FileStep]:
    """Steps with the session of the tool call that caused them, where one did for certain.

    Sub-agents inside one process are told apart so.
    """
    session_of = {
        action.action_id: action.session_id
        for action in actions
        if action.kind == "file" and action.confidence == "certain"
    }
    return [
        step
        if session_of.get(step.file_event_id, step.session_id) == step.session_id
        else replace(step, session_id=session_of[step.file_event_id])
        for step in files
    ]


def process_of(process_key: str) -> str:
    """The key of a process without the number of the program that it runs."""
    return ":".join(process_key.split(":", 3)[:3])


def ends_of(processes: Iterable[ProcessStep]) -> Mapping[str, int | None]:
    """When each process ended, by `process_of`; None: it runs, or its end was not seen."""
    ends: dict[str, int | None] = {}
    for process in processes:
        key = process_of(process.process_key)
        known = ends.get(key, 0)
        end = process.ended_ns
        ends[key] = None if known is None or end is None else max(known, end)
    return ends


def _below(root_pid: int | None, processes: list[ProcessStep]) -> list[ProcessStep]:
    """Those that are not above the root."""
    parents = {process.pid: process.ppid for process in processes}
    above: set[int] = set()
    pid = None if root_pid is None else parents.get(root_pid)
    while pid is not None and pid in parents and pid not in above and pid != root_pid:
        above.add(pid)
        pid = parents[pid]
    return [process for process in processes if process.pid not in above]


def _actor(session: SessionStep, processes: list[ProcessStep]) -> Actor:
    starts = [process.started_ns for process in processes]
    ends = list(ends_of(processes).values())
    root = next((one for one in processes if one.pid == session.root_pid), None)
    name = session.agent or (_program(root) if root else None) or "session"
    pid = session.root_pid
    return Actor(
        actor_id=session.session_id,
        session_id=session.session_id,
        label=f"{name} (pid {pid})" if pid is not None else f"{name} {session.session_id[:8]}",
        process_keys=frozenset(process.process_key for process in processes),
        started_ns=min((start for start in starts if start is not None), default=None)
        if None not in starts
        else None,
        ended_ns=max((end for end in ends if end is not None), default=None)
        if None not in ends
        else None,
    )


def _program(process: ProcessStep) -> str | None:
    """The script that an interpreter runs, else the program's name."""
    words = [word for word in process.argv if word and not word.startswith("-")]
    names = [os.path.basename(word) for word in words[:2]]
    if len(names) > 1 and names[0].startswith(_INTERPRETERS):
        return names[1]
    return names[0] if names else process.comm
