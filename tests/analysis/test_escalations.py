from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from analysis.escalations import ESCALATION_KINDS, HUMAN_ESCALATION_CLASSES, escalations
from analysis.steps import Evidence, Finding
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
            ),
        ),
    )


def test_a_question_is_one_finding_answered_or_not() -> None:
    ask = 'AskUserQuestion {"questions": []}'
    assert kinds(f"{ask} => User has answered your questions: blue") == ["human_asked"]
    (open_question,) = found(ask)
    assert open_question.kind == "human_asked"
    assert "no result seen" in open_question.evidence[0].note


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
    assert machine | {"privilege_escalation"} == ESCALATION_KINDS - HUMAN_ESCALATION_CLASSES


@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=60)), max_size=8))
def test_never_raises(parts: list[tuple[str, str]]) -> None:
    lines = [f"{name} {{}} => {result}" for name, result in parts]
    assert len(found(*lines, *(f"user: {result}" for _, result in parts))) <= 2 * len(parts)
