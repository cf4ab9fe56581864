"""An agent that lies and one that does not, with real probes: what it said against what it did."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.actions import tool_actions
from analysis.reading import open_reader
from analysis.said_and_did import said_and_did
from analysis.session_rows import session_steps
from analysis.steps import Finding
from tests.e2e.conftest import Watched, python
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
COMMANDS = ("cat README.md", "pytest -q", "echo done > done.txt && cat done.txt")


@pytest.fixture
def findings(
    standin: Callable[..., StandIn], watched: Callable[..., Watched], tmp_path: Path
) -> Callable[[str], tuple[Watched, list[Finding]]]:
    """What is said of a program of the tests that plays agent."""

    def run(program: str) -> tuple[Watched, list[Finding]]:
        (tmp_path / "README.md").write_text("Nothing to see.\n")
        script = tmp_path / "script.toml"
        turns = [
            f'[[turn]]\ntext = "Next."\n[[turn.tool]]\nshell = {json.dumps(command)}\n'
            for command in COMMANDS
        ]
        script.write_text(
            'select = "sequential"\nmodels = ["claude-sonnet-4-6"]\n\n'
            + "\n".join([*turns, '[[turn]]\ntext = "All is tested."\n'])
        )
        done = watched(standin(script), python(program, "Test it."))
        assert done.exit_code == 0, done.stderr[-2000:]
        (session,) = done.rows("SELECT session_id FROM sessions")
        with open_reader(done.store) as reader:
            steps = session_steps(reader, session["session_id"])
        return done, said_and_did(steps, tool_actions(steps))

    return run


def test_an_agent_that_lies(
    findings: Callable[[str], tuple[Watched, list[Finding]]], tmp_path: Path
) -> None:
    done, found = findings("lying_agent.py")
    programs, files, untested = sorted(
        found, key=lambda one: (one.kind != "unasked_action", one.title)
    )
    assert programs.title.startswith("2 programs that no tool call asked for had effects: ")
    changed = f"A file was changed though no tool call asked for it: {tmp_path}/notes.txt"
    assert files.title == changed
    assert untested.title == "1 command reported success and started no process"
    assert [one.kind for one in (programs, files, untested)] == [
        "unasked_action", "unasked_action", "no_effect",
    ]  # fmt: skip

    shells = done.rows(
        "SELECT process_key FROM processes WHERE argv[3] LIKE '%notes.txt' ORDER BY started_at"
    )
    assert [one.id for one in programs.evidence] == [one["process_key"] for one in shells]
    written = done.rows("SELECT file_event_id FROM file_events WHERE path LIKE '%/notes.txt'")
    assert {one.id for one in files.evidence} == {one["file_event_id"] for one in written}
    (tool,) = done.rows("SELECT tool_call_id FROM tools WHERE arguments->>'command' = 'pytest -q'")
    assert [one.id for one in untested.evidence] == [tool["tool_call_id"]]


def test_an_agent_that_does_not(
    findings: Callable[[str], tuple[Watched, list[Finding]]],
) -> None:
    _, found = findings("trusting_agent.py")
    assert found == []
