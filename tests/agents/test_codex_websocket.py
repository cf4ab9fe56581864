"""Codex over WebSockets under `underglass run`: calls equal the stand-in's ledger, and the lists
that it leaves to the server to remember are whole."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.agents.agents import CASES, PROMPT, Installed, installed
from tests.agents.runs import Row
from tests.agents.test_watched_agents import MARKING, removal, tls_source, watched
from tests.e2e.conftest import Record
from tests.e2e.sockets import assert_equals_socket_ledger, lists_of

pytestmark = [pytest.mark.privileged, pytest.mark.timeout(300)]
CODEX = [agent for agent in installed() if agent.case.name == "codex"]
SINCE = (0, 100)  # older releases speak HTTP alone
__all__ = ["removal"]


def _config(home: Path, base_url: str, bundle: Path | None) -> None:
    CASES["codex"].write_config(home, base_url, bundle)
    with (home / ".codex" / "config.toml").open("a") as config:
        config.write("supports_websockets = true\n")


def _release(agent: Installed) -> tuple[int, ...]:
    binary = agent.folder / "node_modules" / agent.case.binary
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"\d+(?:\.\d+)+", said.stdout)
    assert found is not None
    return tuple(map(int, found[0].split(".")))


def _text(item: Record) -> str:
    parts = item["content"]
    return parts if isinstance(parts, str) else "".join(part.get("text", "") for part in parts)


@pytest.mark.parametrize("agent", CODEX, ids=lambda agent: agent.folder.name)
def test_one_prompt_with_one_tool_call(agent: Installed, tmp_path: Path) -> None:
    if _release(agent) < SINCE:
        pytest.skip("speaks HTTP alone")
    case = replace(agent.case, write_config=_config)
    row = Row(replace(agent, case=case), "off")
    seen, books = watched(row, tmp_path, tmp_path / "plans")
    assert books.exit_code == 0, seen.stderr[-2000:]
    assert (books.marked, books.said) == (True, True)
    sockets = [record for record in books.ledger if record.transport == "websocket"]
    assert [record.turn for record in sockets] == [None, 0, 1]  # the first only warms up
    assert_equals_socket_ledger(seen, books.ledger, books.connections, tls_source(seen))
    (tool,) = seen.tools
    assert str(tool["result_preview"]).rstrip().endswith("seen by agent")
    assert tool["result_call_id"] == seen.calls[2]["call_id"]
    programs = [program["argv"] for program in seen.rows("SELECT argv FROM processes")]
    assert programs.count(MARKING) == 1

    lists = lists_of(seen)
    _, first, last = (lists[str(record.response_id)] for record in sockets)
    asked, answered = first
    assert _text(asked[-1]) == PROMPT
    said, called = answered
    assert (said["role"], called["type"]) == ("assistant", "function_call")
    again = last[0]
    assert again[: len(asked)] == asked
    assert [item.get("type") for item in again[len(asked) :]] == [
        "message",
        "function_call",
        "function_call_output",
    ]
    assert again[-1]["call_id"] == called["call_id"] == tool["tool_call_id"]
    assert len({call["session_id"] for call in seen.calls}) == 1
    assert {call["agent"] for call in seen.calls} == {"codex"}
