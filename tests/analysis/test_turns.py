from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.markers import markers
from analysis.steps import CallStep
from analysis.turns import MessageLink, user_text, user_turns


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"role": "user", "content": "hello"}, "hello"),
        ({"role": "user", "content": [{"type": "text", "text": "a"}, {"text": "b"}]}, "a\nb"),
        ({"role": "user", "content": [{"type": "input_text", "text": "hi"}]}, "hi"),
        ({"role": "user", "parts": [{"text": "hi"}, {"functionResponse": {}}]}, "hi"),
        ({"role": "user", "content": [{"type": "tool_result", "content": "x"}]}, None),
        (
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "content": "x"},
                    {"type": "text", "text": "<system-reminder>\nbe kind\n</system-reminder>\n"},
                ],
            },
            None,
        ),
        ({"role": "user", "content": "do <system-reminder>x</system-reminder> it"}, "do  it"),
        ({"role": "user", "content": "<system-reminder>never closed"}, None),
        ({"role": "assistant", "content": "hello"}, None),
        ({"role": "tool", "content": "hello"}, None),
        ({"role": "user", "content": None}, None),
        ({"role": "user"}, None),
        ([1], None),
    ],
)
def test_user_text(message: object, expected: str | None) -> None:
    assert user_text(json.dumps(message)) == expected


@pytest.mark.parametrize("body", ["", "{", "[" * 100_000, "null"])
def test_bodies_that_are_no_message(body: str) -> None:
    assert user_text(body) is None


def test_unclosed_tags_take_no_longer_than_their_length_warrants() -> None:
    started = time.perf_counter()
    assert markers().without_injected("<system-reminder>" * 60_000) == ""
    assert time.perf_counter() - started < 2


def call(number: int, session_id: str = "s") -> CallStep:
    return CallStep(f"call{number}", session_id, None, number, None, None)


def said(text: str) -> str:
    return json.dumps({"role": "user", "content": text})


LINKS = [
    MessageLink("n0", None, 0, said("fix it")),
    MessageLink("n1", "n0", 1, None),
    MessageLink("n2", "n1", 2, said("now test it")),
]


def turns(*calls: tuple[CallStep, str | None], links: list[MessageLink] = LINKS) -> list[str]:
    return [f"{turn.call_id}: {turn.text}" for turn in user_turns(calls, links)]


def test_a_turn_is_dated_by_the_first_call_that_carries_it() -> None:
    assert turns((call(1), "n0"), (call(2), "n0"), (call(3), "n2")) == [
        "call1: fix it",
        "call3: now test it",
    ]


def test_turns_of_one_call_are_in_the_order_of_the_list() -> None:
    assert turns((call(1), "n2")) == ["call1: fix it", "call1: now test it"]


def test_the_same_text_sent_again_in_another_node_is_the_same_turn() -> None:
    marked = json.dumps({"role": "user", "content": [{"text": "fix it", "cache_control": {}}]})
    links = [*LINKS, MessageLink("m0", None, 0, marked), MessageLink("m1", "m0", 1, said("go on"))]
    assert turns((call(1), "n0"), (call(2), "m1"), links=links) == [
        "call1: fix it",
        "call2: go on",
    ]


def test_sessions_that_share_a_beginning_both_have_it() -> None:
    assert turns((call(1, "a"), "n0"), (call(2, "b"), "n0")) == ["call1: fix it", "call2: fix it"]


def test_lists_that_are_not_kept_give_no_turns() -> None:
    assert turns((call(1), None), (call(2), "gone")) == []
    assert turns((call(1), "n0"), links=[MessageLink("n0", None, 0, None)]) == []


NODE = st.sampled_from("abcd")


@given(st.lists(st.tuples(NODE, st.none() | NODE)), st.lists(st.none() | NODE))
def test_links_in_a_circle_end(pairs: list[tuple[str, str | None]], leaves: list[str]) -> None:
    links = [MessageLink(node, parent, 0, said(node)) for node, parent in pairs]
    calls = [(call(number), leaf) for number, leaf in enumerate(leaves)]
    assert len(user_turns(calls, links)) <= 4
