"""A real agent from PyPI that runs real shell commands."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Watched, assert_equals_ledger
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
MINI = Path(sys.prefix) / "agents" / "bin" / "mini"


def test_mini_swe_agent(
    standin: Callable[..., StandIn], watched: Callable[..., Watched], tmp_path: Path
) -> None:
    assert MINI.exists(), "packaging/setup.sh --dev installs it"
    server = standin("swe", latency_scale=0)
    result = watched(
        server,
        [MINI, "-m", "openai/gpt-5-mini", "-t", "Repair fizz", "-y", "--exit-immediately",
         "-o", tmp_path / "trajectory.json"],
        HOME=str(tmp_path),
        MSWEA_GLOBAL_CONFIG_DIR=str(tmp_path / "config"),
        MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT="1",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    ledger = server.ledger(at_least=4)
    assert_equals_ledger(result, ledger)
    (session,) = result.rows("SELECT * FROM sessions")
    assert session["calls"] == len(ledger)
    # Every command that the model asked for was run by a shell in the agent's tree.
    asked = [tool["arguments"]["command"] for tool in result.tools]
    assert asked
    programs = result.rows(
        f"SELECT argv FROM processes WHERE session_id = '{session['session_id']}'"
    )
    ran = [" ".join(program["argv"]) for program in programs]
    for command in asked:
        assert any(command in line for line in ran), command
    # The result of each but the last, which ends the run, came back in a later request.
    answered = [tool for tool in result.tools if tool["result_at"] is not None]
    assert len(answered) == len(asked) - 1
