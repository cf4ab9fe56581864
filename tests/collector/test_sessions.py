from __future__ import annotations

import json
from typing import Any

import pytest

from collector.identity import Identity
from collector.rows import Batch, SessionRow
from collector.session_origins import Opening, SessionOrigins, user_texts
from collector.sessions import Sessions

ANONYMOUS = Identity("Anthropic/Python", "0.75.0")


class Calls:
    """Assigns sessions to calls, numbered in order."""

    def __init__(self) -> None:
        self.sessions = Sessions()
        self.batch = Batch()
        self.count = 0

    def call(
        self,
        *messages: str,
        identity: Identity = ANONYMOUS,
        process: str = "p1",
        previous: str | None = None,
        answered: bool = True,
        response: str | None = None,
        conversation: bool = True,
        **known: Any,
    ) -> str:
        self.count += 1
        lineage = tuple("/".join(messages[: end + 1]) for end in range(len(messages)))
        session_id = self.sessions.assign(
            call_id=f"c{self.count}",
            identity=identity,
            lineage=lineage,
            previous_response_id=previous,
            process_key=process,
            pid=42,
            started_ns=self.count,
            batch=self.batch,
            conversation=conversation,
            **known,
        )
        if answered:
            self.sessions.answered(
                session_id=session_id, lineage=lineage, process_key=process, response_id=response
            )
        return session_id


def test_an_id_on_the_wire_decides() -> None:
    calls = Calls()
    named = Identity("claude-code", "2.1", session_id="wire-1", parent_session_id="wire-0")
    assert calls.call("a", identity=named) == "wire-1"
    assert calls.call("x", identity=named, process="p2") == "wire-1"
    (row,) = calls.batch.sessions
    assert (row.session_id, row.confidence, row.agent) == ("wire-1", "read", "claude-code")
    assert (row.parent_session_id, row.root_pid, row.started_ns) == ("wire-0", 42, 1)


def test_a_list_that_extends_an_earlier_one_continues_its_session() -> None:
    calls = Calls()
    first = calls.call("a")
    assert calls.call("a", "b", "c") == first
    assert calls.call("a", "b", "c", "d", "e") == first
    assert calls.call("a", "b", "other branch") == first
    (row,) = calls.batch.sessions
    assert row.confidence == "inferred"


def test_interleaved_conversations_stay_apart() -> None:
    calls = Calls()
    one, two = calls.call("a"), calls.call("x")
    assert one != two
    for turn in range(1, 4):
        assert calls.call("a", *["b", "c"] * turn) == one
        assert calls.call("x", *["b", "c"] * turn) == two
    assert len(calls.batch.sessions) == 2


def test_the_same_words_in_another_process_are_another_session() -> None:
    calls = Calls()
    assert calls.call("a") != calls.call("a", process="p2")


def test_the_same_list_again_is_a_retry_only_while_unanswered() -> None:
    calls = Calls()
    first = calls.call("a", answered=False)
    assert calls.call("a") == first
    assert calls.call("a") != first  # the same question asked afresh
    assert calls.call("a", "b", "c", answered=False) == calls.call("a", "b", "c")


def test_responses_that_continue_by_id() -> None:
    calls = Calls()
    first = calls.call("a", response="resp_1")
    other = calls.call("x", response="resp_9")
    assert calls.call("tool output", previous="resp_1", response="resp_2") == first
    assert calls.call("more", previous="resp_2") == first
    assert calls.call("more", previous="resp_9") == other
    assert calls.call("a", "b", previous="resp_unknown") not in (first, other)


def test_a_call_without_messages_is_a_session_of_its_own() -> None:
    calls = Calls()
    assert calls.call() != calls.call()


def test_what_continues_nothing_belongs_to_the_one_conversation_of_its_process() -> None:
    calls = Calls()
    first = calls.call("a")
    assert calls.call("text to embed", conversation=False) == first
    assert calls.call("a", "b", "c") == first
    assert [row.session_id for row in calls.batch.sessions] == [first]


def test_between_conversations_nothing_is_guessed() -> None:
    calls = Calls()
    talks = {calls.call("a"), calls.call("x")}
    apart = calls.call("text to embed", conversation=False)
    assert apart not in talks
    assert calls.call("more text", conversation=False) == apart
    assert calls.call("text to embed", conversation=False, process="p2") != apart
    assert [row.confidence for row in calls.batch.sessions] == ["inferred"] * 4


# Families


def origin(*texts: str, system: str = "sys", tools: str = "tools") -> Opening:
    return Opening(texts, (system,), tools)


def started(calls: Calls, *messages: str, **known: Any) -> SessionRow:
    calls.call(*messages, **known)
    return calls.batch.sessions[-1]


PROMPT = "Look through the parser and tell me where commas are lost."
SUMMARY = "The user wants the parser repaired. So far: " + "the lexer was read, " * 12


def test_a_sub_agent_belongs_to_the_session_whose_tool_call_carried_its_prompt() -> None:
    calls = Calls()
    parent = calls.call("fix it")
    calls.sessions.origins.asked(parent, json.dumps({"prompt": PROMPT, "kind": "explore"}))
    row = started(calls, "other list", opening=origin("<system-reminder>x</...>", PROMPT + "\n"))
    assert (row.parent_session_id, row.parent_source) == (parent, "prompt")
    assert calls.sessions.family_of(row.session_id, 42) == parent
    row = started(calls, "third list", opening=origin("something else entirely, and long"))
    assert (row.parent_session_id, row.parent_source) == (None, None)


def test_a_sub_agent_that_has_its_parents_id_on_the_wire() -> None:
    calls = Calls()
    wire = Identity("claude-code", "2.1.119", session_id="w")
    main = origin("fix the parser, if you please")

    def called(opening: Opening, *messages: str) -> str:
        return calls.call(*messages, identity=wire, opening=opening)

    assert called(main, "a") == "w"
    calls.sessions.origins.asked("w", json.dumps({"prompt": PROMPT}))
    sub_agent = called(origin(PROMPT), "b")
    row = calls.batch.sessions[-1]
    assert (row.session_id, row.parent_session_id) == (sub_agent, "w")
    assert (row.parent_source, row.confidence) == ("prompt", "inferred")
    assert called(origin(PROMPT), "b", "more") == sub_agent
    assert called(main, "a", "more") == "w"
    calls.sessions.origins.asked(sub_agent, json.dumps({"prompt": SUMMARY}))
    below = called(origin(SUMMARY), "c")
    assert calls.batch.sessions[-1].parent_session_id == sub_agent
    assert calls.sessions.family_of(below, 42) == "w"


def test_a_session_whose_tool_call_repeats_its_own_prompt_stays_itself() -> None:
    calls = Calls()
    wire = Identity("claude-code", "2.1.119", session_id="w")
    calls.call("a", identity=wire, opening=origin(PROMPT))
    calls.sessions.origins.asked("w", json.dumps({"prompt": PROMPT}))
    assert calls.call("a", "more", identity=wire, opening=origin(PROMPT)) == "w"
    other = Identity("claude-code", "2.1.119", session_id="v")
    calls.call("x", identity=other, opening=origin("hello"))
    assert calls.call("y", identity=other, opening=origin(PROMPT)) == "v", "another's prompt"


def test_short_arguments_are_no_prompts() -> None:
    calls = Calls()
    parent = calls.call("fix it")
    calls.sessions.origins.asked(parent, json.dumps({"command": "ls"}))
    assert started(calls, "x", opening=origin("ls")).parent_session_id is None


def test_an_agent_started_by_an_agent_belongs_to_the_session_of_the_process_above() -> None:
    calls = Calls()
    parent = calls.call("fix it")
    row = started(calls, "y", process="p2", above=lambda: parent)
    assert (row.parent_session_id, row.parent_source) == (parent, "process")
    assert calls.sessions.family_of(row.session_id, 7) == row.session_id, "a process of its own"


def test_the_wire_goes_before_what_is_inferred() -> None:
    calls = Calls()
    parent = calls.call("fix it")
    calls.sessions.origins.asked(parent, json.dumps({"prompt": PROMPT}))
    named = Identity("claude-code", "2.1", session_id="w:1", parent_session_id="w")
    row = started(calls, "z", identity=named, opening=origin(PROMPT), above=lambda: parent)
    assert (row.parent_session_id, row.parent_source) == ("w", "read")


def test_a_conversation_that_opens_with_its_summary_stays_one_session() -> None:
    calls = Calls()
    first = calls.call("a", "b", "c", opening=origin("repair the parser"))
    said = [{"role": "assistant", "content": [{"type": "text", "text": SUMMARY}]}]
    calls.sessions.origins.answered(first, "p1", said, origin())
    after = calls.call("new", opening=origin("Continue from this summary:\n" + SUMMARY))
    assert after == first
    assert len(calls.batch.sessions) == 1


@pytest.mark.parametrize(
    ("process", "opening"),
    [
        ("p2", origin(SUMMARY)),
        ("p1", origin(SUMMARY, system="another agent's")),
        ("p1", origin(SUMMARY, tools="others")),
        ("p1", origin("unrelated words")),
    ],
)
def test_what_only_quotes_an_answer_is_another_session(process: str, opening: Opening) -> None:
    calls = Calls()
    first = calls.call("a", opening=origin("repair the parser"))
    said = [{"role": "assistant", "content": SUMMARY}]
    calls.sessions.origins.answered(first, "p1", said, origin())
    assert calls.call("new", process=process, opening=opening) != first


def test_a_session_that_another_process_goes_on_with_stays_one() -> None:
    calls = Calls()
    first = calls.call("a", "b", "c")
    assert calls.call("a", "b", "c", "d", process="p2", ended=lambda key: key == "p1") == first
    assert calls.call("a", "b", "c", "d", "e", process="p2") == first


def test_neither_a_fork_nor_the_same_beginning_is_a_resumed_session() -> None:
    calls = Calls()
    first = calls.call("a", "b", "c")
    assert calls.call("a", "b", "c", "d", process="p2", ended=lambda key: False) != first
    assert calls.call("a", "b", "c", process="p3", ended=lambda key: True) != first


def test_texts_of_every_shape_and_of_none() -> None:
    messages: list[Any] = [
        {"role": "user", "content": "one"},
        {"role": "user", "parts": [{"text": "two"}, {"inlineData": {}}]},
        {"role": "system", "content": "no"},
        {"role": "user", "content": [{"type": "input_text", "text": "three"}, "four", 5, None]},
        {"role": "user", "content": "beyond the opening"},
    ]
    assert user_texts(messages) == ("one", "two", "three", "four")
    assert user_texts([None, 3, "x", {"role": "user"}, {"role": "user", "content": 3}]) == ()


@pytest.mark.parametrize(
    "arguments", ["", "{", "[1]", '"' + "x" * 50 + '"', '{"a": ' + "1" * 40 + "}"]
)
def test_odd_arguments_are_no_prompts(arguments: str) -> None:
    origins = SessionOrigins()
    origins.asked("s", arguments)
    assert origins.parent(origin("x" * 50)) is None
