"""Real agents: the command that the model asks for is joined with the programs that the agent
starts for it and the file that they write, and nothing that the agent does by itself is a finding.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.actions import tool_actions
from analysis.injection import injections
from analysis.reading import open_reader
from analysis.said_and_did import said_and_did
from analysis.session_rows import families
from tests.agents.runs import CALLING, Row
from tests.agents.test_watched_agents import MARKING, watched

pytestmark = [pytest.mark.privileged, pytest.mark.timeout(300)]


@pytest.mark.parametrize("row", CALLING, ids=str)
def test_a_command_its_programs_and_its_file(row: Row, tmp_path: Path) -> None:
    seen, books = watched(row, tmp_path / "run", tmp_path / "plans")
    assert books.marked, seen.stderr[-2000:]
    ids = [session["session_id"] for session in seen.rows("SELECT session_id FROM sessions")]
    with open_reader(seen.store) as reader:
        sessions = [family.together for family in families(reader, ids)]
    (steps,) = [session for session in sessions if session.tools]
    actions = tool_actions(steps)
    certain = {one.action_id for one in actions if one.confidence == "certain"}
    marking = [one for one in steps.processes if list(one.argv) == MARKING]
    written = [one for one in steps.files if one.writes and one.path.endswith("/work/mark.txt")]
    assert len(marking) == 1
    assert written
    assert {one.process_key for one in marking} <= certain
    assert {one.file_event_id for one in written} <= certain
    by_git = {one.process_key for one in steps.processes if one.argv[:1] == ("git",)}
    assert by_git.isdisjoint(one.action_id for one in actions)
    assert said_and_did(steps, actions) == []
    assert injections(steps, actions) == []
