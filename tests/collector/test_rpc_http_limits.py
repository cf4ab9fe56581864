"""JSON-RPC over HTTP: what is let go, what is lost, any split, and bodies that mean harm."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector import rpc_http, rpc_links, rpc_spoken
from collector.pipeline import Pipeline
from collector.redaction import Redactor
from probes.events import ConnectionKey, Direction
from tests.collector.rpc_wire import (
    ASK,
    BOTH,
    CALL,
    INITIALIZE,
    PROGRESS,
    SESSION,
    SUM,
    WELCOME,
    body_of,
    connection,
    event,
    get,
    handshake,
    health,
    messages,
    post,
    reply,
    requests,
    rpc,
    run,
    session,
    stream,
    timeless,
)
from tests.frames import INFO, SALT, Wire

# What is something else


@pytest.mark.parametrize(
    "body",
    [b'{"event": "click", "jsonrpc": "2.0"}' + b" " * 200, b"[1, 2, 3]", b'{"id": 1}', b"",
     b'{"id": "' + b"x" * 200_000 + b'"}', b"\xff" * 500, b'{"method": 1, "jsonrpc": "2.0"}'],
    ids=["other", "array", "no mark", "empty", "long", "binary", "no method"],
)  # fmt: skip
def test_other_posts_are_let_go(body: bytes) -> None:
    ignored: list[ConnectionKey] = []
    wire = Wire()
    for _ in range(5):
        wire.sends(post(body, target="/collect")).receives(reply(b"{}"))
    rows = run(wire, ignored=ignored)
    assert rows["rpc_messages"] == rows["rpc_channels"] == {}
    assert ignored == [wire.key]


def test_a_connection_of_a_server_is_not_let_go() -> None:
    ignored: list[ConnectionKey] = []
    wire = handshake(Wire())
    for number in range(9):
        wire.sends(get(f"/{number}")).receives(reply(b"{}"))
    run(wire.sends(post(CALL, BOTH, SESSION)).receives(reply(SUM)), ignored=ignored)
    assert ignored == []


def test_a_message_that_names_its_protocol_last() -> None:
    late = (
        b'{"method": "tools/call", "params": {"name": "add", "x": "%s"}, "jsonrpc": "2.0", "id": 1}'
    )
    for size, headers, found in ((9_000, (), 1), (90_000, (), 0), (90_000, (BOTH,), 1)):
        rows = run(Wire().sends(post(late % (b"x" * size), *headers)).receives(reply(SUM)))
        assert len(requests(rows)) == found, (size, headers)


# Limits and holes


def test_a_message_over_the_limit_is_told_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_http, "MAX_BODY_BYTES", 1000)
    long = rpc(id=1, method="tools/call", params={"x": "y" * 2000})
    rows = run(Wire().sends(post(long, BOTH)).receives(reply(long)))
    assert [(row.kind, row.truncated) for row in messages(rows)] == [("unknown", True)] * 2
    assert all(row.size_bytes > 2000 and not row.content_hash for row in messages(rows))
    assert health(rows)["truncated_messages", "too_long"] == 2
    rows = run(Wire().sends(post(CALL, BOTH)).receives(stream([event(long), event(SUM)])))
    assert [row.kind for row in messages(rows)] == ["request", "response"]
    assert health(rows)["skipped_bytes", "cut"] > 2000


def test_an_event_with_a_hole_is_not_joined() -> None:
    words = [event(rpc(method="notifications/message", params={"data": "x" * 90}))] * 6
    answer = stream([b"".join([*words, event(SUM)])])
    begin = answer.index(b"event: ")
    for at, length in ((begin + 50, 100), (begin + 10, 400), (begin + 170, 30)):
        wire = session(answer[:at]).loses(Direction.READ, length)
        rows = run(wire.receives(answer[at + length :]).closes())
        assert [row.kind for row in messages(rows)][-1] == "response"
        for row in messages(rows):
            assert body_of(rows, row).keys() <= {"jsonrpc", "id", "method", "params", "result"}
            if row.method == "notifications/message":
                assert body_of(rows, row)["params"]["data"] == "x" * 90


@pytest.mark.parametrize("direction", [Direction.WRITE, Direction.READ])
def test_a_body_with_a_hole_is_no_message(direction: Direction) -> None:
    call, answer = post(CALL, BOTH), reply(SUM)
    wire = Wire()
    for each, way in ((call, Direction.WRITE), (answer, Direction.READ)):
        at = len(each) - 30
        if way is direction:
            wire._data(way, each[:at], ()).loses(way, 10)._data(way, each[at + 10 :], ())
        else:
            wire._data(way, each, ())
    rows = run(wire)
    (found,) = messages(rows)
    assert found.kind == ("response" if direction is Direction.WRITE else "request")


def test_compressed_bodies() -> None:
    call = post(gzip.compress(CALL), BOTH, "Content-Encoding: gzip")
    for answer in (
        reply(gzip.compress(SUM), "Content-Encoding: gzip"),
        stream([gzip.compress(event(SUM))], "Content-Encoding: gzip"),
    ):
        rows = run(Wire().sends(call).receives(answer))
        assert [row.answers is not None for row in messages(rows)] == [False, True]
        assert messages(rows)[1].size_bytes == len(SUM)


def test_state_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LINKS", "ENDPOINTS", "CARDS"):
        monkeypatch.setattr(rpc_links, name, 5)
    pipeline = Pipeline(INFO, Redactor(SALT).redact_text)
    for number in range(20):
        wire = Wire(connection(number)).sends(post(CALL, BOTH, SESSION + str(number)))
        for frame in wire.receives(reply(SUM)).closes().frames:
            pipeline.feed(frame)
    links = pipeline._rpc._links
    assert len(links._links) == 5
    assert sum(len(link.pair._open) for link in links._links.values()) == 0


# Any split, any bytes


ANSWER = stream([event(PROGRESS), event(ASK), event(SUM)], SESSION)


@given(
    st.lists(st.integers(1, 700), max_size=12),
    st.lists(st.integers(1, 700), max_size=12),
    st.booleans(),
)
@example([1, 2, 3], [400], True)
def test_any_split_gives_the_same_messages(
    sent: list[int], received: list[int], each: bool
) -> None:
    def said(split: Callable[[list[int]], list[int]]) -> Wire:
        wire = Wire().sends(post(INITIALIZE, BOTH), split(sent))
        wire.receives(reply(WELCOME, SESSION), split(received))
        wire.sends(post(CALL, SESSION), split(sent)).receives(ANSWER, split(received))
        return wire.closes()

    whole, cut = run(said(lambda _: [])), run(said(lambda cuts: cuts), each=each)
    assert timeless(cut) == timeless(whole)
    assert cut["rpc_channels"] == whole["rpc_channels"]
    assert len(messages(cut)) == 6


@given(st.lists(st.integers(1, 700), max_size=5), st.sampled_from([200, 70_000]))
def test_what_is_let_go_is_let_go_however_it_is_split(cuts: list[int], size: int) -> None:
    body = b'{"id": "' + b"x" * size + b'", "jsonrpc": "2.0", "method": "m"}'
    rows = run(Wire().sends(post(body, target="/x"), cuts).receives(reply(SUM)))
    assert len(requests(rows)) == (size < rpc_spoken.EARLY_BYTES)


@settings(max_examples=80)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["id", "method", "params", "result", "error", "_meta", "task", "status",
                     "name", "capabilities", "serverInfo", "message", "code", "state", "kind",
                     "io.modelcontextprotocol/clientInfo", "skills", "url", "taskId",
                     "supportedInterfaces", "protocolVersion", "requestId"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    ),
    st.sampled_from(["tools/call", "initialize", "SendMessage", "notifications/cancelled", "x"]),
    st.sampled_from(["/mcp", "/message:send", "/v1/tasks/1:cancel", "/.well-known/agent.json"]),
)  # fmt: skip
def test_hostile_bodies_never_raise(value: Any, method: str, target: str) -> None:
    bodies = [
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": value}).encode(),
        json.dumps({"jsonrpc": "2.0", "id": 1, "result": value}).encode(),
        json.dumps({"jsonrpc": "2.0", "id": 1, "error": value}).encode(),
        json.dumps(value).encode(),
    ]
    wire = Wire()
    for body in bodies:
        for send in (post(body, BOTH, "A2A-Version: 1.0", target=target), get(target, SESSION)):
            wire.sends(send).receives(reply(body, SESSION))
            wire.sends(send).receives(stream([event(body), event(body, "endpoint")]))
    rows = run(wire.closes(), each=True)
    assert all(row.answers is None or row.kind != "request" for row in messages(rows))


@given(st.binary(max_size=300), st.integers(0, 2000), st.integers(0, 300))
def test_damaged_captures_never_raise(noise: bytes, at: int, lost: int) -> None:
    wire = session(ANSWER[:at], noise)
    wire.loses(Direction.READ, lost).receives(ANSWER[at:])
    run(wire.sends(noise).receives(reply(SUM)).closes())
