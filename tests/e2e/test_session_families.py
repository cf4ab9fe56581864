"""Agents on plain SDKs, without ids of their own on the wire, under real probes: a sub-agent in the
same process, a history that a summary replaces, and another process that goes on."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Watched, python
from underglass.demo.standin import StandIn

pytestmark = [pytest.mark.privileged, pytest.mark.timeout(120)]
PROMPT = "Look through the parser and tell me where commas are lost."
SUMMARY = "The parser loses commas in lists. " * 12
SCRIPT = f"""
[[turn]]
[[turn.tool]]
name = "delegate"
arguments = {{ prompt = "{PROMPT}" }}
[[turn]]
text = "They are lost in lists."
[[turn]]
text = "{SUMMARY}"
[[turn]]
to = "{PROMPT}"
text = "In lists."
[[turn]]
to = "Summary of what went before"
text = "I go on."
[[turn]]
to = "Summary of what went before"
text = "Done."
"""


@pytest.mark.parametrize("sdk", ["anthropic", "openai"])
def test_a_sub_agent_a_summary_and_another_process(
    sdk: str,
    tmp_path: Path,
    standin: Callable[..., StandIn],
    watched: Callable[..., Watched],
) -> None:
    script = tmp_path / "family.toml"
    script.write_text(SCRIPT)
    place = str(tmp_path / "messages.json")
    begin, resume = (
        shlex.join(python("family_agent.py", sdk, part, place)) for part in ("begin", "resume")
    )
    result = watched(standin(script, latency_scale=0), ["sh", "-c", f"{begin} && {resume}"])
    assert result.exit_code == 0, result.stderr
    first, helper = result.rows("SELECT * FROM sessions ORDER BY started_at")
    assert (first["confidence"], first["parent_session_id"]) == ("inferred", None)
    assert (helper["parent_session_id"], helper["parent_source"]) == (
        first["session_id"],
        "prompt",
    )
    calls = [(call["session_id"], call["pid"]) for call in result.calls]
    assert [session for session, _ in calls] == [
        *(first["session_id"], helper["session_id"]),
        *[first["session_id"]] * 4,
    ]
    assert len({pid for _, pid in calls[:5]}) == 1
    assert calls[5][1] != calls[4][1]
    speakers = result.rows(
        f"SELECT session_id FROM processes WHERE pid IN ({calls[0][1]}, {calls[5][1]})"
    )
    assert {row["session_id"] for row in speakers} == {first["session_id"]}
    assert len(json.loads(Path(place).read_text())) == 2
