from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.derived import OutcomeRow
from analysis.escalations import session_escalations
from analysis.finish_reasons import finish_class
from analysis.outcomes import RECENT_NS, main_line, outcome
from analysis.session_waste import session_waste
from analysis.steps import CallStep, Evidence, Finding, ProcessStep, SessionSteps, ToolStep
from tests.analysis.session_steps import MS, call_step, session
from tests.analysis.transcript import tools, transcript

REFUSED = "git push => !The user doesn't want to proceed with this tool use. STOP"
NOW = 100 * MS


def process(**changes: Any) -> tuple[ProcessStep, ...]:
    """The agent's process, which ended well unless changes say otherwise."""
    known = {"ended_ns": 90 * MS, "exit_code": 0} | changes
    return (ProcessStep("10", 10, 1, ("claude",), None, 1000, 0, "s", **known),)


def worked(
    *lines: str, last: dict[str, Any] | None = None, processes: Sequence[ProcessStep] = ()
) -> SessionSteps:
    """A call for each line of the transcript and, unless `last` is None, one after them."""
    steps = tools(transcript(*lines))
    calls = [
        call_step(n, finish_reason="tool_use", tool_call_count=1) for n in range(1, len(lines) + 1)
    ]
    if last is not None:
        calls.append(call_step(len(lines) + 1, **last))
    return session(steps, calls, processes=tuple(processes))


def ended(steps: SessionSteps, now_ns: int | None = None) -> OutcomeRow:
    return outcome(steps, session_escalations(steps), now_ns)


def how(steps: SessionSteps, now_ns: int | None = None) -> str:
    return ended(steps, now_ns).outcome


ANSWERED = worked("ls => a", "cat a => b", last={})


def test_an_answer_after_work_is_completed() -> None:
    row = ended(ANSWERED)
    assert (row.outcome, row.calls, row.tool_calls) == ("completed", 3, 2)
    assert row.tokens == 3300
    assert row.cost_usd == pytest.approx(0.03)
    assert row.wall_ns == 2 * MS + 400_000
    assert (row.wasted_tokens, row.wasted_usd) == (0, 0.0)
    assert how(dataclasses.replace(ANSWERED, processes=process(ended_ns=None)), NOW) == "completed"


def test_a_session_without_calls_is_unknown() -> None:
    row = ended(session())
    assert (row.outcome, row.wall_ns, row.tokens, row.cost_usd) == ("unknown", None, None, None)


def test_the_last_error_failed_it() -> None:
    error = {"status": "error", "error_type": "overloaded_error", "finish_reason": None}
    row = ended(worked("ls => a", last=error))
    assert (row.outcome, row.failed_calls) == ("failed", 1)
    assert "overloaded_error" in row.reason
    twice = session((), [call_step(1, **error), call_step(2, **error)])
    assert "the last 2 calls failed" in ended(twice).reason
    recovered = session((), [call_step(1, **error), call_step(2)])
    assert how(recovered) == "completed"


@pytest.mark.parametrize(
    ("exit_code", "signal", "expected"),
    [(1, None, "failed"), (0, None, "completed"), (None, 11, "failed"), (None, 2, "completed"),
     (130, None, "completed"), (None, 9, "completed")],
)  # fmt: skip
def test_how_the_process_ended_after_the_answer(
    exit_code: int | None, signal: int | None, expected: str
) -> None:
    ending = process(exit_code=exit_code, signal=signal)
    assert how(dataclasses.replace(ANSWERED, processes=ending)) == expected


def test_refusals() -> None:
    for last in (
        {"finish_reason": "refusal"},
        {"finish_reason": "SAFETY"},
        {"finish_reason": "content_filter"},
        {"status": "error", "error_type": "content_filter", "finish_reason": None},
    ):
        assert how(worked("ls => a", last=last)) == "refused", last


@pytest.mark.parametrize("reason", ["max_tokens", "length", "MAX_TOKENS", "max_output_tokens"])
def test_limits_of_tokens_cut_off(reason: str) -> None:
    assert how(worked("ls => a", last={"finish_reason": reason})) == "cut_off"


def test_broken_answers_cut_off_unless_we_lost_them() -> None:
    broken = {"status": "incomplete", "finish_reason": None}
    assert how(worked("ls => a", last=broken)) == "cut_off"
    assert how(worked("ls => a", last={**broken, "lost_bytes": 7})) == "unknown"
    assert how(worked("ls => a", last={"finish_reason": "failed"})) == "failed"


def test_tool_calls_without_result_at_the_end() -> None:
    pending = worked("ls => a", "make")
    assert how(pending) == "cut_off"
    stopped = dataclasses.replace(pending, processes=process(exit_code=1))
    assert "a limit of turns" in ended(stopped).reason
    assert how(dataclasses.replace(pending, processes=process(signal=11))) == "failed"
    assert how(dataclasses.replace(pending, processes=process(ended_ns=None))) == "unknown"


def test_running() -> None:
    pending = worked("ls => a", "make")
    assert how(pending, NOW) == "running"
    assert how(pending, NOW + RECENT_NS) == "cut_off"
    alive = dataclasses.replace(pending, processes=process(ended_ns=None))
    assert how(alive, NOW + RECENT_NS) == "running"
    dead = dataclasses.replace(pending, processes=process(signal=9))
    assert how(dead, NOW) == "cut_off"
    asking = worked("ls => a", last={"status": "running", "ended_ns": None, "finish_reason": None})
    assert how(asking, NOW) == "running"
    assert how(asking) == "cut_off"


def test_hand_offs_and_refused_last_tries_are_giving_up() -> None:
    transfer = "transfer_to_human_agents {} => Transfer successful"
    row = ended(worked("ls => a", transfer, last={}))
    assert (row.outcome, row.human_escalations) == ("gave_up", 1)
    assert how(worked("ls => a", transfer)) == "gave_up"
    row = ended(worked("ls => a", REFUSED, last={}))
    assert (row.outcome, row.human_escalations) == ("gave_up", 1)
    assert how(worked(REFUSED, "ls => a", last={})) == "completed"


def test_only_human_classes_count() -> None:
    policy = "rm x => !Permission to use Bash with command rm has been denied."
    row = ended(worked(policy, "ls => a", last={}))
    assert (row.outcome, row.human_escalations, row.failed_tool_calls) == ("completed", 0, 1)


def test_three_failures_in_a_row_before_the_answer_are_giving_up() -> None:
    failures = ["make => !Error 1", "make -B => !Error 2", "make all => !Error 3"]
    assert how(worked("ls => a", *failures, last={})) == "gave_up"
    assert how(worked("ls => a", *failures[:2], last={})) == "completed"
    assert how(worked(*failures, "ls => a", last={})) == "completed"


def test_tools_that_say_that_it_is_done() -> None:
    assert how(worked("ls => a", 'attempt_completion {"result": "x"}')) == "completed"
    assert how(worked("ls => a", "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT")) == "completed"


def test_helper_calls_do_not_end_a_session() -> None:
    calls = [
        call_step(1, tool_set="t", finish_reason="refusal"),
        call_step(2, model="claude-haiku-4-5"),
        call_step(3, operation="embeddings", tool_set="t"),
    ]
    assert [call.call_id for call in main_line(calls)] == ["call1"]
    assert how(session((), [call_step(1, operation="generate_content")])) == "completed"
    assert how(session((), calls)) == "refused"


def test_finish_reasons_of_providers() -> None:
    words = {"end_turn": "stop", "FINISH": "stop", "eos_token": "stop", "toolUse": None,
             "tool_use": "tool_use", "TOOL_CALL": "tool_use", "guardrail_intervened": "refusal",
             "MALFORMED_FUNCTION_CALL": "failure", "ERROR_LIMIT": "limit"}  # fmt: skip
    assert {word: finish_class(word) for word in words} == words
    assert finish_class(None) is None


def loop(first: int, last: int, tokens: int, *tool_ids: str, kind: str = "repeat") -> Finding:
    return Finding(
        kind,
        "s",
        "warning",
        first * MS,
        last * MS,
        "x",
        tuple(Evidence("tool", each, "") for each in tool_ids),
        wasted_tokens=tokens,
        wasted_usd=tokens / 1000,
    )


def wasted(calls: Sequence[CallStep], steps: Sequence[ToolStep], *found: Finding) -> Any:
    waste = session_waste(calls, steps, found)
    return waste.tokens, waste.usd


def test_waste_counts_each_call_once() -> None:
    steps = worked("ls => a", "ls => a", "ls => a", "ls => a", last={})
    calls = steps.calls
    one = loop(1, 4, 3300, "tool1", "tool4")
    assert wasted(calls, steps.tools, one) == (3300, pytest.approx(0.05))  # no more than was paid
    inside = loop(2, 3, 1100, "tool2", kind="cycle")
    assert wasted(calls, steps.tools, one, inside)[0] == 3300
    apart = loop(5, 6, 100)
    assert wasted(calls, steps.tools, one, apart)[0] == 3400
    assert wasted(calls, steps.tools, loop(1, 4, 9, kind="polling"))[0] == 0
    cut = dataclasses.replace(calls[3], status="incomplete")
    assert wasted([*calls[:3], cut, calls[4]], steps.tools, one)[0] == 3300  # of the loop
    assert wasted([*calls[:3], cut, calls[4]], steps.tools)[0] == 1100


def test_waste_of_failures() -> None:
    limited = call_step(
        1, status="error", http_status=429, input_tokens=None, output_tokens=None, cost_usd=None
    )
    assert wasted([limited, call_step(2, retry_of="call1")], ()) == (0, 0.0)
    cut = call_step(1, status="incomplete", output_tokens=None, cost_usd=None)
    assert wasted([cut], ()) == (None, None)  # something, but how much?
    answered = [call_step(1), call_step(2, retry_of="call1")]  # the client had given up waiting
    assert wasted(answered, ())[0] == 1100
    ours = call_step(1, status="incomplete", lost_bytes=5)
    assert wasted([ours], ()) == (0, 0.0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ok", "error", "incomplete", "running"]),
            st.sampled_from([None, "end_turn", "tool_use", "refusal", "???"]),
            st.booleans(),
        ),
        max_size=6,
    ),
    st.none() | st.integers(0, 10**18),
)
def test_every_session_has_an_outcome(
    said: list[tuple[str, str | None, bool]], now_ns: int | None
) -> None:
    calls = [
        call_step(n, status=status, finish_reason=reason, tool_set="t" if offers else None)
        for n, (status, reason, offers) in enumerate(said, start=1)
    ]
    row = outcome(session((), calls), (), now_ns)
    known = {"completed", "failed", "gave_up", "cut_off", "refused", "running", "unknown"}
    assert row.outcome in known
    assert row.reason
    assert now_ns is not None or row.outcome != "running"
