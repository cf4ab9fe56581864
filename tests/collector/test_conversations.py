from __future__ import annotations

from typing import Any

import orjson
import pytest

from collector.conversations import Conversations, digest
from collector.llm.model import LlmRequest
from collector.redaction import Redactor
from collector.rows import Batch
from tests.frames import API_KEY, BASH, SALT, assistant, text, user

REDACT = Redactor(SALT).redact_text


def request(*messages: Any, system: tuple[Any, ...] = ("Be careful.",)) -> LlmRequest:
    return LlmRequest("m", False, system=system, messages=messages)


def messages_of(batch: Batch, leaf: str | None) -> list[Any]:
    """The message list that a leaf names, as a reader of the store finds it."""
    nodes = {node.node: node for node in batch.nodes}
    bodies = {row.content_hash: row.body for row in batch.contents}
    found: list[Any] = []
    while leaf is not None:
        node = nodes[leaf]
        body = bodies[node.content_hash]
        assert body is not None
        found.insert(0, orjson.loads(body))
        assert node.position >= 0
        leaf = node.parent_node
    return found


def test_a_list_is_read_back_from_its_leaf() -> None:
    batch = Batch()
    store = Conversations(REDACT, content=True)
    stored = store.request(request(user("hello")), batch)
    leaf = store.extend(stored, [assistant(text("hi"))], batch).leaf
    assert messages_of(batch, stored.leaf) == ["Be careful.", user("hello")]
    assert messages_of(batch, leaf) == ["Be careful.", user("hello"), assistant(text("hi"))]
    assert [row.role for row in batch.contents] == ["system", "user", "assistant"]
    assert [node.position for node in batch.nodes] == [0, 1, 2]


def test_a_history_that_is_resent_is_stored_once() -> None:
    store = Conversations(REDACT, content=True)
    history: list[Any] = []
    batch = Batch()
    for turn in range(100):
        history += [user(f"question {turn}")]
        stored = store.request(request(*history), batch)
        history += [assistant(text(f"answer {turn}"))]
        leaf = store.extend(stored, history[-1:], batch).leaf
    assert len(batch.contents) == len(batch.nodes) == 1 + 200
    assert messages_of(batch, leaf) == ["Be careful.", *history]


def test_an_answer_that_comes_back_as_it_was_shares_its_node() -> None:
    store = Conversations(REDACT, content=True)
    stored = store.request(request(user("a")), Batch())
    leaf = store.extend(stored, [assistant(text("b"))], Batch()).leaf
    batch = Batch()
    again = store.request(request(user("a"), assistant(text("b")), user("c")), batch)
    assert [node.parent_node for node in batch.nodes] == [leaf]
    assert again.length == 4


def test_lineage_passes_over_the_system_prompt() -> None:
    store = Conversations(REDACT, content=True)
    first = store.request(request(user("a"), system=("It is 10:00.",)), Batch())
    second = store.request(request(user("a"), user("b"), system=("It is 10:01.",)), Batch())
    assert second.lineage[0] == first.lineage[0]
    assert second.leaf != first.leaf
    reordered = store.request(request(user("b"), user("a")), Batch())
    assert not set(reordered.lineage) & set(second.lineage)


def test_tool_sets_are_named_by_what_they_hold() -> None:
    store = Conversations(REDACT, content=True)
    batch = Batch()
    other = {**BASH, "name": "Read"}
    both = store.tool_set([BASH, other], batch)
    assert store.tool_set([BASH, other], batch) == both
    assert store.tool_set([other, BASH], batch) != both
    assert store.tool_set([], batch) is None
    assert len(batch.contents) == 2
    assert [(row.tool_set == both, row.position) for row in batch.tool_sets] == [
        (True, 0),
        (True, 1),
        (False, 0),
        (False, 1),
    ]


def test_without_content_only_sizes_are_kept() -> None:
    batch = Batch()
    Conversations(REDACT, content=False).request(request(user("private")), batch)
    assert [row.body for row in batch.contents] == [None, None]
    assert batch.contents[1].size_bytes == len(orjson.dumps(user("private")))


def test_keys_in_messages_are_masked() -> None:
    batch = Batch()
    store = Conversations(REDACT, content=True)
    store.request(request(user(f"my key:\n{API_KEY.decode()}")), batch)
    assert API_KEY.decode() not in repr(batch)
    assert "[redacted:" in repr(batch)


def test_a_message_that_json_cannot_hold() -> None:
    batch = Batch()
    store = Conversations(REDACT, content=True)
    stored = store.request(request({"role": 7, "n": 1 << 70}, "plain"), batch)
    assert stored.length == 3
    assert [row.role for row in batch.contents] == ["system", None, None]


def test_digests_know_where_parts_end() -> None:
    assert digest(b"ab", b"c") != digest(b"a", b"bc")
    assert len(digest(b"")) == 32


@pytest.mark.parametrize("depth", [10, 126, 127, 128, 500])
def test_messages_nested_as_deep_as_parsers_go_are_stored(depth: int) -> None:
    body = b'[{"a":' * depth + b'[1,{},[],"b",null]' + b',"b":""}]' * depth
    nested = orjson.loads(body)
    batch = Batch()
    stored = Conversations(REDACT, content=True).request(request(nested, nested, system=()), batch)
    (row,) = batch.contents
    assert (stored.length, row.body) == (2, body.decode())
