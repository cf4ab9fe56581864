"""What the loop and escalation detectors find in recorded agent runs, against their labels.

In: the gzipped JSON lines of a data directory (default: `../shared/data` beside the project).
Out: figures, printed by `python -m benchmarks.detectors` and checked by
`tests/analysis/test_recorded_runs.py`.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.escalations import escalations
from analysis.loops import exact_repeats, loops
from analysis.progress import no_progress
from analysis.runaways import runaways
from analysis.steps import Finding, SessionStep, SessionSteps, ToolStep, UserTurn, tool_step
from analysis.text_chants import AssistantText, text_chants

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
BASH_BLOCK = re.compile(r"```bash\s*\n(.*?)\n```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Score:
    """True positives, false positives and false negatives among `pairs`."""

    pairs: int
    tp: int
    fp: int
    fn: int

    @classmethod
    def of(cls, pairs: Sequence[tuple[bool, bool]]) -> Score:
        """Of what was said, and is so, of each pair."""
        return cls(
            pairs=len(pairs),
            tp=sum(said and is_so for said, is_so in pairs),
            fp=sum(said and not is_so for said, is_so in pairs),
            fn=sum(not said and is_so for said, is_so in pairs),
        )

    @property
    def precision(self) -> float | None:
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else None

    @property
    def recall(self) -> float | None:
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else None


@dataclass(frozen=True, slots=True)
class Run:
    """One recorded run as detectors read it."""

    run_id: str
    steps: tuple[ToolStep, ...]
    turns: tuple[UserTurn, ...]
    said: tuple[AssistantText, ...]


def repetition_scores(data: Path = DATA) -> dict[str, Score]:
    """Per agent: is an action the one before again, against the human label."""
    outcomes: dict[str, list[tuple[bool, bool]]] = {}
    for record in records(data / "action_pairs.jsonl.gz"):
        pairs = zip(exact_repeats(record["actions"]), record["labels"], strict=False)
        outcomes.setdefault(record["agent"], []).extend(
            (repeats, label == "Repetition") for repeats, label in pairs
        )
    return {agent: Score.of(pairs) for agent, pairs in outcomes.items()}


def tau_runs(data: Path = DATA) -> Iterator[Run]:
    """tau-bench runs; a step's time is the number of its message."""
    for number, record in enumerate(records(data / "tau_airline_gpt4o.jsonl.gz")):
        run_id, messages = f"tau-{number}", record["traj"]
        yield Run(
            run_id,
            tuple(chat_steps(run_id, messages)),
            tuple(chat_turns(run_id, messages)),
            _said(run_id, messages),
        )


def miniswe_runs(data: Path = DATA) -> Iterator[Run]:
    """mini-swe-agent runs: a bash block is the call, the next user message its result."""
    for record in records(data / "miniswe_gemini3.jsonl.gz"):
        run_id, messages = record["id"], record["messages"]
        steps = []
        for number, message in enumerate(messages):
            block = BASH_BLOCK.search(message["content"] or "")
            if message["role"] != "assistant" or block is None:
                continue
            following = messages[number + 1] if number + 1 < len(messages) else None
            steps.append(
                tool_step(
                    f"{run_id}/{number}",
                    "bash",
                    json.dumps({"command": block[1]}),
                    following["content"] if following else None,
                    session_id=run_id,
                    call_id=f"{run_id}/{number}",
                    requested_ns=number,
                    result_ns=number + 1,
                )
            )
        yield Run(run_id, tuple(steps), (), _said(run_id, messages))


def immediate_repeats(runs: list[Run]) -> list[str]:
    """Runs in which a call follows an equal one, whatever the results."""
    return [
        run.run_id
        for run in runs
        if any(
            (a.name, a.arguments_hash) == (b.name, b.arguments_hash)
            for a, b in zip(run.steps, run.steps[1:], strict=False)
        )
    ]


def found_loops(runs: list[Run]) -> dict[str, list[Finding]]:
    """Runs that get nowhere, by any detector of that, with what it says; polls are none."""
    found = {}
    for run in runs:
        session = SessionStep(run.run_id, "read", None, None, None, None, 0)
        findings = [
            *loops(run.steps, run.turns),
            *text_chants(run.said, run.turns),
            *no_progress(run.steps, run.turns),
            *runaways(SessionSteps(session, (), run.steps, run.turns)),
        ]
        found[run.run_id] = [finding for finding in findings if finding.severity != "info"]
    return {run_id: findings for run_id, findings in found.items() if findings}


def found_escalations(runs: list[Run]) -> dict[str, list[Finding]]:
    """Runs with escalation findings, and these."""
    found = {run.run_id: escalations(run.steps, run.turns) for run in runs}
    return {run_id: findings for run_id, findings in found.items() if findings}


def records(path: Path) -> Iterator[Any]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def chat_steps(run_id: str, messages: list[Any]) -> Iterator[ToolStep]:
    """Tool calls of OpenAI chat messages, each with its result, if there is one."""
    for number, message in enumerate(messages):
        answers = iter(messages[number + 1 :])
        for index, call in enumerate(message.get("tool_calls") or []):
            answer = next(answers, None)
            answered = answer is not None and answer["role"] == "tool"
            yield tool_step(
                f"{call['id']}/{number}.{index}",  # ids come again within some runs
                call["function"]["name"],
                call["function"]["arguments"],
                answer["content"] if answer and answered else None,
                session_id=run_id,
                call_id=f"{run_id}/{number}",
                requested_ns=number,
                result_ns=number + 1 if answered else None,
            )


def chat_turns(run_id: str, messages: list[Any]) -> Iterator[UserTurn]:
    """What the user said in OpenAI chat messages."""
    for number, message in enumerate(messages):
        if message["role"] == "user":
            yield UserTurn(run_id, f"{run_id}/{number}", message["content"] or "", number)


def _said(run_id: str, messages: list[Any]) -> tuple[AssistantText, ...]:
    return tuple(
        AssistantText(run_id, f"{run_id}/{number}", number, message["content"] or "")
        for number, message in enumerate(messages)
        if message["role"] == "assistant"
    )


def main(data: Path = DATA) -> None:
    print("Equal to the action before, against the human label Repetition")
    for agent, score in sorted(repetition_scores(data).items()):
        rates = ", ".join(
            f"{name} {'-' if rate is None else format(rate, '.2f')}"
            for name, rate in (("precision", score.precision), ("recall", score.recall))
        )
        counts = f"{score.tp} right, {score.fp} wrong, {score.fn} missed"
        print(f"  {agent}: {score.pairs} pairs, {rates} ({counts})")
    for title, runs in (
        ("tau-bench airline, gpt-4o", list(tau_runs(data))),
        ("mini-swe-agent, Gemini 3", list(miniswe_runs(data))),
    ):
        looping, escalating = found_loops(runs), found_escalations(runs)
        kinds = sorted({f.kind for findings in escalating.values() for f in findings})
        print(f"{title}: {len(runs)} runs, {sum(len(run.steps) for run in runs)} tool calls")
        print(f"  with an equal call in a row: {len(immediate_repeats(runs))}")
        print(f"  with loops: {len(looping)}; with escalations: {len(escalating)} {kinds}")
        for run_id, findings in looping.items():
            print("\n".join(f"    {run_id}: {finding.title}" for finding in findings))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
