"""Where time went, against the agent's own clock and the script's delays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Watched, python
from underglass.demo.standin import StandIn

pytestmark = [pytest.mark.privileged, pytest.mark.alone]

TOOL_S, BACKOFF_S, PAUSE_S, HICCUP_S = 0.8, 0.6, 1.0, 1.5
SCRIPT = f"""
first_token_ms = 500
token_ms = 40
[[turn]]
text = {json.dumps(["word "] * 21)}
[[turn.tool]]
shell = "sleep {TOOL_S}"
[[turn]]
text = {json.dumps(["word "] * 11)}
[turn.error]
status = 429
retry_after_s = {BACKOFF_S}
times = 1
[[turn]]
text = {json.dumps(["word "] * 16)}
"""
LEAST_S = {
    "queue": 3 * 0.5, "generation": 0.8 + 0.4 + 7 * 0.04, "tools": TOOL_S, "retry": BACKOFF_S,
    "human": PAUSE_S, "stall": HICCUP_S,
}  # fmt: skip
PARTS = ("queue", "generation", "stall", "tools", "human", "retry", "idle")


def test_parts_match_the_schedule_and_sum_to_the_wall_time(
    standin: Callable[..., StandIn], watched: Callable[..., Watched], tmp_path: Path
) -> None:
    path = tmp_path / "timed.toml"
    path.write_text(SCRIPT)
    result = watched(standin(path), python("timed_agent.py", str(PAUSE_S), str(HICCUP_S)))
    assert result.exit_code == 0, result.stderr
    told = {part: sum(times) for part, times in json.loads(result.stdout).items()}
    assert len(result.calls) == 4
    turns = result.rows("SELECT * FROM turn_time ORDER BY turn")
    assert [turn["calls"] for turn in turns] == [3, 1]
    for turn in turns:
        assert sum(turn[f"{part}_ns"] for part in PARTS) == turn["last_ns"] - turn["first_ns"]
    wall_ns = result.rows("SELECT max(ended_ns) - min(started_ns) AS wall FROM llm_call")[0]["wall"]
    assert sum(turn[f"{part}_ns"] for turn in turns for part in PARTS) == wall_ns
    for part, least_s in LEAST_S.items():
        found_s = sum(turn[f"{part}_ns"] for turn in turns) / 1e9
        assert found_s >= 0.95 * least_s, part
        assert found_s == pytest.approx(told[part], rel=0.05, abs=0.03), part
    assert turns[0]["human_ns"] / 1e9 == pytest.approx(told["human"], rel=0.05, abs=0.03)
    assert turns[1]["stall_ns"] / 1e9 == pytest.approx(told["stall"], rel=0.05, abs=0.03)
