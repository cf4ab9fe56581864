from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import pytest

from analysis.runaways import MAX_PAUSE_S, RunawayLimits, declares_done, runaways
from analysis.steps import (
    CallStep,
    Finding,
    SessionStep,
    SessionSteps,
    ToolStep,
    UserTurn,
    tool_step,
)

S = 1_000_000_000
SESSION = SessionStep("s", "read", None, None, None, None, 0)


def call(at_s: float, tools: int = 1, **changes: object) -> CallStep:
    """An answer of one second, which asks for tools or ends the agent's turn."""
    step = CallStep(
        call_id=f"c{at_s:g}",
        session_id="s",
        model="m",
        started_ns=int(at_s * S),
        input_tokens=100,
        output_tokens=10,
        ended_ns=int((at_s + 1) * S),
        finish_reason="tool_use" if tools else "end_turn",
        tool_call_count=tools,
        tool_set="t",
        cost_usd=0.25,
    )
    return dataclasses.replace(step, **changes)  # type: ignore[arg-type]


def tool(at_s: float, command: str = "make", result: str = "ok", name: str = "bash") -> ToolStep:
    return tool_step(
        f"t{at_s:g}",
        name,
        json.dumps({"command": command}),
        result,
        session_id="s",
        call_id=f"c{at_s:g}",
        requested_ns=int(at_s * S),
        result_ns=int(at_s * S) + 1,
    )


def turn(at_s: float) -> UserTurn:
    return UserTurn("s", f"c{at_s:g}", "go on", int(at_s * S))


def found(
    calls: Sequence[CallStep] = (),
    tools: Sequence[ToolStep] = (),
    turns: Sequence[UserTurn] = (),
    **limits: float | None,
) -> list[Finding]:
    steps = SessionSteps(SESSION, tuple(calls), tuple(tools), tuple(turns))
    return runaways(steps, RunawayLimits(**limits))  # type: ignore[arg-type]


def kinds(findings: list[Finding]) -> list[str]:
    return [finding.kind for finding in findings]


def test_steps_of_one_turn() -> None:
    tools = [tool(n) for n in range(251)]
    (finding,) = found([], tools)
    assert (finding.kind, finding.severity, finding.count) == ("runaway_steps", "warning", 251)
    assert (finding.first_at_ns, finding.last_at_ns) == (0, 250 * S)
    assert finding.evidence
    assert found([], tools[:250]) == []
    assert found([], tools, [turn(100)]) == []
    assert found([], tools, steps=None) == []
    assert found([], tools, steps=100)[0].severity == "critical"


def test_time_without_pauses() -> None:
    working = [call(n * 600) for n in range(13)]
    (finding,) = found(working)
    assert finding.kind == "runaway_time"
    assert "120 minutes" in finding.title
    assert [each.id for each in finding.evidence] == ["c0", "c7200"]
    assert found(working[:-1]) == []
    assert found(working, turns=[turn(3000)]) == []
    overnight = [call(0), call(30_000)]
    assert found(overnight) == []
    assert kinds(found(overnight, active_s=MAX_PAUSE_S)) == ["runaway_time"]


def test_cost_of_one_turn() -> None:
    calls = [call(n * 2) for n in range(41)]
    (finding,) = found(calls)
    assert (finding.kind, finding.severity) == ("runaway_cost", "warning")
    assert "$10.25" in finding.title
    assert found(calls, turns=[turn(40)]) == []
    assert found([call(n * 2, cost_usd=None) for n in range(99)]) == []


def test_work_after_the_final_answer() -> None:
    calls = [call(0), call(10, 0), call(20), call(30), call(40)]
    (finding,) = found(calls)
    assert (finding.kind, finding.count) == ("work_after_done", 3)
    assert [each.id for each in finding.evidence] == ["c10", "c20", "c30", "c40"]
    assert (finding.wasted_tokens, finding.wasted_usd) == (330, 0.75)


@pytest.mark.parametrize(
    "calls",
    [
        [call(0), call(10), call(20), call(30), call(40, 0)],
        [call(10, 0), call(20), call(30)],
        [call(10, 0), call(20), call(30), call(40, retry_of="c30")],
        [call(10, 0, finish_reason="length"), call(20), call(30), call(40)],
        [call(10, 0, tool_set=None), call(20), call(30), call(40)],  # no agent, or one of texts
        [call(10, 0, status="error"), call(20), call(30), call(40)],
        [call(9.5), call(10, 0), call(20), call(30), call(40)],  # another agent's, in parallel
        [call(10, 0), call(10.5), call(20), call(30), call(40)],
    ],
)
def test_no_work_after_done(calls: list[CallStep]) -> None:
    assert found(calls) == []


def test_a_users_message_makes_new_work() -> None:
    calls = [call(10, 0), call(20), call(30), call(40)]
    assert found(calls, turns=[turn(20)]) == []
    assert kinds(found(calls, turns=[turn(10)])) == ["work_after_done"]


def test_work_after_submitting() -> None:
    calls = [call(n * 10) for n in range(5)]
    submitted = [tool(10, name="submit"), *(tool(n * 10) for n in (2, 3, 4))]
    assert kinds(found(calls, submitted)) == ["work_after_done"]
    assert found(calls, [tool(10), *submitted[1:]]) == []


@pytest.mark.parametrize(
    ("step", "done"),
    [
        (tool(1, name="attempt_completion", result=""), True),
        (tool(1, name="finish", result="ok"), True),
        (tool(1, name="submit", result="Error: nothing to submit"), False),
        (tool(1, name="attempt_completion", result="The user has feedback: " + "x" * 300), False),
        (tool(1, "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && git diff", "d" * 900), True),
        (tool(1, "grep COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT x"), False),
        (tool(1, "echo done"), False),
    ],
)
def test_declares_done(step: ToolStep, done: bool) -> None:
    assert declares_done(step) == done


PASSED = "collected 12 items\n===== 12 passed in 0.15s ====="


def solved(*commands: str) -> list[ToolStep]:
    return [
        tool(n, command, PASSED if command == "pytest" else f"output {n}")
        for n, command in enumerate(commands)
    ]


def test_solved_but_never_stopped() -> None:
    steps = solved("pytest", *["ls"] * 9, "pytest", *["ls"] * 9, "pytest")
    (finding,) = found([], steps)
    assert (finding.kind, finding.count) == ("work_after_done", 20)
    assert finding.evidence[0].id == "t0"
    assert finding.session_id == "s"
    assert found([], steps[:-1]) == []
    assert found([], [*steps[:5], tool(4.5, "sed -i s/a/b/ x.py"), *steps[5:]]) == []
    assert found([], [*steps[:5], tool(4.5, "echo x > y.py"), *steps[5:]]) == []


@pytest.mark.parametrize(
    ("result", "passes"),
    [
        (PASSED, True),
        ("Ran 3 tests in 0.1s\n\nOK", True),
        ("test result: ok. 4 passed; 0 failed; 0 ignored", True),
        ("Tests:       5 passed, 5 total", True),
        ("==== 1 failed, 12 passed in 0.2s ====", False),
        ("12 passed, 1 error", False),
        ("ok", False),
    ],
)
def test_what_passing_tests_look_like(result: str, passes: bool) -> None:
    steps = [tool(n, "test", result) for n in range(25)]
    assert (kinds(found([], steps)) == ["work_after_done"]) == passes
