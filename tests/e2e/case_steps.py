"""Rows of a watched run as detectors read them."""

from __future__ import annotations

from analysis.reading import open_reader, query
from analysis.steps import FileStep, ProcessStep, SessionStep
from tests.e2e.conftest import Watched


def steps_of(watched: Watched) -> tuple[list[SessionStep], list[ProcessStep], list[FileStep]]:
    """All sessions, their processes, and what these did to files."""
    with open_reader(watched.store) as reader:
        sessions = [row["session_id"] for row in watched.rows("SELECT session_id FROM sessions")]
        asked = {"sessions": sessions}
        found = [SessionStep(*row) for row in reader.rows(query("session_steps"), asked)]
        processes = []
        for row in reader.rows(query("process_steps"), asked):
            values = list(row)
            values[3] = tuple(values[3])  # argv
            processes.append(ProcessStep(*values))
        files = [FileStep(*row) for row in reader.rows(query("file_steps"), asked)]
    return found, processes, files
