"""Real agents that compact their context: told by what they write, and what is dropped is known.

Codex compacts by itself, once a provider says that much was read; Claude Code when it is asked to.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.agents.agents import Installed, installed
from tests.e2e.conftest import UNDERGLASS, Record, Watched
from underglass.demo.standin import StandIn

pytestmark = [pytest.mark.privileged, pytest.mark.timeout(300)]
SCRIPT = """
select = "{select}"
toolless_text = "<summary>Numbers were printed.</summary>"
[[turn]]
text = "I look."
[[turn.tool]]
shell = "seq 1 400"
[[turn]]
text = "I look further."
usage = {{ input_tokens = 90000 }}
[[turn.tool]]
shell = "seq 1 500"
[[turn]]
text = "Numbers were printed."
[[turn]]
text = "All done."
"""
LIMIT = "model_auto_compact_token_limit = 20000\n"


def agents(name: str) -> list[Any]:
    return [pytest.param(one, id=one.folder.name) for one in installed() if one.case.name == name]


def watched(
    agent: Installed, directory: Path, select: str, prompts: Sequence[Sequence[str]]
) -> Watched:
    """The agent runs once for each prompt, with more arguments behind it."""
    script = directory / "script.toml"
    script.write_text(SCRIPT.format(select=select))
    with StandIn(script, directory / "standin", latency_scale=0) as server:
        run = agent.prepare(directory, server)
        config = directory / "home" / ".codex" / "config.toml"
        if config.exists():
            config.write_text(LIMIT + config.read_text())
        commands = [[*agent.case.command(agent.folder, prompt), *more] for prompt, *more in prompts]
        shell = "; ".join(" ".join(f"'{word}'" for word in command) for command in commands)
        store = directory / "store.db"
        done = subprocess.run(
            [UNDERGLASS, "run", "--db", store, "--", "sh", "-c", shell],
            env=run.environment,
            cwd=run.work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
        )
        return Watched(store, done.returncode, done.stdout, done.stderr)


def assert_compacted(result: Watched) -> None:
    """Asked for, then done, once; the tools' results are gone, and a finding says so."""
    requests = result.rows("SELECT * FROM context ORDER BY started_at")
    told = [request["compaction"] for request in requests if request["compaction"]]
    assert told == ["request"] * (len(told) - 1) + ["after"], result.stderr
    assert len(told) > 1
    (after,) = [request for request in requests if request["compaction"] == "after"]
    dropped: Record = after["parts"]["dropped"]
    assert dropped["summarised"] is True
    results = [size for request in requests for size in request["parts"]["tools"].values()]
    assert sum(dropped["tools"].values()) == max(results)
    assert len(result.rows("SELECT * FROM sessions")) == 1
    (finding,) = result.rows("SELECT * FROM findings WHERE kind IN ('compaction', 'lost_context')")
    assert finding["kind"] == "compaction"
    assert finding["evidence"][-1]["id"] == after["call_id"]


@pytest.mark.parametrize("agent", agents("codex"))
def test_codex(agent: Installed, tmp_path: Path) -> None:
    assert_compacted(watched(agent, tmp_path, "cycle", [["Print numbers."]]))


@pytest.mark.parametrize("agent", agents("claude"))
def test_claude_code(agent: Installed, tmp_path: Path) -> None:
    prompts = [["Print numbers."], ["/compact", "--continue"], ["Go on.", "--continue"]]
    assert_compacted(watched(agent, tmp_path, "sequential", prompts))
