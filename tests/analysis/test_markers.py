from __future__ import annotations

import pytest

from analysis.escalations import ESCALATION_KINDS
from analysis.markers import Marker, markers

HUMAN, PLAN = "The user doesn't want to proceed with this tool use. ", "ExitPlanMode"

RESULTS = [
    (HUMAN, "Bash", "human_denied"),
    ("<tool_use_error>" + HUMAN, "Bash", "human_denied"),
    ("Error: exec command rejected by user", "shell", "human_denied"),
    ('{"output":"exec command rejected by user","metadata":{}}', "shell", "human_denied"),
    ('{"status": "denied", "message": "The user denied this operation."}', "x", "human_denied"),
    ("[write_to_file for 'a.md'] Result:\nThe user denied this operation.", "x", "human_denied"),
    (
        "Permission for this tool use was denied. The tool use was rejected. The user said:\nno",
        "Bash",
        "human_denied",
    ),
    ("Permission for this tool use was denied. Try another way", "Bash", "policy_denied"),
    ("Permission to use Bash with command rm has been denied.", "Bash", "policy_denied"),
    ("`rm -rf /` rejected: policy forbids commands starting with `rm`", "shell", "policy_denied"),
    ("approval required by policy, but AskForApproval is set to Never", "shell", "policy_denied"),
    (
        "Error executing tool write_file: Tool execution denied by policy. You are in Plan Mode",
        "write_file",
        "policy_denied",
    ),
    (
        "Permission for this action was denied by the Claude Code auto mode classifier. Reason: x",
        "Bash",
        "classifier_denied",
    ),
    ("This action was rejected due to unacceptable risk.", "shell", "classifier_denied"),
    ("Tool permission request failed: timeout", "Bash", "infra_failed"),
    (HUMAN, PLAN, "plan_rejected"),
    ("User has approved your plan. You can now start coding.", PLAN, "plan_approved"),
    ('{"assistant": "Billing"}', "transfer_to_billing", "handoff_agent"),
    ("Your questions have been answered: blue. You can", "AskUserQuestion", "human_asked"),
    ("The user answered: neither", "AskUserQuestion", "human_asked"),
    ("Permission for this action has been denied. Reason: x", "Bash", "classifier_denied"),
    ("aborted by user after 3.2s", "shell", "human_denied"),
    ("The user dismissed this question", "question", "human_denied"),
    ("The user has specified a rule which prevents you from using this", "bash", "policy_denied"),
    ("Plan rejected. No feedback provided.", "exit_plan_mode", "plan_rejected"),
    ("Plan approved. Switching to Default mode", "exit_plan_mode", "plan_approved"),
    ("Error: Command execution cancelled by user", "bash", "human_denied"),
    ("Detected 3 consecutive identical calls to `x`; consider", "x", "agent_detected"),
    ("Tool x called 5 times consecutively with identical arguments", "x", "agent_detected"),
    ("You have called x with identical arguments 4 times in a row. Stop.", "x", "agent_detected"),
    ("Error: Tool call repetition limit reached for x. Try another.", "x", "agent_detected"),
]

NOT_RESULTS = [
    ("The log says: exec command rejected by user", "Bash"),
    ("The user answered: neither", "Read"),
    ("Plan approved by the board", "Read"),
    ("1  The user denied this operation.", "Read"),
    ('{"assistant": "Billing"}', "get_user"),
    ("x" * 700 + " times consecutively with identical arguments", "Read"),
    ("Permission to use\nall of it has been denied", "Read"),
    ("", "Bash"),
]

NAMES = [
    ("AskUserQuestion", '{"questions":[]}', "human_asked"),
    ("mcp__desk__ask_human", "{}", "human_asked"),
    ("request_user_input", None, "human_asked"),
    ("transfer_to_human_agents", '{"summary":"x"}', "handoff_human"),
    ("escalate_ticket", '{"id":1}', "handoff_human"),
    ("transfer_to_billing", "{}", "handoff_agent"),
    ("Delegate work to coworker", '{"task":"x"}', "handoff_agent"),
]
NOT_NAMES = [
    ("transfer_to_savings", '{"amount":5}'),
    ("attempt_completion", "{}"),
    ("Bash", '{"command":"ask_human"}'),
    ("deescalate", "{}"),
    ("", None),
]


def kind(marker: Marker | None) -> str | None:
    return marker.kind if marker else None


@pytest.mark.parametrize(("text", "tool", "expected"), RESULTS)
def test_results(text: str, tool: str, expected: str) -> None:
    assert kind(markers().in_result(text, tool)) == expected
    assert kind(markers().in_result("\n  " + text, tool)) == expected


@pytest.mark.parametrize(("text", "tool"), NOT_RESULTS)
def test_texts_that_are_no_marker(text: str, tool: str) -> None:
    assert markers().in_result(text, tool) is None


@pytest.mark.parametrize(("name", "arguments", "expected"), NAMES)
def test_names(name: str, arguments: str | None, expected: str) -> None:
    assert kind(markers().in_tool_name(name, arguments)) == expected


@pytest.mark.parametrize(("name", "arguments"), NOT_NAMES)
def test_names_that_are_no_marker(name: str, arguments: str | None) -> None:
    assert markers().in_tool_name(name, arguments) is None


def test_user_text() -> None:
    interrupted = "[Request interrupted by user for tool use]"
    assert kind(markers().in_user_text(interrupted)) == "human_denied"
    assert markers().in_user_text(f"what does {interrupted} mean?") is None
    assert markers().in_user_text(HUMAN) is None
    aborted = "<turn_aborted>\n  The user interrupted the previous turn on purpose."
    assert kind(markers().in_user_text(aborted)) == "human_denied"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.", "compaction_request"),
        ("You are performing a CONTEXT CHECKPOINT COMPACTION. Create", "compaction_request"),
        ("Here is the conversation so far:\n<conversation>", "compaction_request"),
        ("This session is being continued from a previous conversation", "compaction_after"),
        ("Another language model started to solve this problem and", "compaction_after"),
        ("<SYSTEM_NOTICE>\nEarlier context was compacted.\n\nSummary", "compaction_after"),
        ("Why does it say: Here is the conversation so far:?", None),
        ("summarize the conversation", None),
    ],
)
def test_texts_of_compaction(text: str, expected: str | None) -> None:
    marker = markers().of_compaction(text)
    assert (marker.kind if marker else None) == expected


def test_system_prompts_of_compaction() -> None:
    text = "\nYou are a specialized system component responsible for distilling chat history into"
    assert kind(markers().in_system_text(text)) == "compaction_request"
    assert markers().in_last_user_text(text) is None


def test_every_entry_is_of_a_known_class_and_place() -> None:
    assert markers().version == 1
    for marker in markers().all:
        assert marker.client
        if marker.kind in ("compaction_request", "compaction_after"):
            assert marker.where in ("system_text", "last_user_text", "summary_text")
        else:
            assert marker.kind in ESCALATION_KINDS | {"agent_detected"}
            assert marker.where in ("tool_result", "tool_name", "user_text")
        assert not marker.pattern.fullmatch("")


def test_every_escalation_class_has_a_marker() -> None:
    named = {marker.kind for marker in markers().all}
    assert ESCALATION_KINDS - {"privilege_escalation", "model_escalation"} <= named
