"""Case study: an agent repeats a search that always fails. The alert comes before the fourth call.

The oracle is the agent's own log: the same tool, arguments and error, apart from times, process
ids and the like, for the third time. A twin polls a status that changes and is no loop.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.findings import LOOP_KINDS
from tests.e2e.conftest import Watched, lines_of, python
from underglass.demo.standin import StandIn

pytestmark = [pytest.mark.privileged, pytest.mark.alone]
FIRST_TOKEN_MS = 1500
API_CALLS = 7
SPELLINGS = ('{ query = "weather in Oslo", days = 3 }', '{ days = "3", query = "weather in Oslo" }')


def script(tools: list[tuple[str, str]], first_token_ms: int) -> str:
    turns = [
        f"[[turn]]\nusage = {{ input_tokens = 1000, output_tokens = 10 }}\n[[turn.tool]]\n"
        f'name = "{name}"\narguments = {arguments}\n'
        for name, arguments in tools
    ]
    return f'first_token_ms = {first_token_ms}\n{"".join(turns)}[[turn]]\ntext = "I give up."\n'


def oracle_key(step: dict[str, Any]) -> tuple[str, str, str]:
    """What is the same of two failed searches: no digit of the error, no spelling of numbers."""
    arguments = {name: str(value) for name, value in step["arguments"].items()}
    error = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "", step["result"])
    return step["tool"], json.dumps(arguments, sort_keys=True), re.sub(r"\d+", "", error)


@pytest.fixture
def case(
    standin: Callable[..., StandIn], watched: Callable[..., Watched], tmp_path: Path
) -> Callable[..., tuple[Watched, StandIn, list[dict[str, Any]], Path]]:
    def run(
        tools: list[tuple[str, str]], first_token_ms: int
    ) -> tuple[Watched, StandIn, list[dict[str, Any]], Path]:
        path, log, alerts = (tmp_path / name for name in ("case.toml", "log.jsonl", "alerts.jsonl"))
        path.write_text(script(tools, first_token_ms))
        server = standin(path)
        agent = python("tool_agent.py", str(log), str(alerts))
        result = watched(server, agent, options=["--alerts", str(alerts)])
        assert result.exit_code == 0, result.stderr
        return result, server, [json.loads(line) for line in lines_of(log)], alerts

    return run


def test_a_loop_is_told_before_the_fourth_call(case: Callable[..., Any]) -> None:
    searches = [("search", SPELLINGS[n % 2]) for n in range(API_CALLS - 1)]
    result, server, steps, alerts = case(searches, FIRST_TOKEN_MS)
    ledger = server.ledger(at_least=API_CALLS)
    assert len(ledger) == len(result.calls) == API_CALLS
    assert len(steps) == API_CALLS - 1

    # The oracle: all searches are the same, although no two results are equal.
    assert len({oracle_key(step) for step in steps}) == 1
    assert len({step["result"] for step in steps}) == len(steps)

    (row,) = result.rows(
        "SELECT kind, severity, count, evidence, found_ns, wasted_tokens, wasted_usd FROM finding "
        f"WHERE kind IN {tuple(sorted(LOOP_KINDS))}"
    )
    assert (row["kind"], row["count"], row["severity"]) == ("error_repeat", len(steps), "warning")
    assert ledger[3].received_ns < row["found_ns"] < steps[3]["at_ns"]
    tools = [tool.tool_call_id for record in ledger for tool in record.tool_calls]
    evidence = json.loads(row["evidence"]) if isinstance(row["evidence"], str) else row["evidence"]
    assert [each["id"] for each in evidence if each["kind"] == "tool"] == tools
    assert row["wasted_tokens"] == (len(steps) - 1) * 1010
    costs = [call["cost_usd"] for call in result.calls]
    assert row["wasted_usd"] == pytest.approx(sum(costs[1 : len(steps)]))

    # The alert stood in the file when the agent searched for the fourth time, and not before.
    assert [len(step["alerts"]) for step in steps[:4]] == [0, 0, 0, 1]
    told = json.loads(steps[3]["alerts"][0])
    assert (told["kind"], told["severity"], told["count"]) == ("error_repeat", "warning", 3)
    assert [each["id"] for each in told["evidence"] if each["kind"] == "tool"] == tools[:3]
    assert [json.loads(line)["kind"] for line in lines_of(alerts)].count("error_repeat") == 1


def test_polling_a_status_that_changes_is_no_loop(case: Callable[..., Any]) -> None:
    polls = [("sleep", "{ seconds = 0.05 }"), ("status", "{}")] * 6
    result, _, steps, alerts = case(polls, 50)
    assert len(steps) == 12
    assert len({step["result"] for step in steps if step["tool"] == "status"}) == 6
    found = {row["kind"] for row in result.rows("SELECT kind FROM findings")}
    assert not found & LOOP_KINDS
    assert not {json.loads(line)["kind"] for line in lines_of(alerts)} & LOOP_KINDS
