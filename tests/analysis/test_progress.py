from __future__ import annotations

from random import Random

from analysis.progress import MIN_STEPS, no_progress
from analysis.steps import CallStep, FileStep, ToolStep
from tests.analysis.transcript import tools, transcript, turns

FACT = "a result that is long enough to be told from all the others: "
PLACES = [f"cat file{n} => {FACT}{n}" for n in range(6)]


def wandering(steps: int) -> list[str]:
    """Known places in no order that comes round."""
    random = Random(5)
    lines = list(PLACES)
    while len(lines) < len(PLACES) + steps:
        lines.append(random.choice([line for line in PLACES if line != lines[-1]]))
    return lines


def found(*lines: str) -> list[int]:
    steps = transcript(*lines)
    return [finding.count for finding in no_progress(tools(steps), turns(steps))]


def wrote(at_ns: int) -> FileStep:
    return FileStep("f", "p", 1, "s", at_ns, at_ns, 1, "open", "write", "/a")


def test_wandering_among_known_results() -> None:
    steps = tools(transcript(*wandering(MIN_STEPS)))
    (finding,) = no_progress(steps)
    assert (finding.kind, finding.count, finding.severity) == ("no_progress", MIN_STEPS, "warning")
    assert finding.evidence[0].id == steps[len(PLACES)].tool_call_id
    assert finding.wasted_tokens is None
    calls = [CallStep(s.call_id, "s", "m", 0, 10, 1, cost_usd=0.5) for s in steps]
    (finding,) = no_progress(steps, (), (), calls)
    assert (finding.wasted_tokens, finding.wasted_usd) == (MIN_STEPS * 11, MIN_STEPS * 0.5)


def test_too_few_steps() -> None:
    assert found(*wandering(MIN_STEPS - 1)) == []


def test_something_new_in_between() -> None:
    lines = wandering(2 * MIN_STEPS - 2)
    middle = len(PLACES) + MIN_STEPS - 1
    for new in (
        f"cat other => {FACT}other",
        "mv a b => ",
        'Edit {"path": "a.py", "old": "1", "new": "2"} => ok',
        "user: go on",
    ):
        assert found(*lines[:middle], new, *lines[middle:]) == []
    assert found(*lines) == [2 * MIN_STEPS - 2]


def test_a_file_written_by_a_process_is_progress() -> None:
    steps = tools(transcript(*wandering(2 * MIN_STEPS - 2)))
    middle = steps[len(PLACES) + MIN_STEPS - 1]
    assert len(no_progress(steps)) == 1
    during = middle.requested_ns + 1
    assert no_progress(steps, (), [wrote(during)]) == []
    before = steps[0].requested_ns - 1
    assert len(no_progress(steps, (), [wrote(before)])) == 1


def test_waits_and_open_calls_count_neither_way() -> None:
    lines = [line for one in wandering(MIN_STEPS - 1) for line in (one, "sleep 5 => ", "make")]
    assert found(*lines) == []
    assert found(*lines, PLACES[0]) == [MIN_STEPS]


def test_a_loop_is_not_said_twice() -> None:
    assert found(*PLACES[:2] * 30) == []
    assert found(*[PLACES[0]] * 60) == []


def test_the_same_error_for_one_call_after_another_is_nothing_new() -> None:
    fails = [f"cat {n}.py => !Permission denied" for n in range(MIN_STEPS + 1)]
    assert found(*fails) == [MIN_STEPS]


def test_sessions_are_apart() -> None:
    steps: list[ToolStep] = []
    for name in "ab":
        steps += tools(transcript(*wandering(MIN_STEPS - 1), session_id=name))
    assert no_progress(steps) == []
