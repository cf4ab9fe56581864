from __future__ import annotations

from collector.llm.call_matching import MatchIds, OpenCalls


def test_equal_calls_are_counted() -> None:
    ids = MatchIds()
    first, second = ids.take("ls", {"a": 1, "b": 2}), ids.take("ls", {"b": 2, "a": 1})
    assert first.startswith("ls#0-")
    assert second == first.replace("#0-", "#1-")
    assert ids.take("ls", {"a": 1}).startswith("ls#0-")
    assert ids.take("cat", {"a": 1, "b": 2}) == first.replace("ls", "cat")


def test_a_copy_goes_on_from_where_it_was_taken() -> None:
    ids = MatchIds()
    ids.take("ls", {})
    copy = ids.copy()
    assert copy.take("ls", {}) == ids.take("ls", {})
    assert copy.take("ls", {}).startswith("ls#2-")


def test_numbers_that_are_whole_are_equal_however_written() -> None:
    assert MatchIds().take("f", {"a": [1.0, 2.5]}) == MatchIds().take("f", {"a": [1, 2.5]})
    assert MatchIds().take("f", {"a": 10}) != MatchIds().take("f", {"a": 1})


def test_arguments_of_any_depth() -> None:
    deep: list[object] = []
    for _ in range(2_000):
        deep = [deep]
    assert MatchIds().take("f", deep).startswith("f#0-")


def test_results_find_their_calls() -> None:
    calls, ids = OpenCalls(), MatchIds()
    for call_id, name in (("1", "ls"), ("2", "cat"), (None, "ls")):
        calls.add(call_id, name, {})
    first, second, third = (ids.take(name, {}) for name in ("ls", "cat", "ls"))
    assert calls.answered("made-up", "cat") == ("2", second)
    assert calls.answered("1", "cat") == ("1", first)
    assert calls.answered("9", "rm") == ("9", None)
    assert calls.answered("9", None) == ("9", None)
    assert calls.answered(None, "rm") == (None, None)
    assert calls.answered(None, None) == (None, third)
    assert calls.answered(None, None) == (None, None)
    calls.add("4", "ls", {})
    calls.begin_turn()
    assert calls.answered(None, "ls") == (None, None)
