"""The detectors on recorded runs of real agents, against labels and recounts from the raw data."""

from __future__ import annotations

import pytest

from analysis.escalations import HUMAN_ESCALATION_CLASSES
from benchmarks.detectors import (
    DATA,
    Score,
    found_escalations,
    found_loops,
    immediate_repeats,
    miniswe_runs,
    records,
    repetition_scores,
    tau_runs,
)


def recording(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not (DATA / f"{name}.jsonl.gz").exists(), reason=f"{name} is not in {DATA}"
    )


@recording("action_pairs")
def test_exact_repeats_against_human_labels() -> None:
    scores = repetition_scores()
    assert scores["repairagent"] == Score(pairs=798, tp=71, fp=2, fn=29)
    assert scores["autocoderover"] == Score(pairs=123, tp=5, fp=0, fn=0)
    assert scores["openhands"] == Score(pairs=892, tp=1, fp=0, fn=30)


@recording("tau_airline_gpt4o")
def test_handoffs_are_found_in_exactly_the_runs_that_make_them() -> None:
    runs = list(tau_runs())
    transferring = [
        run.run_id
        for run, record in zip(runs, records(DATA / "tau_airline_gpt4o.jsonl.gz"), strict=True)
        if "transfer_to_human_agents" in str([m.get("tool_calls") for m in record["traj"]])
    ]
    found = found_escalations(runs)
    assert list(found) == transferring
    assert len(transferring) == 31
    everything = [finding for findings in found.values() for finding in findings]
    assert {finding.kind for finding in everything} == {"handoff_human"} < HUMAN_ESCALATION_CLASSES
    asked = [step.name for run in runs for step in run.steps].count("transfer_to_human_agents")
    assert len(everything) == asked


@recording("tau_airline_gpt4o")
def test_the_one_loop_among_the_airline_runs() -> None:
    """The same booking, refused each time for the same sum, with the same thought between."""
    ((run_id, (finding,)),) = found_loops(list(tau_runs())).items()
    assert (run_id, finding.kind, finding.count) == ("tau-75", "cycle", 3)


@recording("miniswe_gemini3")
def test_no_loop_among_the_coding_runs() -> None:
    """Eleven runs repeat a call at once; none of them three times with the same result."""
    runs = list(miniswe_runs())
    assert len(runs) == 65
    assert len(immediate_repeats(runs)) == 11
    assert found_loops(runs) == {}
    assert found_escalations(runs) == {}
