from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.steps import CallStep, UserTurn
from analysis.text_chants import MIN_UNITS, AssistantText, repeated_unit, text_chants

LONG = "I will now look at the configuration of the build and then run the tests again."
UNIT = "Wait, I should check the file first. "


def said(*texts: str, session_id: str = "s") -> list[AssistantText]:
    return [AssistantText(session_id, f"c{n}", n, text) for n, text in enumerate(texts)]


def found(*texts: str) -> list[int]:
    return [finding.count for finding in text_chants(said(*texts))]


def test_the_same_long_answer_in_a_row() -> None:
    (finding,) = text_chants(said("x", LONG, LONG, "", LONG.upper(), LONG.replace(" ", "\n")))
    assert (finding.kind, finding.count, finding.severity) == ("text_chant", 4, "warning")
    assert [each.id for each in finding.evidence] == ["c1", "c2", "c4", "c5"]
    assert (finding.first_at_ns, finding.last_at_ns) == (1, 5)


def test_ten_times_is_critical() -> None:
    (finding,) = text_chants(said(*[LONG] * 10))
    assert finding.severity == "critical"


@pytest.mark.parametrize(
    "texts",
    [
        [LONG, LONG],
        ["Let me check."] * 20,
        [LONG, LONG, LONG + " And more.", LONG],
        [f"{LONG} {'abcdefg'[n]}" for n in range(7)],
    ],
)
def test_no_chant(texts: list[str]) -> None:
    assert found(*texts) == []


def test_a_users_message_begins_anew() -> None:
    texts = said(LONG, LONG, LONG, LONG)
    assert text_chants(texts, [UserTurn("s", "c2", "again?", 2)]) == []
    assert len(text_chants(texts, [UserTurn("other", "c2", "again?", 2)])) == 1


def test_sessions_are_apart() -> None:
    one, other = said(LONG, LONG), said(LONG, LONG, session_id="t")
    assert text_chants([*one, *other]) == []


def test_answers_after_the_first_are_wasted() -> None:
    calls = [CallStep(f"c{n}", "s", "m", n, 100, 10, cost_usd=0.25) for n in range(3)]
    (finding,) = text_chants(said(LONG, LONG, LONG), (), calls)
    assert (finding.wasted_tokens, finding.wasted_usd) == (220, 0.5)
    (finding,) = text_chants(said(LONG, LONG, LONG), (), calls[:2])
    assert (finding.wasted_tokens, finding.wasted_usd) == (None, None)


def test_a_passage_again_and_again_in_one_answer() -> None:
    (finding,) = text_chants(said(f"Let me see. {UNIT * 20} The end."))
    assert finding.kind == "text_chant"
    assert finding.count >= 18
    assert finding.wasted_tokens is None


@pytest.mark.parametrize(
    ("text", "chants"),
    [
        (UNIT * 14, True),
        (UNIT * 9, False),
        ("".join(f"{n}. {UNIT}\n" for n in range(20)), True),
        (("A paragraph that " + "goes on and on in its own way, " * 3) * 30, True),
        ("-" * 5000, False),
        ("=-" * 2500, False),
        (f"```python\n{UNIT * 30}\n```\n", False),
        (f"| {UNIT} | x |\n" * 30, False),
        ("".join(f"- docs/reference/commands/of/the/tool/page_{c}{d}.md\n"
                 for c in "abcdefgh" for d in "abcdefgh"), False),
        ("", False),
    ],
)  # fmt: skip
def test_repeated_unit(text: str, chants: bool) -> None:
    assert (repeated_unit(text) is not None) == chants


@given(st.text(max_size=80), st.text(alphabet="abcdefg ", min_size=60, max_size=200))
def test_a_chant_is_found_behind_any_beginning(beginning: str, unit: str) -> None:
    found = repeated_unit(beginning + (unit + "hijklm. ") * (MIN_UNITS + 12))
    assert found is None or found[1] >= MIN_UNITS
    if not any(sign in beginning for sign in "`~|"):
        assert found is not None


@given(st.lists(st.text(max_size=200), max_size=6))
def test_never_raises(texts: list[str]) -> None:
    assert len(text_chants(said(*texts))) <= len(texts)
