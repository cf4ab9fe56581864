"""Lists whose beginning the server remembers: rebuilt from earlier calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collector import conversations
from collector.rows import CallRow
from probes.events import Direction
from tests.collector.http.websockets import frame
from tests.collector.responses import (
    Item,
    Socketed,
    Stored,
    answer,
    ask,
    create,
    error,
    events,
    response,
    result,
    said,
    shell,
)
from tests.collector.test_calls import Tracked
from tests.frames import CONNECTION, http_response

SYSTEM = "Be careful."
LIST, OUTPUT = shell("call_1", "ls"), result("call_1", "a.txt")
HELLO, HI, MORE, DONE = (
    said("user", "hello"),
    said("assistant", "hi there"),
    said("user", "more"),
    said("assistant", "done"),
)


class Chained:
    """Calls one after the other, with what is stored of them."""

    def __init__(self, tracked: Tracked) -> None:
        self.tracked = tracked
        self.stored = Stored()

    def call(self, asked: bytes, told: list[bytes]) -> CallRow:
        self.tracked.sends(asked)
        for data in told:
            self.tracked.receives(data)
        batch = self.stored.add(self.tracked.tracker.take())
        (row,) = batch.calls
        return row

    def http(self, items: list[Item], response_id: str, *output: Item, **fields: Any) -> CallRow:
        return self.call(ask(items, **fields), [answer(response_id, *output)])

    def socket(self, items: list[Item], response_id: str, *output: Item, **fields: Any) -> CallRow:
        return self.call(create(items, **fields), events(response_id, *output))

    def lists(self, row: CallRow) -> tuple[list[Any], list[Any]]:
        return self.stored.list_of(row.input_node), self.stored.list_of(row.output_node)


@pytest.mark.parametrize("kind", ["http", "socket"])
def test_a_request_goes_on_from_the_response_that_it_names(kind: str) -> None:
    chained = Chained(Tracked() if kind == "http" else Socketed())
    say = getattr(chained, kind)
    first = say([HELLO], "resp_1", HI, LIST)
    second = say([OUTPUT], "resp_2", HI, previous_response_id="resp_1")
    third = say([MORE], "resp_3", DONE, previous_response_id="resp_2")
    assert chained.lists(first) == ([SYSTEM, HELLO], [SYSTEM, HELLO, HI, LIST])
    whole = [SYSTEM, HELLO, HI, LIST, OUTPUT]
    assert chained.lists(second) == (whole, [*whole, HI])
    assert chained.lists(third) == ([*whole, HI, MORE], [*whole, HI, MORE, DONE])
    assert first.session_id == second.session_id == third.session_id
    assert json.loads(third.params or "")["previous_response_id"] == "resp_2"


@pytest.mark.parametrize("kind", ["http", "socket"])
def test_a_tool_result_finds_the_call_that_is_not_sent_again(kind: str) -> None:
    tracked = Tracked() if kind == "http" else Socketed()
    asked, told = (ask, answer) if kind == "http" else (create, events)
    tracked.sends(asked([HELLO]))
    answered = told("resp_1", LIST)
    tracked.receives(answered if isinstance(answered, bytes) else b"".join(answered))
    (tool,) = tracked.tracker.take().tool_calls
    assert tool.result_preview is None
    tracked.sends(asked([OUTPUT], previous_response_id="resp_1"))
    batch = tracked.tracker.take()
    (tool,) = batch.tool_calls
    assert (tool.tool_call_id, tool.result_preview) == ("call_1", "a.txt")
    assert tool.result_call_id == batch.calls[0].call_id


def test_one_list_whether_it_is_sent_whole_or_not() -> None:
    whole, part = Chained(Tracked()), Chained(Tracked())
    history: list[Item] = []
    for number in range(5):
        asked, told = said("user", f"question {number}"), said("assistant", f"answer {number}")
        history.append(asked)
        named = {"previous_response_id": f"resp_{number - 1}"} if number else {}
        one = whole.http(history, f"resp_{number}", told)
        other = part.http([asked], f"resp_{number}", told, **named)
        assert (one.input_node, one.output_node) == (other.input_node, other.output_node)
        history.append(told)


def test_instructions_are_those_of_the_request_itself() -> None:
    chained = Chained(Tracked())
    chained.http([HELLO], "resp_1", HI)
    second = chained.http(
        [MORE], "resp_2", DONE, previous_response_id="resp_1", instructions="Be bold."
    )
    third = chained.http([HELLO], "resp_3", previous_response_id="resp_2", instructions=None)
    assert chained.lists(second)[0] == ["Be bold.", HELLO, HI, MORE]
    assert chained.lists(third)[0] == [HELLO, HI, MORE, DONE, HELLO]
    assert third.session_id == second.session_id


def test_a_fork_goes_on_from_where_it_branches() -> None:
    chained = Chained(Tracked())
    chained.http([HELLO], "resp_1", HI)
    one = chained.http([MORE], "resp_2", DONE, previous_response_id="resp_1")
    other = chained.http([OUTPUT], "resp_3", DONE, previous_response_id="resp_1")
    assert chained.lists(one)[0] == [SYSTEM, HELLO, HI, MORE]
    assert chained.lists(other)[0] == [SYSTEM, HELLO, HI, OUTPUT]


def test_of_a_response_that_is_not_known_nothing_is_guessed() -> None:
    chained = Chained(Tracked())
    chained.http([HELLO], "resp_1", HI)
    row = chained.http([MORE], "resp_9", DONE, previous_response_id="resp_8")
    assert chained.lists(row)[0] == [SYSTEM, MORE]
    assert json.loads(row.params or "")["previous_response_id"] == "resp_8"


def test_a_response_that_was_not_seen_whole_is_not_built_upon() -> None:
    chained = Chained(Socketed())
    first = chained.call(create([HELLO]), [error(500)])
    assert first.status == "error"
    chained.tracked.sends(create([HELLO]))
    answered = events("resp_1", HI, LIST)
    for data in (*answered[:2], *answered[3:]):
        chained.tracked.receives(data)
    chained.stored.add(chained.tracked.tracker.take())
    row = chained.socket([OUTPUT], "resp_2", DONE, previous_response_id="resp_1")
    assert chained.lists(row)[0] == [SYSTEM, HELLO, HI, LIST, OUTPUT]  # the last event had it all
    cut = answered[-1][:30], answered[-1][30:]
    chained.tracked.sends(create([HELLO])).receives(answered[0].replace(b"resp_1", b"resp_5"))
    lost = frame(b"x" * 100)
    chained.tracked.receives(lost[:50])
    chained.tracked.loses(Direction.READ, 52).receives(b"".join(cut).replace(b"resp_1", b"resp_5"))
    (broken,) = chained.stored.add(chained.tracked.tracker.take()).calls
    assert (broken.status, broken.response_id) == ("incomplete", "resp_5")
    row = chained.socket([OUTPUT], "resp_6", DONE, previous_response_id="resp_5")
    assert chained.lists(row)[0] == [SYSTEM, OUTPUT]


def test_a_warm_up_without_output_is_built_upon() -> None:
    chained = Chained(Socketed())
    first = chained.socket([HELLO], "resp_1", generate=False)
    second = chained.socket([], "resp_2", HI, previous_response_id="resp_1")
    third = chained.socket([MORE], "resp_3", DONE, previous_response_id="resp_2")
    assert first.output_node is None
    assert chained.lists(second) == ([SYSTEM, HELLO], [SYSTEM, HELLO, HI])
    assert chained.lists(third)[0] == [SYSTEM, HELLO, HI, MORE]


def test_a_chain_crosses_connections() -> None:
    tracked = Tracked()
    chained = Chained(tracked)
    first = chained.http([HELLO], "resp_1", HI)
    other = CONNECTION._replace(handle=0x99, tgid=77)
    tracked.sends(ask([MORE], previous_response_id="resp_1"), other)
    tracked.receives(answer("resp_2", DONE), other)
    (second,) = chained.stored.add(tracked.tracker.take()).calls
    assert chained.lists(second)[0] == [SYSTEM, HELLO, HI, MORE]
    assert second.session_id == first.session_id


@pytest.mark.parametrize("name", ["conv_1", {"id": "conv_1"}])
def test_a_conversation_goes_on_from_its_last_response(name: object) -> None:
    chained = Chained(Tracked())
    first = chained.http([HELLO], "resp_1", HI, conversation=name)
    second = chained.http([MORE], "resp_2", DONE, conversation=name)
    third = chained.http([HELLO], "resp_3", HI, conversation="conv_2")
    assert chained.lists(first)[0] == [SYSTEM, HELLO]
    assert chained.lists(second) == (
        [SYSTEM, HELLO, HI, MORE],
        [SYSTEM, HELLO, HI, MORE, DONE],
    )
    assert chained.lists(third)[0] == [SYSTEM, HELLO]
    assert first.session_id == second.session_id


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "_CHAINS_LIMIT", 2)
    chained = Chained(Tracked())
    for number in range(3):
        chained.http([HELLO, said("user", str(number))], f"resp_{number}", HI)
    gone = chained.http([MORE], "resp_8", DONE, previous_response_id="resp_0")
    known = chained.http([MORE], "resp_9", DONE, previous_response_id="resp_2")
    assert chained.lists(gone)[0] == [SYSTEM, MORE]
    assert chained.lists(known)[0] == [SYSTEM, HELLO, said("user", "2"), HI, MORE]


def test_nodes_that_were_forgotten_are_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "_KNOWN_LIMIT", 3)
    chained = Chained(Tracked())
    chained.http([HELLO, MORE, HELLO, MORE], "resp_1", HI)
    same = chained.http([DONE], "resp_2", HI, previous_response_id="resp_1")
    assert chained.lists(same)[0] == [SYSTEM, HELLO, MORE, HELLO, MORE, HI, DONE]
    other = chained.http([MORE], "resp_3", previous_response_id="resp_2", instructions="Other.")
    assert chained.lists(other)[0] == ["Other.", MORE]


def test_a_failed_response_is_not_built_upon() -> None:
    chained = Chained(Tracked())
    failed = {**response("resp_1", []), "status": "failed", "error": {"message": "no"}}
    row = chained.call(ask([HELLO]), [http_response(json.dumps(failed).encode())])
    assert row.status == "error"
    row = chained.http([MORE], "resp_2", DONE, previous_response_id="resp_1")
    assert chained.lists(row)[0] == [SYSTEM, MORE]
