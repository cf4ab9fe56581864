"""Filters and orders, without a screen."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from analysis.columns import SESSIONS
from tui.row_order import Sorting, Term, filtered, ordered, parse_filter, unknown_fields


def row(session_id: str, agent: str | None = None, **values: Any) -> dict[str, Any]:
    return dict.fromkeys(SESSIONS.fields) | {"session_id": session_id, "agent": agent} | values


ROWS = (
    row("a", "claude-code", calls=10, cost_usd=None),
    row("b", "codex", calls=1200, cost_usd=0.5),
    row("c", None, calls=3, cost_usd=2.0),
)


def ids(rows: Any) -> str:
    return "".join(each["session_id"] for each in rows)


def keep(text: str) -> str:
    return ids(filtered(ROWS, parse_filter(text), SESSIONS))


def test_terms() -> None:
    assert parse_filter('Opus !status:OK "a b" title:"x y" status:') == (
        Term("opus"),
        Term("ok", "status", inverse=True),
        Term("a b"),
        Term("x y", "title"),
    )
    assert parse_filter("  ") == ()


def test_words_fields_and_inverse() -> None:
    assert keep("") == "abc"
    assert keep("co") == "ab"
    assert keep("CODEX") == "b"
    assert keep("co !codex") == "a"
    assert keep("agent:code") == "ab"
    assert keep("session:c") == "c", "by label"
    assert keep("session_id:c") == "c", "by key"
    assert keep("calls:1,200") == "b"
    assert keep("agent:–") == "c", "what is not known can be looked for"


def test_unknown_fields_are_named_and_hold_nowhere() -> None:
    terms = parse_filter("colour:red agent:codex")
    assert unknown_fields(terms, SESSIONS) == ("colour",)
    assert filtered(ROWS, terms, SESSIONS) == ()


def test_orders() -> None:
    assert ids(ordered(ROWS, Sorting(), SESSIONS)) == "abc"
    assert ids(ordered(ROWS, Sorting(reverse=True), SESSIONS)) == "cba"
    assert ids(ordered(ROWS, Sorting("calls"), SESSIONS)) == "bac", "the largest first"
    assert ids(ordered(ROWS, Sorting("calls", reverse=True), SESSIONS)) == "cab"
    assert ids(ordered(ROWS, Sorting("agent"), SESSIONS)) == "abc"
    assert ids(ordered(ROWS, Sorting("agent", reverse=True), SESSIONS)) == "bac"
    assert ids(ordered(ROWS, Sorting("cost_usd", reverse=True), SESSIONS)) == "bca"


@given(st.text(max_size=40))
def test_any_filter_splits_the_rows(text: str) -> None:
    for term in parse_filter(text):
        if term.field is None:
            without = Term(term.text, inverse=not term.inverse)
            both = [*filtered(ROWS, [term], SESSIONS), *filtered(ROWS, [without], SESSIONS)]
            assert sorted(ids(both)) == list("abc")
