"""A session told step by step: what was asked for and what processes did, in milliseconds.

The agent is process 100 and calls a model from the start. `Story.steps` are its `SessionSteps`.
"""

from __future__ import annotations

import json
from typing import Any

from analysis.derived import ToolActionRow
from analysis.steps import (
    CallStep,
    ConnectionStep,
    FileStep,
    ProcessStep,
    SessionStep,
    SessionSteps,
    ToolStep,
    UserTurn,
    tool_step,
)

MS = 1_000_000
AGENT = 100
WORK = "/home/u/work"


class Story:
    """Each method adds one row and gives its id; `at` is when, in milliseconds."""

    def __init__(self, *said: str) -> None:
        self.processes: list[ProcessStep] = []
        self.files: list[FileStep] = []
        self.connections: list[ConnectionStep] = []
        self.tools: list[ToolStep] = []
        self.calls: list[CallStep] = []
        self.turns = [UserTurn("s", "c0", text, 0) for text in said]
        self._programs: dict[int, int] = {}
        self.run(0, AGENT, 1, "agent")
        self.call(5)

    def call(self, at: float, pid: int = AGENT) -> str:
        call_id = f"c{len(self.calls)}"
        self.calls.append(CallStep(call_id, "s", "m", _ns(at), 1, 1, pid=pid))
        return call_id

    def run(
        self, at: float, pid: int, ppid: int, *argv: str, end: float | None = None, **more: Any
    ) -> str:
        """A program; one more of a pid that is known is an exec."""
        number = self._programs.get(pid, 0)
        self._programs[pid] = number + 1
        key = f"boot:{pid}:7" + (f":{number}" if number else "")
        more = {"exe": None, "uid": 1000, "cwd": WORK} | more
        self.processes.append(
            ProcessStep(
                key, pid, ppid, argv, started_ns=_ns(at), session_id="s",
                ended_ns=None if end is None else _ns(end), **more,
            )
        )  # fmt: skip
        return key

    def tool(
        self,
        at: float,
        until: float | None,
        name: str,
        arguments: Any,
        result: str | None = "ok",
        **more: Any,
    ) -> str:
        """A tool call and its result; a text as arguments is a shell command."""
        if isinstance(arguments, str):
            arguments = {"command": arguments}
        tool_call_id = f"t{len(self.tools)}"
        more = {"session_id": "s", **more}
        self.tools.append(
            tool_step(
                tool_call_id, name, json.dumps(arguments), result if until is not None else None,
                call_id=self.calls[-1].call_id, requested_ns=_ns(at),
                result_ns=None if until is None else _ns(until), **more,
            )
        )  # fmt: skip
        return tool_call_id

    def file(self, at: float, pid: int, path: str, access: str | None = "read", **more: Any) -> str:
        """An open, or another operation."""
        file_event_id = f"f{len(self.files)}"
        more = {"operation": "open", "last_ns": _ns(more.pop("until", at)), **more}
        self.files.append(
            FileStep(
                file_event_id, self._key(pid, at), pid, "s", _ns(at), count=1,
                access=access if more["operation"] == "open" else None, path=path, **more,
            )
        )  # fmt: skip
        return file_event_id

    def connect(
        self,
        at: float,
        pid: int,
        address: str,
        port: int = 443,
        name: str | None = None,
        transport: str = "tcp",
    ) -> str:
        network_event_id = f"n{len(self.connections)}"
        self.connections.append(
            ConnectionStep(
                network_event_id, self._key(pid, at), pid, "s", _ns(at), _ns(at), 1,
                transport, address, port, name,
            )
        )  # fmt: skip
        return network_event_id

    def _key(self, pid: int, at: float) -> str:
        keys = [
            one.process_key
            for one in self.processes
            if one.pid == pid and (one.started_ns or 0) <= _ns(at)
        ]
        return keys[-1] if keys else f"boot:{pid}:0"

    @property
    def steps(self) -> SessionSteps:
        return SessionSteps(
            session=SessionStep("s", "read", "agent", None, None, AGENT, 0),
            calls=tuple(self.calls),
            tools=tuple(self.tools),
            turns=tuple(self.turns),
            processes=tuple(self.processes),
            files=tuple(sorted(self.files, key=lambda one: one.first_ns)),
            connections=tuple(sorted(self.connections, key=lambda one: one.first_ns)),
        )


def joined(rows: list[ToolActionRow]) -> set[tuple[str, str, str, str]]:
    """Tool call, what it caused, how and how sure."""
    return {(row.tool_call_id, row.action_id, row.how, row.confidence) for row in rows}


def _ns(at: float) -> int:
    return int(at * MS)
