"""Anatomy of requests: every provider's shapes, sums, what is resent, compactions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import message_lists
from analysis.context_use import ContextNode, context_uses
from analysis.derived import ContextUseRow
from analysis.message_anatomy import Anatomy, anatomy
from analysis.steps import CallStep, SessionSteps
from tests.analysis.requests import SESSION, Conversation, answer, calls_tool, history, result, user

SYSTEM = [{"type": "text", "text": "You are a careful engineer."}]
SUMMARY = "This session is being continued from a previous conversation that ran out of context."


def uses(conversation: Conversation, **schemas: int) -> list[ContextUseRow]:
    return context_uses(conversation.steps, conversation.nodes, schemas)


def parts(row: ContextUseRow) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row.parts)
    return found


def size(message: Any) -> int:
    return len(json.dumps(message, separators=(",", ":")))


def test_who_fills_a_growing_request() -> None:
    talk = Conversation()
    messages = [user("look at a.py and run the tests")]
    talk.ask(messages, system=SYSTEM, tool_set="t", tokens=100)
    asks = {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "Sure."},
            {"type": "tool_use", "id": "1", "name": "Read", "input": {"file_path": "/a.py"}},
            {"type": "tool_use", "id": "2", "name": "Bash", "input": {"command": "pytest"}},
        ],
    }
    file = {"type": "tool_result", "tool_use_id": "1", "content": "x" * 300}
    tests = {"type": "tool_result", "tool_use_id": "2", "content": "1 failed"}
    said = {"type": "text", "text": "hurry"}
    brings = {"role": "user", "content": [file, tests, said]}
    messages += [asks, brings]
    talk.ask(messages, system=SYSTEM, tool_set="t", tokens=300, cache_read_tokens=90)
    first, second = uses(talk, t=1000)
    assert (first.messages, first.system_bytes, first.tool_schema_bytes) == (
        1,
        size(SYSTEM[0]),
        1000,
    )
    assert first.user_bytes == size(messages[0])
    assert (first.resent_bytes, first.grown_bytes) == (0, None)
    assert second.tool_result_bytes == size(file) + size(tests)
    assert second.user_bytes == size(messages[0]) + size(brings) - size(file) - size(tests)
    assert second.assistant_bytes == size(asks)
    assert second.resent_bytes == first.total_bytes
    assert second.grown_bytes == size(asks) + size(brings) == second.total_bytes - first.total_bytes
    assert parts(second) == {
        "tools": {"Read": size(file), "Bash": size(tests)}, "files": {"/a.py": size(file)},
    }  # fmt: skip
    assert (second.input_tokens, second.cache_read_tokens) == (300, 90)


SHAPES: dict[str, list[Any]] = {
    "openai chat": [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "1", "type": "function",
                 "function": {"name": "read_file", "arguments": '{"path": "/a"}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": "x" * 100},
    ],
    "openai responses": [
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "1", "name": "read_file",
         "arguments": '{"path":"/a"}'},
        {"type": "function_call_output", "call_id": "1", "output": "x" * 100},
    ],
    "codex": [
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "local_shell_call", "call_id": "1",
         "action": {"type": "exec", "command": ["bash", "-lc", "cat /a"]}},
        {"type": "local_shell_call_output", "call_id": "1", "output": "x" * 100},
    ],
    "gemini": [
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "model", "parts": [
            {"functionCall": {"name": "read_file", "args": {"absolute_path": "/a"}}},
            {"functionCall": {"name": "glob", "args": {"pattern": "*"}}},
        ]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "read_file", "response": {"output": "x" * 100}}},
        ]},
    ],
    "bedrock": [
        {"role": "user", "content": [{"text": "hi"}]},
        {"role": "assistant", "content": [
            {"toolUse": {"toolUseId": "1", "name": "read_file", "input": {"path": "/a"}}},
        ]},
        {"role": "user", "content": [
            {"toolResult": {"toolUseId": "1", "content": [{"text": "x" * 100}]}},
        ]},
    ],
    "ollama": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "", "tool_calls": [
            {"function": {"name": "read_file", "arguments": {"path": "/a"}}},
        ]},
        {"role": "tool", "tool_name": "read_file", "content": "x" * 100},
    ],
}  # fmt: skip


@pytest.mark.parametrize("messages", SHAPES.values(), ids=SHAPES.keys())
def test_shapes_of_providers(messages: list[dict[str, Any]]) -> None:
    talk = Conversation()
    talk.ask(messages)
    (row,) = uses(talk)
    assert row.user_bytes == size(messages[0])
    assert row.tool_result_bytes == size(messages[-1])
    assert row.assistant_bytes == sum(map(size, messages[1:-1]))
    assert row.other_bytes == 0
    (tool,) = parts(row)["tools"]
    assert tool in ("read_file", "local_shell")
    assert parts(row)["files"] == {"/a": size(messages[-1])}


def test_without_content_only_roles_tell() -> None:
    talk = Conversation(content=False)
    talk.ask([*SHAPES["openai chat"], *history(1)], system=SYSTEM)
    (row,) = uses(talk)
    assert row.system_bytes == size(SYSTEM[0])
    assert row.tool_result_bytes == size(SHAPES["openai chat"][-1])
    assert row.user_bytes == 0
    assert row.other_bytes == sum(size(m) for m in (SHAPES["openai chat"][0], *history(1)[::2]))
    assert parts(row) == {"tools": {"(unknown)": row.tool_result_bytes}, "files": {}}


def test_what_is_not_known_has_no_row() -> None:
    talk = Conversation()
    talk.ask([user("hi")])
    talk.calls.append(CallStep("x", "s", None, 5, None, None, input_node="elsewhere"))
    talk.calls.append(CallStep("y", "s", None, 6, None, None))
    assert [row.call_id for row in uses(talk)] == ["c0"]


def test_conversations_beside_each_other() -> None:
    """Titles and checks between two requests of the main list do not count as its past."""
    talk = Conversation()
    long = history(10)
    talk.ask(long[:-2], system=SYSTEM, tool_set="t")
    talk.ask([user("a title for: fix the build")], system=[{"type": "text", "text": "Titles."}])
    talk.ask(long, system=SYSTEM, tool_set="t")
    main, title, again = uses(talk)
    assert (title.grown_bytes, title.compaction) == (None, None)
    assert again.resent_bytes == main.total_bytes
    assert again.compaction is None


def compacted(**about: Any) -> Conversation:
    """Ten files read, a summary asked for as Claude Code does, two more requests."""
    talk = Conversation()
    old = history(10)
    talk.ask(old[:-2], system=SYSTEM, tool_set="t", tokens=9000)
    talk.ask(old, system=SYSTEM, tool_set="t", tokens=10000)
    ask = user("CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.")
    talk.ask([*old, ask], system=SYSTEM, tool_set="t", tokens=10100, cost_usd=0.03)
    new = [user(f"{SUMMARY} The build was broken.")]
    talk.ask(new, system=SYSTEM, tool_set="t", tokens=900, **about)
    new += [calls_tool("z", "Read", {"file_path": "/src/3.py"}), result("z", "3" * 200)]
    talk.ask(new, system=SYSTEM, tool_set="t", tokens=1000)
    return talk


def test_a_compaction_by_its_marks() -> None:
    rows = uses(compacted())
    assert [row.compaction for row in rows] == [None, None, "request", "after", None]
    after = rows[3]
    assert (
        after.dropped_bytes
        == rows[1].user_bytes + rows[1].assistant_bytes + rows[1].tool_result_bytes
    )
    assert parts(after)["dropped"] == {
        "call_id": "c2", "messages": 21, "summarised": True,
        "tools": {"Read": rows[1].tool_result_bytes},
    }  # fmt: skip
    assert after.resent_bytes == rows[1].system_bytes
    assert after.grown_bytes == after.total_bytes - rows[1].total_bytes
    assert rows[4].resent_bytes == after.total_bytes


def test_a_request_in_another_prompt_and_a_retry_of_what_follows() -> None:
    """As gemini-cli: another system prompt asks; the call after it fails and is repeated."""
    talk = Conversation()
    old = history(10)
    talk.ask(old, system=SYSTEM, tool_set="t")
    prompt = "You are a specialized system component responsible for distilling chat history into"
    talk.ask([*old, user("do it")], system=[{"parts": [{"text": prompt}]}])
    new = [user("<state_snapshot>all</state_snapshot>"), answer("Got it."), *old[-3:]]
    talk.ask(new, system=SYSTEM, tool_set="t", status="error")
    talk.ask(new, system=SYSTEM, tool_set="t", retry_of="c2")
    rows = uses(talk)
    assert [row.compaction for row in rows] == [None, "request", "after", None]
    assert parts(rows[2])["dropped"]["messages"] == len(old) - 3
    assert rows[3].grown_bytes == 0


def test_instructions_behind_the_users_words() -> None:
    """As Claude Code 2.1.300, which puts system messages at the end."""
    talk = Conversation()
    old = history(6)
    note = {"role": "system", "content": "90000 tokens left"}
    talk.ask([*old, note], system=SYSTEM)
    ask = user("CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.")
    talk.ask([*old, ask, note], system=SYSTEM)
    talk.ask([user(SUMMARY), note], system=SYSTEM)
    rows = uses(talk)
    assert [row.compaction for row in rows] == [None, "request", "after"]
    assert rows[2].dropped_bytes == sum(map(size, old))
    assert rows[0].system_bytes == size(SYSTEM[0]) + size(note)


def test_what_was_done_since_the_last_request_is_dropped_with_the_rest() -> None:
    """As Codex: only the request for the summary has the last result, and every id is new after."""
    talk = Conversation()
    old = history(4)
    talk.ask(old[:-2], system=SYSTEM, tool_set="t")
    ask = user("You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary")
    talk.ask([*old, ask], system=SYSTEM)
    other = [{"type": "text", "text": "You are a careful engineer, still."}]
    summary = user("Another language model started to solve this problem and produced a summary")
    talk.ask([summary], system=other, tool_set="t")
    talk.ask([summary, answer("on")], system=other, tool_set="t")
    first, asked, after, later = uses(talk)
    assert [row.compaction for row in (first, asked, after, later)] == [
        None, "request", "after", None,
    ]  # fmt: skip
    assert parts(after)["dropped"]["call_id"] == "c1"
    assert after.dropped_bytes == sum(map(size, old))
    assert after.grown_bytes == after.total_bytes - first.total_bytes
    assert later.resent_bytes == after.total_bytes


@pytest.mark.parametrize("keep_first", [False, True])
def test_the_generic_rule(keep_first: bool) -> None:
    talk = Conversation()
    old = history(10)
    for end in range(1, len(old) + 1, 2):
        talk.ask(old[:end], system=SYSTEM, tool_set="t", tokens=end * 500)
    note = user("What happened so far: the build was fixed.")
    talk.ask([*old[: int(keep_first)], note, *old[-4:]], system=SYSTEM, tool_set="t", tokens=2000)
    talk.ask(
        [*old[: int(keep_first)], note, *old[-4:], answer("ok"), user("go on")],
        system=SYSTEM, tool_set="t", tokens=2100,
    )  # fmt: skip
    rows = uses(talk)
    assert [row.compaction for row in rows[-2:]] == ["generic", None]
    assert {row.compaction for row in rows[:-2]} == {None}
    dropped = parts(rows[-2])["dropped"]
    assert dropped["messages"] == len(old) - 4 - keep_first
    assert dropped["summarised"] is True


def test_a_list_that_was_cut_without_a_summary() -> None:
    talk = Conversation()
    old = history(10)
    talk.ask(old, system=SYSTEM)
    talk.ask([*old[-6:], user("go on")], system=SYSTEM)
    row = uses(talk)[-1]
    assert row.compaction == "generic"
    assert parts(row)["dropped"]["summarised"] is False


def test_old_results_that_were_cleared() -> None:
    """As many messages as before, and far fewer tokens."""
    talk = Conversation()
    old = history(10)
    cleared = [
        result(f"r{at // 2 - 1}", "[cleared]") if at and at % 2 == 0 and at < 18 else message
        for at, message in enumerate(old)
    ]
    talk.ask(old, system=SYSTEM, tokens=9000)
    talk.ask(cleared, system=SYSTEM, tokens=3000)
    assert [row.compaction for row in uses(talk)] == [None, "generic"]


def test_lists_that_the_server_remembers_go_by_tokens() -> None:
    talk = Conversation()
    for number, tokens in enumerate((5000, 6000, 7000, 3000)):
        talk.ask([user(f"step {number}")], system=SYSTEM, tokens=tokens)
    assert [row.compaction for row in uses(talk)] == [None, None, None, "generic"]


def test_sub_agents_are_no_compaction() -> None:
    """Told by what an open tool call asked for, or by the parent's list, which goes on later."""
    talk = Conversation(content=True)
    main = history(10)
    talk.ask(main, system=SYSTEM, tool_set="t")
    talk.tool("Task", {"prompt": "find “dead” code\nin /src"}, None, 0, None)
    sub = [user("find “dead” code\nin /src")]
    talk.ask(sub, system=SYSTEM, tool_set="t")
    talk.ask([*sub, *history(4)[1:]], system=SYSTEM, tool_set="t")
    assert {row.compaction for row in uses(talk)} == {None}

    silent = Conversation()
    silent.ask(main, system=SYSTEM, tool_set="t")
    silent.ask([user("look")], system=SYSTEM, tool_set="t")
    assert uses(silent)[-1].compaction == "generic"
    silent.ask([*main, answer("done"), user("next")], system=SYSTEM, tool_set="t")
    rows = uses(silent)
    assert {row.compaction for row in rows} == {None}
    assert rows[-1].resent_bytes == rows[0].total_bytes


def test_questions_asked_once_are_no_compaction() -> None:
    talk = Conversation()
    for number in range(6):
        talk.ask([user("x" * (9000 if number % 2 else 10))], system=SYSTEM, tokens=3000)
    assert {row.compaction for row in uses(talk)} == {None}


def test_items_of_the_provider_that_stand_for_what_was_dropped() -> None:
    talk = Conversation()
    old = history(10)
    talk.ask(old, system=SYSTEM)
    item = {"type": "compaction", "encrypted_content": "abc"}
    talk.ask([old[0], item], system=SYSTEM)
    talk.ask([old[0], item, answer("on")], system=SYSTEM)
    assert [row.compaction for row in uses(talk)] == [None, "after", None]


def test_each_message_is_taken_apart_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def counted(node: ContextNode) -> Anatomy:
        taken.append(node.node)
        return anatomy(node)

    monkeypatch.setattr(message_lists, "anatomy", counted)
    talk = Conversation()
    messages = history(150)
    for end in range(1, len(messages) + 1, 2):
        talk.ask(messages[:end])
    walked = 0
    upwards = message_lists.MessageLists.upwards

    def watched(self: message_lists.MessageLists, leaf: str | None) -> Any:
        nonlocal walked
        for node in upwards(self, leaf):
            walked += 1
            yield node

    monkeypatch.setattr(message_lists.MessageLists, "upwards", watched)
    assert len(uses(talk)) == 151
    assert len(taken) == len(messages)
    assert walked < 30 * len(messages)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["role", "type", "content", "parts", "text", "tool_calls", "functionCall", "name", "id",
             "functionResponse", "toolResult", "function", "arguments", "output", "tool_use_id"]
        ) | st.text(max_size=3),
        inner | st.sampled_from(["tool_result", "tool_use", "compaction", "function_call"]),
        max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip
_nodes = st.lists(
    st.tuples(
        st.integers(-1, 9),
        st.sampled_from(["system", "message", None]),
        st.sampled_from(["user", "assistant", "tool", "system", "function_call_output", "x", None]),
        st.none() | st.integers(-5, 500),
        st.none() | _json.map(json.dumps) | st.text(max_size=5),
    ),
    max_size=10,
)


@given(_nodes, st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=8))
def test_whatever_the_nodes_parts_sum_to_the_whole(
    drawn: list[tuple[int, str | None, str | None, int | None, str | None]],
    asked: list[tuple[int, int]],
) -> None:
    nodes = {
        f"n{at}": ContextNode(f"n{at}", f"n{parent}", at, kind, role, size_bytes, str(body), body)
        for at, (parent, kind, role, size_bytes, body) in enumerate(drawn)
    }
    calls = tuple(
        CallStep(f"c{at}", "s", None, at, tokens * 3000, None, input_node=f"n{leaf}")
        for at, (leaf, tokens) in enumerate(asked)
    )
    rows = context_uses(SessionSteps(SESSION, calls=calls), nodes, {"": 5})
    assert len(rows) == sum(f"n{leaf}" in nodes for leaf, _ in asked)
    for row in rows:
        shares = (
            row.system_bytes, row.tool_schema_bytes, row.user_bytes, row.assistant_bytes,
            row.tool_result_bytes, row.other_bytes,
        )  # fmt: skip
        assert min(shares) >= 0
        assert sum(shares) == row.total_bytes
        assert 0 <= row.resent_bytes <= row.total_bytes
        found = parts(row)
        assert sum(found["tools"].values()) <= row.tool_result_bytes
        assert sum(found["files"].values()) <= row.tool_result_bytes
