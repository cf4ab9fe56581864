from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from collector.conversations import Conversations
from collector.llm.model import LlmRequest
from collector.resent import Link, SentLists
from collector.rows import Batch

LINKS = [Link("a", "b", "c")] * 4
_TEXTS = st.lists(st.sampled_from(["one", "two", 1, 1.0, True, None]), max_size=6)


def test_what_leads_the_last_list_is_told() -> None:
    lists = SentLists()
    lists.put("base", [b"a", b"b", b"c"], LINKS[:3])
    last, same = lists.before([b"a", b"b", b"x", b"c"])
    assert last is not None
    assert (last.base, same) == ("base", 2)
    assert lists.before([b"b"]) == (None, 0)
    assert lists.before([]) == (None, 0)


def test_a_longer_list_takes_the_place_of_the_one_before() -> None:
    lists = SentLists()
    lists.put(None, [b"a"], LINKS[:1])
    lists.put(None, [b"a", b"b"], LINKS[:2])
    assert lists.before([b"a", b"b"])[1] == 2
    assert lists.held_bytes == 2


def test_memory_is_bounded() -> None:
    lists = SentLists(limit_bytes=1000)
    for number in range(100):
        lists.put(None, [b"%d" % number, b"x" * 300], LINKS[:2])
        assert lists.held_bytes <= 1000
    assert lists.before([b"99"])[1] == 1
    assert lists.before([b"0"])[1] == 0
    lists.put(None, [b"y" * 2000], LINKS[:1])
    assert lists.held_bytes == 0


@given(st.lists(st.tuples(st.sampled_from(["s", "t"]), _TEXTS), max_size=8))
def test_lists_are_the_same_as_without_memory(requests: list[tuple[str, list[Any]]]) -> None:
    """Whatever was sent before: the same nodes, chains and contents."""
    remembering, stored = Conversations(str, content=True), Batch()
    for system, contents in requests:
        request = LlmRequest(
            "m",
            False,
            system=(system,),
            messages=tuple({"role": "user", "content": content} for content in contents),
        )
        alone = Batch()
        expected = Conversations(str, content=True).request(request, alone)
        assert remembering.request(request, stored) == expected
        assert {row.node for row in alone.nodes} <= {row.node for row in stored.nodes}
        assert {row.body for row in alone.contents} <= {row.body for row in stored.contents}
    assert len({row.node for row in stored.nodes}) == len(stored.nodes)
