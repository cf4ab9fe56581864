"""Compactions, what they dropped and cost, and what was read again."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from analysis.compactions import compactions
from analysis.context_use import context_uses
from analysis.file_reads import changed_path, looks, read_path
from analysis.steps import Finding
from tests.analysis.requests import Conversation, answer, calls_tool, history, result, user
from tests.analysis.test_context_use import SYSTEM, compacted

READ = 200  # characters of a file in `history`


def found(talk: Conversation, kind: str | None = None) -> list[Finding]:
    every = compactions(talk.steps, context_uses(talk.steps, talk.nodes))
    return [finding for finding in every if kind in (None, finding.kind)]


def reading(talk: Conversation) -> Conversation:
    """With the tool calls of `compacted`: ten files before, one of them again."""
    for number in range(10):
        talk.tool("Read", {"file_path": f"/src/{number}.py"}, str(number) * READ, 0, 1)
    talk.tool("Read", {"file_path": "/src/3.py"}, "3" * READ, 3, 4)
    return talk


def test_a_compaction_with_what_it_dropped_and_cost() -> None:
    (finding,) = found(compacted())
    assert finding.kind == "compaction"
    assert finding.session_id == "s"
    assert "21 messages" in finding.title
    assert "results of Read" in finding.title
    assert (finding.wasted_tokens, finding.wasted_usd) == (10110, 0.03)
    assert [(one.kind, one.id) for one in finding.evidence] == [
        ("call", "c2"), ("call", "c3"),
    ]  # fmt: skip


def test_a_file_read_again() -> None:
    talk = reading(compacted())
    (again,) = found(talk, "reread")
    assert again.count == 1
    assert "/src/3.py" in again.title
    assert [one.id for one in again.evidence] == ["c3", "t3", "t10"]
    row = context_uses(talk.steps, talk.nodes)[4]
    brought = len(json.dumps(result("z", "3" * READ), separators=(",", ":")))
    assert again.wasted_tokens == round(brought / row.total_bytes * 1000)


def test_after_an_edit_it_is_read_for_a_reason() -> None:
    talk = reading(compacted())
    edited = talk.tools.pop()
    talk.tool("Edit", {"file_path": "/src/3.py", "old_string": "3"}, "ok", 3, 4)
    talk.tools.append(edited)
    assert len(found(talk, "reread")) == 0
    talk.tools[-2] = talk.tools[-1]
    assert len(found(talk, "reread")) == 1


def test_other_parts_of_a_file_and_work_are_no_reread() -> None:
    talk = compacted()
    for call, back in ((0, 1), (3, 4)):
        talk.tool("Read", {"file_path": "/a", "offset": 1 + call}, "x", call, back)
        talk.tool("Bash", {"command": "pytest -q"}, "1 failed", call, back)
        talk.tool("Write", {"file_path": "/b", "content": "x"}, "ok", call, back)
    assert found(talk, "reread") == []
    for call, back in ((0, 1), (3, 4)):
        talk.tool("Bash", {"command": "grep -rn main /src"}, "x", call, back)
        talk.tool("Read", {"file_path": "/c", "offset": 5}, "x", call, back)
    (again,) = found(talk, "reread")
    assert again.count == 2


def test_much_later_is_another_reason() -> None:
    talk = reading(compacted())
    talk.tools.pop()
    new = [user("x")]
    for _ in range(20):
        talk.ask(new, system=SYSTEM, tool_set="t")
    talk.tool("Read", {"file_path": "/src/3.py"}, "3" * READ, 23, 24)
    assert found(talk, "reread") == []
    talk.tool("Read", {"file_path": "/src/3.py"}, "3" * READ, 22, 23)
    assert len(found(talk, "reread")) == 1


def test_lost_context() -> None:
    talk = Conversation()
    old = history(10)
    talk.ask(old, system=SYSTEM)
    talk.ask([*old[-6:], user("go on")], system=SYSTEM)
    (finding,) = found(talk)
    assert (finding.kind, finding.severity) == ("lost_context", "warning")
    assert finding.wasted_tokens is None


def test_a_summary_under_way() -> None:
    talk = Conversation()
    old = history(10)
    talk.ask(old, system=SYSTEM)
    ask = user("You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary")
    talk.ask([*old, ask], system=SYSTEM, tokens=500)
    talk.ask([*old, ask], system=SYSTEM, tokens=500, retry_of="c1")
    (finding,) = found(talk)
    assert finding.kind == "compaction"
    assert finding.wasted_tokens == 2 * 510
    assert [one.id for one in finding.evidence] == ["c1", "c2"]


def test_a_summary_that_was_not_used() -> None:
    """The whole list goes on; a later compaction is another one."""
    talk = Conversation()
    old = history(10)
    ask = user("Here is the conversation so far:")
    talk.ask(old, system=SYSTEM)
    talk.ask([*old, ask], system=SYSTEM, tokens=500)
    old += [answer("on"), user("with it")]
    talk.ask(old, system=SYSTEM)
    talk.ask([user("<conversation-checkpoint>all</conversation-checkpoint>")], system=SYSTEM)
    unused, used = found(talk)
    assert [one.id for one in unused.evidence] == ["c1"]
    assert [one.id for one in used.evidence] == ["c2", "c3"]  # the last that had it all
    assert (unused.wasted_tokens, used.wasted_tokens) == (510, None)


def test_no_calls() -> None:
    assert compactions(Conversation().steps, []) == []


def test_paths_that_tools_read() -> None:
    for name, arguments, path in (
        ("Read", {"file_path": "/a"}, "/a"),
        ("mcp__fs__read_file", {"path": "/a"}, "/a"),
        ("str_replace_editor", {"command": "view", "path": "/a"}, "/a"),
        ("str_replace_editor", {"command": "create", "path": "/a"}, None),
        ("Bash", {"command": "cat /a"}, "/a"),
        ("shell", {"command": ["bash", "-lc", "sed -n 1,200p '/a b'"]}, "/a b"),
        ("shell", {"command": ["head", "-n", "20", "/a"]}, "/a"),
        ("Bash", {"command": "cat /a /b"}, None),
        ("Bash", {"command": "cat /a | wc -l"}, None),
        ("Bash", {"command": "sed -i s/a/b/ /a"}, None),
        ("Bash", {"command": "rm /a"}, None),
        ("Bash", {"command": ""}, None),
        ("Bash", 7, None),
        ("Write", {"file_path": "/a"}, None),
        ("Read", {"file_path": 7}, None),
    ):
        assert read_path(name, arguments) == path, (name, arguments)
    assert changed_path("Write", {"file_path": "/a"}) == "/a"
    assert changed_path("str_replace_editor", {"command": "view", "path": "/a"}) is None


def test_calls_that_only_look() -> None:
    for name, arguments, expected in (
        ("Grep", {"pattern": "x"}, True),
        ("Bash", {"command": "git log -3"}, True),
        ("Bash", {"command": "git push"}, False),
        ("Bash", {"command": "ls -la"}, True),
        ("Bash", {"command": "ls > out"}, False),
        ("Edit", {"file_path": "/a"}, False),
        ("Bash", None, False),
        ("Read", None, True),
    ):
        text = None if arguments is None else json.dumps(arguments)
        assert looks(name, text) is expected, (name, arguments)


_texts = st.text(max_size=6) | st.sampled_from(
    ["CRITICAL: Respond with TEXT ONLY", "<state_snapshot>", '{"file_path": "/a"}', "cat /a"]
)
_messages = st.one_of(
    st.builds(user, _texts),
    st.builds(result, st.sampled_from("ab"), _texts),
    st.builds(calls_tool, st.sampled_from("ab"), st.sampled_from(["Read", "Bash"]), _texts),
)


@given(
    st.lists(
        st.tuples(st.lists(_messages, max_size=8), st.none() | st.integers(0, 9000)), max_size=6
    ),
    st.lists(
        st.tuples(
            st.sampled_from(["Read", "Bash", "Edit"]), _texts, st.none() | _texts,
            st.integers(0, 6), st.none() | st.integers(0, 6),
        ),
        max_size=6,
    ),
)  # fmt: skip
def test_whatever_was_said_every_finding_names_its_evidence(
    asked: list[tuple[list[Any], int | None]],
    tools: list[tuple[str, str, str | None, int, int | None]],
) -> None:
    talk = Conversation()
    for messages, tokens in asked:
        talk.ask(messages, tokens=tokens)
    for name, arguments, text, call, back in tools:
        talk.tool(name, arguments, text, call, back)
    for finding in found(talk):
        assert finding.kind in ("compaction", "reread", "lost_context")
        assert finding.evidence
        assert finding.wasted_tokens is None or finding.wasted_tokens >= 0
