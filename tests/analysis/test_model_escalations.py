from __future__ import annotations

import pytest

from analysis.model_escalations import model_escalations
from analysis.model_strength import is_stronger
from analysis.steps import CallStep, Finding
from tests.analysis.session_steps import call_step

HAIKU, SONNET, OPUS = "claude-haiku-4-5-20251001", "claude-sonnet-4-5", "claude-opus-4-5"


def calls(*said: str) -> list[CallStep]:
    """`model` or `model tools`, one a call."""
    return [
        call_step(number, model=model, tool_set=tools or None)
        for number, (model, _, tools) in enumerate((each.partition(" ") for each in said), start=1)
    ]


def moves(*said: str) -> list[tuple[str, str]]:
    """The calls that are evidence of each finding."""
    return [ids(finding) for finding in model_escalations(calls(*said))]


def ids(finding: Finding) -> tuple[str, str]:
    first, second = finding.evidence
    return first.id, second.id


def test_a_move_up_names_both_calls() -> None:
    (finding,) = model_escalations(calls(f"{SONNET} t", f"{SONNET} t", f"{OPUS} t", f"{OPUS} t"))
    assert (finding.kind, finding.severity) == ("model_escalation", "info")
    assert ids(finding) == ("call2", "call3")
    assert finding.title.endswith(f"from {SONNET} to {OPUS}")


def test_helper_calls_and_sub_agents_are_no_moves() -> None:
    assert moves(HAIKU, f"{SONNET} t", HAIKU, f"{SONNET} t") == []  # titles have no tools
    assert moves(f"{HAIKU} explore", f"{SONNET} t", f"{HAIKU} explore", f"{SONNET} t") == []
    assert moves(HAIKU, SONNET, SONNET) == []  # a title before a talk without tools
    summary = calls(f"{SONNET} t", HAIKU, f"{SONNET} t")
    assert model_escalations(summary) == []


def test_a_move_down_or_back_is_none() -> None:
    assert moves(f"{OPUS} t", f"{HAIKU} t", f"{OPUS} t") == []
    assert moves(f"{HAIKU} t", f"{OPUS} t", f"{HAIKU} t", f"{OPUS} t") == [("call1", "call2")]
    assert moves(f"{SONNET} t", "claude-sonnet-4-5-20250929 t") == []


def test_without_tools_a_model_must_have_talked_before() -> None:
    assert moves(HAIKU, HAIKU, OPUS) == [("call2", "call3")]
    asked_again = [
        call_step(1, model="gpt-5-mini", provider="openai", input_node="n"),
        call_step(2, model="gpt-5", provider="openai", input_node="n"),
    ]
    assert len(model_escalations(asked_again)) == 1


def test_a_call_that_failed_is_no_move() -> None:
    first, second = calls(f"{SONNET} t", f"{OPUS} t")
    failed = call_step(2, model=OPUS, tool_set="t", status="error")
    assert model_escalations([first, second]) != []
    assert model_escalations([first, failed]) == []


STRONGER = [
    (OPUS, SONNET, True),
    (SONNET, OPUS, False),
    ("us.anthropic.claude-opus-4-5-v1:0", "claude-haiku-4-5", True),
    ("gemini-2.5-pro", "gemini-2.5-flash", True),
    ("gemini-2.5-flash", "gemini-2.5-flash-lite", True),
    ("gpt-5", "gpt-5-mini", True),
    ("gpt-4o-2024-08-06", "gpt-4o", False),
    ("gpt-5.2", "gpt-5.1", False),  # a version, not a size
    ("openai/gpt-5-mini", "gpt-5-nano", True),
    ("made-up", "gpt-5", None),
]


@pytest.mark.parametrize(("model", "than", "expected"), STRONGER)
def test_strength(model: str, than: str, expected: bool | None) -> None:
    said = is_stronger(model, than, provider="openai", than_provider="openai", at_s=1_763_000_000)
    assert said is expected


def test_makers_are_compared_by_price() -> None:
    priced = is_stronger(
        "claude-opus-4-5", "gpt-5-nano", provider="anthropic", than_provider="openai",
        at_s=1_763_000_000,
    )  # fmt: skip
    assert priced is True
