"""Real agents at ordinary work: every tool call is joined with what it did, and nothing is found.

Each agent is asked for a shell command, a file written, read and changed, through the tools that
it offers, and for what it does on the way to that.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agents.agents import Installed, installed
from tests.agents.scripted import Said, command, scripted

pytestmark = [pytest.mark.privileged, pytest.mark.timeout(300)]
AGENTS = [pytest.param(one, id=one.folder.name) for one in installed()]
NOTES = "{work}/notes.md"
MAKE = Said("I make a file.", shell="printf 'one\\ntwo\\n' > made.txt && wc -l made.txt")
ADD = "*** Begin Patch\n*** Add File: notes.md\n+# Notes\n+alpha\n*** End Patch"
UPDATE = "*** Begin Patch\n*** Update File: notes.md\n@@\n-alpha\n+beta\n*** End Patch"
CHANGE = {"file_path": NOTES, "old_string": "alpha", "new_string": "beta"}
WRITE = {"file_path": NOTES, "content": "# Notes\nalpha\n"}
WORK = {
    "claude": (
        Said("I write.", tool="Write", arguments=WRITE),
        Said("I read.", tool="Read", arguments={"file_path": NOTES}),
        Said("I change it.", tool="Edit", arguments=CHANGE),
    ),
    "codex": (
        Said("I write.", shell=f"apply_patch <<'EOF'\n{ADD}\nEOF\n"),
        Said("I read.", shell="sed -n 1,20p notes.md"),
        Said("I change it.", shell=f"apply_patch <<'EOF'\n{UPDATE}\nEOF\n"),
    ),
    "gemini": (
        Said("I write.", tool="write_file", arguments=WRITE),
        Said("I read.", tool="read_file", arguments={"file_path": NOTES}),
        Said("I change it.", tool="replace", arguments={**CHANGE, "instruction": "Rename"}),
    ),
    "opencode": (
        Said("I write.", tool="apply_patch", arguments={"patchText": ADD}),
        Said("I read.", tool="read", arguments={"filePath": NOTES}),
        Said("I change it.", tool="apply_patch", arguments={"patchText": UPDATE}),
    ),
}
TOUCHED = """
SELECT tool_call_id, list(DISTINCT coalesce(f.new_path, f.path)) AS paths,
    bool_or(f.access IN ('write', 'read_write') OR f.operation <> 'open') AS writes,
    list(DISTINCT a.confidence) AS confidence
FROM actions AS a JOIN file_events AS f ON a.kind = 'file' AND f.file_event_id = a.action_id
WHERE coalesce(f.new_path, f.path) LIKE '%/work/%' GROUP BY tool_call_id
"""


@pytest.mark.parametrize("agent", AGENTS)
def test_all_is_joined_and_nothing_is_found(agent: Installed, tmp_path: Path) -> None:
    said = [MAKE, *WORK[agent.case.name], Said("All is done.")]
    commands = [command(agent, "Make two files and look at them.")]
    result = scripted(agent, tmp_path, said, commands)
    assert (tmp_path / "work" / "notes.md").read_text() == "# Notes\nbeta\n", result.stderr
    tools = result.tools
    assert len(tools) == 4
    touched = {row["tool_call_id"]: row for row in result.rows(TOUCHED)}
    for tool, name, writes in zip(
        tools,
        ("made.txt", "notes.md", "notes.md", "notes.md"),
        (True, True, False, True),
        strict=True,
    ):
        row = touched[tool["tool_call_id"]]
        assert str(tmp_path / "work" / name) in row["paths"], tool
        assert row["writes"] is writes
        assert "certain" in row["confidence"]
    programs = result.rows(
        "SELECT a.tool_call_id, a.confidence FROM actions AS a JOIN processes AS p"
        " ON p.process_key = a.action_id WHERE p.argv::VARCHAR = '[wc, -l, made.txt]'"
    )
    assert [(one["tool_call_id"], one["confidence"]) for one in programs] == [
        (tools[0]["tool_call_id"], "certain")
    ]
    assert result.rows("SELECT kind, title, evidence FROM findings") == []
