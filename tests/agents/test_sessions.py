"""Real agents: a sub-agent stands under its parent, a resumed session stays one, and an agent that
another one starts names it, whatever the client puts on the wire."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.agents.agents import Installed, installed
from tests.agents.scripted import Said, command, newest, release, scripted
from tests.e2e.conftest import Record, Watched

pytestmark = [pytest.mark.privileged, pytest.mark.timeout(300)]
AGENTS = [pytest.param(one, id=one.folder.name) for one in installed()]
NAMES = {
    "claude": "claude-code",
    "codex": "codex",
    "gemini": "gemini-cli",
    "opencode": "opencode",
}
PROMPT = "Look into the folder and count what lies there, please."
COUNT = "ls -la > count.txt; wc -l < count.txt"
ASKING = {
    "claude": Said(
        "I ask.",
        tool="Task",
        arguments={
            "description": "Count files",
            "prompt": PROMPT,
            "subagent_type": "general-purpose",
        },
    ),
    "codex": Said("I ask.", tool="multi_agent_v1/spawn_agent", arguments={"message": PROMPT}),
    "gemini": Said(
        "I ask.", tool="invoke_agent", arguments={"agent_name": "generalist", "prompt": PROMPT}
    ),
    "opencode": Said(
        "I ask.",
        tool="task",
        arguments={"description": "Count files", "prompt": PROMPT, "subagent_type": "general"},
    ),
}
NO_IDS = ("gemini",)  # with an API key
NO_SUB_AGENT_IDS = ("2.1.119",)  # of Claude Code
RESUMING = {
    "claude": ("--continue",),
    "codex": ("resume", "--last"),
    "gemini": ("--resume", "latest"),
    "opencode": ("--continue",),
}


def resumed(agent: Installed, prompt: str) -> list[str]:
    """The command that goes on with the last session."""
    words, more = command(agent, prompt), RESUMING[agent.case.name]
    at = words.index(prompt) if agent.case.name in ("codex", "opencode") else len(words)
    return [*words[:at], *more, *words[at:]]


def sessions_of(result: Watched) -> list[Record]:
    return result.rows("SELECT * FROM sessions ORDER BY started_at")


@pytest.mark.parametrize("agent", AGENTS)
def test_a_sub_agent_stands_under_its_parent(agent: Installed, tmp_path: Path) -> None:
    waiting = "until [ -e count.txt ]; do sleep 0.1; done"  # some clients do not wait for it
    said = [
        ASKING[agent.case.name],
        Said("I wait.", shell=f"timeout 60 sh -c '{waiting}'"),
        Said("All is counted."),
        Said("I count.", shell=COUNT, to=PROMPT),
        Said("There are three entries.", to=PROMPT),
    ]
    commands = [command(agent, "Count the files here with a helper.")]
    result = scripted(agent, tmp_path, said, commands)
    first, *others = sessions_of(result)
    assert [one["parent_session_id"] for one in others] == [first["session_id"]], result.stderr
    assert first["parent_session_id"] is None
    (sub_agent,) = others
    source, confidence = sub_agent["parent_source"], sub_agent["confidence"]
    told = agent.case.name not in NO_IDS and release(agent) not in NO_SUB_AGENT_IDS
    assert (source, confidence) == (("read", "read") if told else ("prompt", "inferred"))
    tools = result.rows("SELECT session_id, arguments FROM tools ORDER BY requested_at")
    counting = [tool["session_id"] for tool in tools if COUNT in str(tool["arguments"])]
    assert counting == [sub_agent["session_id"]]
    programs = result.rows("SELECT session_id FROM processes WHERE argv::VARCHAR = '[ls, -la]'")
    assert [one["session_id"] for one in programs] == [first["session_id"]]
    joined = result.rows(
        "SELECT DISTINCT session_id, how, confidence FROM actions WHERE action_id IN"
        " (SELECT process_key FROM processes WHERE argv::VARCHAR = '[ls, -la]')"
    )
    assert {(one["session_id"], one["confidence"]) for one in joined} == {
        (sub_agent["session_id"], "certain")
    }
    assert result.rows("SELECT * FROM findings") == []


@pytest.mark.parametrize("agent", AGENTS)
def test_a_resumed_session_stays_one(agent: Installed, tmp_path: Path) -> None:
    said = [
        Said("I look.", shell="seq 1 3"),
        Said("Numbers one to three."),
        Said("Still the same numbers."),
    ]
    commands = [command(agent, "Print numbers for me."), resumed(agent, "And which were they?")]
    result = scripted(agent, tmp_path, said, commands)
    assert "Still the same numbers." in result.stdout, result.stderr
    (session,) = sessions_of(result)
    assert session["confidence"] == ("inferred" if agent.case.name in NO_IDS else "read")
    assert len({call["pid"] for call in result.calls}) == 2
    assert {call["session_id"] for call in result.calls} == {session["session_id"]}
    assert result.rows("SELECT * FROM findings") == []
    (registered,) = result.rows("SELECT * FROM agents")
    assert registered["agent"] == NAMES[agent.case.name]
    assert registered["agent_version"] == release(agent)
    assert Path(registered["executable"]).is_relative_to(agent.folder.resolve())
    assert (registered["uid"], registered["sessions"]) == (0, 1)
    assert registered["calls"] == len(result.calls)
    assert registered["models"] == list(dict.fromkeys(call["model"] for call in result.calls))


@pytest.mark.parametrize("outer", [pytest.param(name, id=name) for name in NAMES])
def test_an_agent_that_another_agents_shell_starts(outer: str, tmp_path: Path) -> None:
    agent, inner = newest(outer), newest("codex" if outer == "claude" else "claude")
    if agent is None or inner is None:
        pytest.skip("an agent is not installed")
    asking = shlex.join(command(inner, PROMPT))
    said = [
        Said("I ask.", shell=f"{asking} < /dev/null"),
        Said("All is counted."),
        Said("I count.", shell=COUNT, to=PROMPT),
        Said("There are three entries.", to=PROMPT),
    ]
    result = scripted(agent, tmp_path, said, [command(agent, "Ask the other one.")], [inner])
    above, below = sessions_of(result)
    assert (above["agent"], below["agent"]) == (NAMES[outer], NAMES[inner.case.name])
    assert below["parent_session_id"] == above["session_id"]
    assert (below["parent_source"], below["confidence"]) == ("process", "read")
    programs = result.rows("SELECT session_id FROM processes WHERE argv::VARCHAR = '[ls, -la]'")
    assert [one["session_id"] for one in programs] == [below["session_id"]]
    assert result.rows("SELECT * FROM findings") == []
