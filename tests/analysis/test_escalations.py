from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from analysis.aftermath import approval_delays
from analysis.derived import ToolActionRow
from analysis.escalations import (
    ESCALATION_KINDS,
    HUMAN_ESCALATION_CLASSES,
    escalations,
    session_escalations,
)
from analysis.steps import Evidence, Finding, ProcessStep
from tests.analysis.session_steps import call_step, session
from tests.analysis.transcript import tools, transcript, turns

REFUSED = "git push --force => !The user doesn't want to proceed with this tool use. STOP"


def found(*lines: str) -> list[Finding]:
    steps = transcript(*lines)
    return escalations(tools(steps), turns(steps))


def kinds(*lines: str) -> list[str]:
    return [finding.kind for finding in found(*lines)]


def test_a_refusal_names_the_call_and_the_wait() -> None:
    (finding,) = found("ls => a", REFUSED, "ls => a")
    assert finding == Finding(
        kind="human_denied",
        session_id="s",
        severity="warning",
        first_at_ns=2_000_000,
        last_at_ns=2_500_000,
        title="A human refused Bash",
        evidence=(
            Evidence(
                "tool",
                "tool2",
                "Bash (claude-code marker); 0.0 s from request to result; "
                "The user doesn't want to proceed with this tool use. STOP",
                2_000_000,
            ),
            Evidence("tool", "tool3", "then: it changed the Bash call: ls", 3_000_000),
        ),
        waited_ms=0.5,
    )


def test_a_question_is_one_finding_answered_or_not() -> None:
    ask = 'AskUserQuestion {"questions": []}'
    assert kinds(f"{ask} => User has answered your questions: blue") == ["human_asked"]
    (open_question,) = found(ask)
    assert open_question.kind == "human_asked"
    assert "no result seen" in open_question.evidence[0].note
    assert open_question.waited_ms is None
    assert len(open_question.evidence) == 1  # nothing can have followed yet


def test_the_result_decides_over_the_name() -> None:
    plan = 'ExitPlanMode {"plan": "x"}'
    assert kinds(f"{plan} => User has approved your plan.") == ["plan_approved"]
    assert kinds(f"{plan} => The agent proposed a plan that was rejected by the user") == [
        "plan_rejected"
    ]
    assert kinds(plan) == ["human_asked"]
    ask = 'ask_user {"q": "x"} => Potential loop detected'
    assert kinds(ask) == ["human_asked"]


def test_an_interruption_is_counted_once() -> None:
    note = "user: [Request interrupted by user for tool use]"
    assert kinds("ls => a", "user: [Request interrupted by user]") == ["human_denied"]
    (refusal,) = found(REFUSED, note)  # the note rides on the request that carries the refusal
    assert refusal.evidence[0].kind == "tool"
    assert kinds(REFUSED, "ls => a", note) == ["human_denied", "human_denied"]


def test_quoted_markers_are_not_taken_at_their_word() -> None:
    assert (
        kinds(
            "cat notes.md => He wrote: The user denied this operation.",
            "user: why do I see [Request interrupted by user]?",
            'attempt_completion {"result": "escalate"} => done',
            'transfer_to_savings {"amount": 5} => ok',
            "grep -rn 'rejected by user' . => a.rs:1: exec command rejected by user",
        )
        == []
    )


def test_handoffs() -> None:
    assert kinds(
        "transfer_to_human_agents {} => Transfer successful",
        'transfer_to_billing {"reason": "x"} => {"assistant": "Billing"}',
        "transfer_to_refunds {} => ok",
    ) == ["handoff_human", "handoff_agent", "handoff_agent"]


def test_equal_ids_in_different_calls_are_different_calls() -> None:
    steps = tools(transcript(REFUSED, REFUSED))
    same_id = [dataclasses.replace(step, tool_call_id="call_0") for step in steps]
    assert len(escalations(same_id)) == 2
    assert len(escalations([same_id[0], same_id[0]])) == 1


def test_only_human_classes_count_towards_the_rate() -> None:
    assert HUMAN_ESCALATION_CLASSES < ESCALATION_KINDS
    machine = {"policy_denied", "classifier_denied", "infra_failed", "handoff_agent"}
    gains = {"privilege_escalation", "model_escalation"}
    assert machine | gains == ESCALATION_KINDS - HUMAN_ESCALATION_CLASSES


def followed(*lines: str) -> str:
    return found(*lines)[0].evidence[-1].note


def test_what_followed() -> None:
    push = "git push --force"
    assert followed(REFUSED, f"{push} => ok") == "then: it tried the same Bash call again"
    assert followed(REFUSED, "git push => ok") == "then: it changed the Bash call: git push"
    went_on = followed(REFUSED, 'Read {"path": "a"} => x')
    assert went_on == 'then: it went on with Read: {"path":"a"}'
    spoken = followed(REFUSED, "user: do not force it", "git push => ok")
    assert spoken.endswith("git push, after a message of the user")
    assert followed(REFUSED) == found(REFUSED)[0].evidence[0].note  # nothing followed yet


def test_what_followed_an_interruption() -> None:
    note = followed("ls => a", "user: [Request interrupted by user]", "ls => a")
    assert note == "then: it tried the same Bash call again"


def test_giving_up_shows_by_an_answer_without_tool_calls() -> None:
    steps = session(tools(transcript(REFUSED)), [call_step(1), call_step(2)])
    (finding,) = session_escalations(steps)
    assert finding.evidence[-1] == Evidence(
        "call", "call2", "then: no more tool calls: it gave up or was done", 2_000_000
    )
    running = session(steps.tools, [call_step(1), call_step(2, status="running")])
    assert len(session_escalations(running)[0].evidence) == 1


def test_calls_beside_the_refused_one_do_not_follow_it() -> None:
    first, second, third = tools(transcript(REFUSED, "ls => a", "pwd => /"))
    beside = dataclasses.replace(second, call_id=first.call_id, requested_ns=first.result_ns or 0)
    (finding,) = escalations([first, beside, third])
    assert finding.evidence[-1].id == third.tool_call_id


def test_a_silent_approval_is_measured_and_not_claimed() -> None:
    (step,) = tools(transcript("make deploy => done"))
    action = ToolActionRow(
        "s", "call1", "tool1", "process", "p1", step.requested_ns + 9 * 10**9, "command", "certain"
    )
    later = dataclasses.replace(action, action_id="p2", at_ns=step.requested_ns + 10**10)
    assert approval_delays([step], [later, action]) == {("call1", "tool1"): 9 * 10**9}
    assert approval_delays([step], [dataclasses.replace(action, kind="file")]) == {}
    assert session_escalations(session([step], [call_step(1)]), [action]) == []
    asked = tools(transcript('ask_user {"q": "deploy?"} => yes'))
    (finding,) = session_escalations(session(asked, []), [action])
    assert finding.evidence[1].note == "its program started 9.0 s after the request"


def test_a_session_tells_of_its_own_processes_and_models() -> None:
    agent = ProcessStep("10", 10, 1, ("claude",), None, 1000, 1, "s")
    sudo = ProcessStep("11", 11, 10, ("sudo", "ls"), None, 1000, 2, "s")
    of_another = ProcessStep("12", 12, 10, ("su",), None, 1000, 3, "child")
    calls = [
        call_step(1, model="claude-haiku-4-5", tool_set="t"),
        call_step(2, model="claude-opus-4-5", tool_set="t"),
    ]
    steps = dataclasses.replace(session([], calls), processes=(agent, sudo, of_another))
    assert [finding.kind for finding in session_escalations(steps)] == [
        "privilege_escalation",
        "model_escalation",
    ]


@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=60)), max_size=8))
def test_never_raises(parts: list[tuple[str, str]]) -> None:
    lines = [f"{name} {{}} => {result}" for name, result in parts]
    assert len(found(*lines, *(f"user: {result}" for _, result in parts))) <= 2 * len(parts)
