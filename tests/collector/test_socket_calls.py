"""Calls over a WebSocket, from the bytes of its connection."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector import socket_calls
from collector.exchange import HTTP2, Exchange, HttpCounters
from collector.http.events import RequestHead, ResponseHead
from collector.rows import CallRow
from collector.websocket import WebSocket
from probes.events import Direction
from tests.collector.http.transcripts import pieces
from tests.collector.http.websockets import MASK, frame
from tests.collector.responses import (
    SWITCHING,
    UPGRADE,
    Socketed,
    create,
    error,
    events,
    result,
    said,
    shell,
)
from tests.collector.test_calls import Tracked
from tests.frames import CONNECTION, INFO, http_request

HELLO = [said("user", "hello")]
HI = said("assistant", "hi there")


def rows(tracked: Tracked) -> list[CallRow]:
    """Every call's last row, in the order of their beginnings."""
    found: dict[str, CallRow] = {}
    for row in tracked.tracker.take().calls:
        found[row.call_id] = row
    return list(found.values())


def test_a_call_is_written_when_asked_at_its_first_token_and_at_its_end() -> None:
    tracked = Socketed().sends(create(HELLO))  # at 3000
    running = tracked.call()
    assert (running.status, running.stream, running.protocol) == ("running", True, "websocket")
    assert (running.api, running.request_model, running.host) == (
        *("openai.responses", "gpt-5"),
        "api.anthropic.com",
    )
    assert running.started_ns == INFO.wall_ns(3000)
    assert running.request_bytes == len(create(HELLO))
    answer = events("resp_1", HI)
    for data in answer[:3]:  # at 4000 to 6000, the last is a delta
        tracked.receives(data)
    first = tracked.call()
    assert (first.status, first.first_byte_ns, first.first_token_ns) == (
        "running",
        *(INFO.wall_ns(4000), INFO.wall_ns(6000)),
    )
    for data in answer[3:]:
        tracked.receives(data)
    done = tracked.call()
    assert (done.status, done.complete, done.http_status) == ("ok", True, 101)
    assert (done.model, done.response_id) == ("gpt-5-2026-01-01", "resp_1")
    assert (done.input_tokens, done.output_tokens) == (20, 5)
    assert done.finish_reason == "completed"
    assert done.ended_ns == INFO.wall_ns(8000)
    assert done.chunk_ns == (3000,)
    assert done.response_bytes == sum(map(len, answer))
    assert sum(length for _, length in tracked.undecoded) == 0


def test_calls_of_one_socket_are_told_apart() -> None:
    tracked = Socketed()
    for number in range(3):
        tracked.sends(create([said("user", f"question {number}")]))
        tracked.receive_all(events(f"resp_{number}", said("assistant", f"answer {number}")))
    found = rows(tracked)
    assert [row.response_id for row in found] == ["resp_0", "resp_1", "resp_2"]
    assert len({row.call_id for row in found}) == 3
    assert {row.status for row in found} == {"ok"}


def test_requests_of_a_lane_are_answered_in_order() -> None:
    tracked = Socketed().sends(create(HELLO)).sends(create([said("user", "and?")], user="b"))
    tracked.receive_all(events("resp_1", HI) + events("resp_2", HI))
    first, second = rows(tracked)
    assert (first.response_id, second.response_id) == ("resp_1", "resp_2")
    assert json.loads(second.params or "")["user"] == "b"


def test_lanes_run_side_by_side() -> None:
    tracked = Socketed()
    tracked.sends(create(HELLO, stream_id="a")).sends(create(HELLO, stream_id="b"))
    one, other = events("resp_a", HI, stream_id="a"), events("resp_b", HI, stream_id="b")
    for pair in zip(other, one, strict=True):
        tracked.receive_all(pair)
    first, second = rows(tracked)
    assert (first.response_id, second.response_id) == ("resp_a", "resp_b")
    assert (first.status, second.status) == ("ok", "ok")


def test_a_request_that_is_refused() -> None:
    tracked = Socketed().sends(create(HELLO, previous_response_id="resp_gone"))
    tracked.receives(error(400, headers={"Retry-After": "7"}))
    row = tracked.call()
    assert (row.status, row.http_status, row.error_type) == ("error", 400, "some_code")
    assert (row.error_message, row.retry_after_s) == ("No.", 7)


def test_one_that_is_refused_while_another_runs() -> None:
    tracked = Socketed().sends(create(HELLO))
    answer = events("resp_1", HI)
    tracked.receive_all(answer[:2]).sends(create(HELLO, user="second")).receives(error(409))
    tracked.receive_all(answer[2:])
    first, second = rows(tracked)
    assert (first.status, second.status, second.http_status) == ("ok", "error", 409)


def test_an_error_breaks_a_response_off() -> None:
    tracked = Socketed().sends(create(HELLO)).receive_all(events("resp_1", HI)[:3])
    broken = {"type": "error", "code": "server_error", "message": "oops", "sequence_number": 3}
    row = tracked.receives(frame(json.dumps(broken).encode())).call()
    assert (row.status, row.error_type, row.http_status) == ("error", "server_error", 101)


def test_rate_limits_come_as_an_event() -> None:
    limits = {
        "type": "codex.rate_limits",
        "rate_limits": {"primary": {"used_percent": 42, "window_minutes": 300}},
    }
    tracked = Socketed().sends(create(HELLO)).receives(frame(json.dumps(limits).encode()))
    row = tracked.receive_all(events("resp_1", HI)).call()
    (limit,) = json.loads(row.rate_limits or "")["limits"]
    assert (limit["name"], limit["used_percent"]) == ("codex_primary", 42)


def test_a_socket_that_closes_in_the_middle() -> None:
    tracked = Socketed().sends(create(HELLO)).receive_all(events("resp_1", HI)[:4]).closes()
    row = tracked.call()
    assert (row.status, row.complete, row.model) == ("incomplete", False, "gpt-5-2026-01-01")
    assert row.output_node is not None


def test_a_socket_that_closes_before_anything_came() -> None:
    row = Socketed().sends(create(HELLO)).closes().call()
    assert (row.status, row.http_status, row.response_bytes) == ("incomplete", None, None)


def test_a_response_that_ended_unseen_ends_with_the_next_one() -> None:
    tracked = Socketed().sends(create(HELLO)).receive_all(events("resp_1", HI)[:-1])
    tracked.sends(create(HELLO, user="next")).receive_all(events("resp_2", HI))
    first, second = rows(tracked)
    assert (first.response_id, first.status) == ("resp_1", "incomplete")
    assert (second.response_id, second.status) == ("resp_2", "ok")


# Loss


def test_bytes_lost_inside_a_message_cost_its_call_alone() -> None:
    answer, following = events("resp_1", HI), events("resp_2", HI)
    tracked = Socketed().sends(create(HELLO)).receive_all(answer[:2])
    tracked.receives(answer[2][:20]).loses(Direction.READ, 30).receives(answer[2][50:])
    tracked.receive_all(answer[3:]).sends(create(HELLO, user="b")).receive_all(following)
    first, second = rows(tracked)
    assert (first.status, first.complete, first.lost_bytes) == ("incomplete", False, 30)
    assert first.response_bytes == sum(map(len, answer)) - 30
    assert (first.output_tokens, first.response_id) == (5, "resp_1")
    assert (second.status, second.lost_bytes) == ("ok", 0)


def test_a_loss_over_the_end_of_one_response_and_the_beginning_of_the_next() -> None:
    answer, following = events("resp_1", HI), events("resp_2", HI, HI)
    tracked = Socketed().sends(create(HELLO)).receive_all(answer[:3])
    tracked.loses(Direction.READ, 500).sends(create(HELLO, user="b")).receive_all(following[1:])
    tracked.sends(create(HELLO, user="c")).receive_all(events("resp_3", HI)).closes()
    first, second, third = rows(tracked)
    assert (first.status, first.response_id, first.lost_bytes) == ("incomplete", "resp_1", 500)
    assert (second.response_id, second.status) == ("resp_2", "ok")
    assert (third.response_id, third.status) == ("resp_3", "ok")


def test_a_request_whose_answer_may_be_lost_is_joined_with_no_other() -> None:
    tracked = Socketed().sends(create(HELLO)).loses(Direction.READ, 900)
    assert tracked.call().status == "incomplete"
    tracked.sends(create(HELLO, user="b")).receive_all(events("resp_2", HI))
    row = tracked.call()
    assert (row.status, row.response_id) == ("ok", "resp_2")
    assert json.loads(row.params or "")["user"] == "b"


def test_an_answer_of_one_lost_message_is_over_when_the_client_goes_on() -> None:
    refused = error(400)
    tracked = Socketed().sends(create(HELLO)).receives(refused[:10])
    tracked.loses(Direction.READ, len(refused) - 10)
    tracked.sends(create(HELLO, user="b")).receive_all(events("resp_2", HI))
    first, second = rows(tracked)
    assert (first.status, first.response_id) == ("incomplete", None)
    assert (second.status, second.response_id) == ("ok", "resp_2")


def test_a_request_that_is_lost_shows_by_its_response() -> None:
    asked = create(HELLO)
    tracked = Socketed().sends(asked[:20]).loses(Direction.WRITE, len(asked) - 20)
    assert tracked.tracker.take().calls == []
    row = tracked.receive_all(events("resp_1", HI)).call()
    assert (row.status, row.complete, row.request_model) == ("incomplete", False, None)
    assert (row.response_id, row.output_tokens) == ("resp_1", 5)
    assert (row.request_bytes, row.lost_bytes) == (20, len(asked) - 20)
    following = tracked.sends(asked).receive_all(events("resp_2", HI)).call()
    assert (following.status, following.response_id) == ("ok", "resp_2")


# What is no call


def test_messages_outside_of_calls_are_counted() -> None:
    note = frame(b'{"type":"response.processed"}', mask=MASK)
    stray = events("resp_1", HI)[2]
    tracked = Socketed().sends(note).receives(stray).receives(frame(b"no json")).closes()
    assert tracked.tracker.take().calls == []
    assert tracked.undecoded == [
        ("socket_message", len(note)),
        ("socket_message", 9),
        ("socket_message", len(stray)),
    ]


def test_an_answer_that_was_read_before_its_request_returned() -> None:
    answer = events("resp_2", HI)
    tracked = Socketed().sends(create(HELLO)).receive_all(events("resp_1", HI))
    tracked.receive_all(answer[:3]).sends(create(HELLO, user="b")).receive_all(answer[3:])
    first, second = rows(tracked)
    assert (first.response_id, first.status) == ("resp_1", "ok")
    assert (second.response_id, second.status) == ("resp_2", "ok")
    assert second.response_bytes == sum(map(len, answer))
    assert second.started_ns == second.first_byte_ns == INFO.wall_ns(9000)
    assert second.first_token_ns == INFO.wall_ns(11000)


def test_what_came_too_long_before_a_request_answers_it_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket_calls, "EARLY_NS", 4_000)
    answer = events("resp_1", HI)
    tracked = Socketed().receive_all(answer).sends(create(HELLO))
    assert rows(tracked)[0].response_id is None
    assert sum(length for _, length in tracked.undecoded) == sum(map(len, answer))


def test_what_is_kept_for_a_request_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_calls, "EARLY_BYTES", 1_500)
    answer = events("resp_1", HI)
    tracked = Socketed().receive_all(answer)
    kept = sum(map(len, answer)) - sum(length for _, length in tracked.undecoded)
    assert 0 < kept <= 500
    assert tracked.sends(create(HELLO)).call().status == "running"


def test_steering_becomes_a_call_when_a_response_follows_by_itself() -> None:
    steer = {"type": "response.steer", "previous_response_id": "resp_1", "input": "shorter"}
    answer = events("resp_1", HI)
    tracked = Socketed().sends(create(HELLO)).receive_all(answer[:2])
    tracked.sends(frame(json.dumps(steer).encode(), mask=MASK)).receive_all(answer[2:])
    tracked.receive_all(events("resp_2", HI))
    first, second = rows(tracked)
    assert (second.response_id, second.status) == ("resp_2", "ok")
    assert second.session_id == first.session_id


def test_a_socket_on_a_stream_of_http2() -> None:
    headers = ((":protocol", "websocket"), (":authority", "api.openai.com"))
    head = RequestHead(1, "CONNECT", "/v1/responses", "2", headers)
    opened = Exchange(CONNECTION, 7, head, protocol=HTTP2)
    tracked = Tracked()
    router = tracked.router
    router.request_started(opened)
    opened.response = ResponseHead(2, 200, "", "2", ())
    router.response_started(opened)
    router.exchange_ended(opened, 2)
    assert tracked.interest == [True]
    counters = HttpCounters()
    socket = WebSocket(opened, router, counters)
    socket.chunk(Direction.WRITE, create(HELLO), 3)
    socket.chunk(Direction.READ, b"".join(events("resp_1", HI)), 4)
    row = tracked.call()
    assert (row.status, row.protocol, row.http_status) == ("ok", "websocket", 200)
    assert row.host == "api.openai.com"
    assert counters.undecoded_bytes == {}


def test_other_sockets_are_not_followed() -> None:
    tracked = Tracked().sends(http_request("/v1/realtime", headers=UPGRADE, method="GET"))
    tracked.receives(SWITCHING).sends(create(HELLO)).receives(events("resp_1", HI)[0]).closes()
    assert tracked.tracker.take().calls == []
    assert tracked.interest == [False]


def test_an_upgrade_that_is_refused_is_no_call() -> None:
    tracked = Tracked().sends(http_request("/v1/responses", headers=UPGRADE, method="GET"))
    tracked.receives(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n").closes()
    assert tracked.tracker.take().calls == []
    assert tracked.interest == [False]


def test_open_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_calls, "MAX_OPEN", 2)
    tracked = Socketed()
    for _ in range(4):
        tracked.sends(create(HELLO))
    assert len(rows(tracked)) == 2
    assert [reason for reason, _ in tracked.undecoded] == ["socket_message"] * 2


# Any split


def _whole_rows(cuts: list[int]) -> list[tuple[object, ...]]:
    tracked = Socketed()
    lines = [create(HELLO), b"".join(events("resp_1", HI, shell("call_1", "ls")))]
    second = [result("call_1", "out"), said("user", "go on")]
    lines += [create(second, previous_response_id="resp_1"), b"".join(events("resp_2", HI))]
    for number, wire in enumerate(lines):
        for piece in pieces(wire, cuts):
            (tracked.receives if number % 2 else tracked.sends)(piece)
    batch = tracked.closes().tracker.take()
    return [
        (row.call_id, row.response_id, row.status, row.input_node, row.output_node, row.params)
        for row in batch.calls
    ] + [(tool.tool_call_id, tool.result_preview, tool.name) for tool in batch.tool_calls]


@settings(max_examples=60)
@given(st.lists(st.integers(1, 4_000), max_size=30))
def test_any_split_gives_the_same_calls(cuts: list[int]) -> None:
    assert _whole_rows(cuts) == _whole_rows([])
