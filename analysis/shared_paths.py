"""What several sessions did to the same files.

In: a `Reader`. Out: the findings of `analysis.conflicts` over all sessions that share paths. Only
paths that more than one session touched, and one of them changed or locked, are loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analysis.actors import actors_of, attributed
from analysis.conflicts import conflicts
from analysis.derived import ToolActionRow
from analysis.reading import Reader, query
from analysis.session_rows import process_step
from analysis.steps import FileStep, Finding, SessionStep, ToolStep


def shared_path_findings(reader: Reader) -> list[Finding]:
    """Findings about several sessions, by time."""
    paths = reader.rows(query("shared_paths")).column("path")
    if not paths:
        return []
    files = [
        FileStep(*row) for row in reader.rows(query("shared_file_steps"), {"paths": list(paths)})
    ]
    sharing = sorted({file.session_id for file in files if file.session_id is not None})
    family: dict[str, Any] = {"sessions": sharing}
    sessions = [SessionStep(*row) for row in reader.rows(query("session_steps"), family)]
    asked: dict[str, Any] = {"sessions": [one.session_id for one in sessions]}
    since_ns = min((one.started_ns for one in sessions), default=0)
    processes = [process_step(row) for row in reader.rows(query("process_steps"), asked)]
    dated = {**asked, "since_ns": since_ns}
    tools = [ToolStep(*row) for row in reader.rows(query("tool_steps"), dated)]
    return conflicts(
        actors_of(sessions, processes),
        attributed(files, _actions(reader, asked["sessions"])),
        tools,
        processes,
    )


def _actions(reader: Reader, sessions: Sequence[str]) -> list[ToolActionRow]:
    rows = reader.rows(query("file_actions"), {"sessions": list(sessions)})
    return [ToolActionRow(*row) for row in rows]
