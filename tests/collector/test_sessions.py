from __future__ import annotations

from collector.identity import Identity
from collector.rows import Batch
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
