"""Recorded runs replayed under real probes: the store holds what the detectors say of the record.

A sample; all of them: `python -m benchmarks.replay_runs`.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from benchmarks.detectors import DATA
from benchmarks.replay_runs import Conversation, miniswe, replay, tau

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(
        not (DATA / "tau_airline_gpt4o.jsonl.gz").exists(), reason=f"no recorded runs in {DATA}"
    ),
]
GOES_ROUND = 75


def test_findings_of_the_replay_are_those_of_the_record(tmp_path: Path) -> None:
    conversations = [*islice(tau(), GOES_ROUND - 10, GOES_ROUND + 3), *islice(miniswe(), 1)]
    replayed = replay(conversations, tmp_path)
    for run in replayed:
        assert run.stored == run.direct, run.run_id
    found = {kind for run in replayed for kind, _, _ in run.stored}
    assert found == {"cycle", "handoff_human"}


def test_a_run_that_polls_and_one_that_wanders(tmp_path: Path) -> None:
    """Kinds that no recorded run has."""

    def run(name: str, calls: list[tuple[str, str, str]]) -> Conversation:
        messages: list[object] = [{"role": "user", "content": f"{name}: go"}]
        for tool, arguments, result in calls:
            call = {"id": "c", "function": {"name": tool, "arguments": arguments}}
            messages += [
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "content": result},
            ]
        return Conversation.of(name, [*messages, {"role": "assistant", "content": "Enough."}])

    fact = "a long result that tells one file from another: "
    order = [0, 1, 2, 3, 0, 2, 1, 3, 2, 0, 3, 1, 0, 1, 3, 2, 1, 0, 2, 3, 1, 2, 0, 3, 0, 1]
    conversations = [
        run("polls", [("BashOutput", '{"id": 1}', "still running")] * 5),
        run("wanders", [("read", f'{{"path": "{n}"}}', f"{fact}{n}") for n in order]),
        run("fails", [("search", '{"q": "x"}', "Error: refused")] * 3),
    ]
    replayed = replay(conversations, tmp_path)
    assert [dict(each.stored) for each in replayed] == [
        {("polling", "info", 5): 1},
        {("no_progress", "warning", 22): 1},
        {("error_repeat", "warning", 3): 1},
    ]
    assert [each.direct for each in replayed] == [each.stored for each in replayed]
