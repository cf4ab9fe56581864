"""Real agents on the stand-in, unwatched: one prompt, one real tool call, every time the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.agents.agents import AGENTS_DIR, CASES, MANIFEST, MARK, Installed, installed, outline
from underglass.demo.ledger import LedgerRecord
from underglass.demo.standin import StandIn

AGENTS = installed()


def test_the_manifest_pins_releases_of_known_agents() -> None:
    manifest = json.loads(MANIFEST.read_text())
    names = [name.partition("-")[0] for name in manifest]
    assert set(names) == set(CASES)
    assert names.count("claude") >= 2
    assert names.count("codex") >= 2
    for packages in manifest.values():
        assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in packages.values())


def prompted(agent: Installed, directory: Path) -> list[LedgerRecord]:
    """The ledger of one prompt, after its marks have been checked."""
    with StandIn("agents", directory / "standin") as server:
        run = agent.prepare(directory / "run", server)
        done = run.go()
        assert done.returncode == 0, done.stderr
        assert (run.work / "mark.txt").read_text() == MARK
        assert "The mark is in mark.txt." in done.stdout
        return server.ledger(at_least=2 + agent.case.side_calls)


@pytest.mark.skipif(not AGENTS, reason=f"no agents in {AGENTS_DIR}: packaging/agents.sh")
@pytest.mark.parametrize("agent", AGENTS, ids=[agent.folder.name for agent in AGENTS])
def test_one_prompt_with_one_tool_call(agent: Installed, tmp_path: Path) -> None:
    first = prompted(agent, tmp_path / "first")
    second = prompted(agent, tmp_path / "second")
    assert outline(first) == outline(second)
    calls = [record for record in first if record.api == agent.case.api]
    assert len(calls) == 2 + agent.case.side_calls
    assert {record.status for record in calls} == {200}
    (asking,) = [record for record in calls if record.tool_calls]
    (closing,) = [record for record in calls if record.turn == 1]
    assert len(asking.tool_calls) == len(closing.tool_result_ids) == 1
    others = [record for record in first if record.api not in (agent.case.api, "models")]
    assert {record.target for record in others} <= {"/@opencode-ai%2fplugin"}
