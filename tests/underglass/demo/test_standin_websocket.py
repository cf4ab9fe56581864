"""Responses over WebSockets: what clients get, and what the ledger says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.sync.client import ClientConnection, connect
from wsproto.events import BytesMessage, Ping, TextMessage

from tests.collector.http.transcripts import pieces
from tests.collector.http.websockets import peer
from underglass.demo.ledger import LedgerRecord
from underglass.demo.standin import StandIn
from underglass.demo.websocket import MessageCounter

Event = dict[str, Any]


class Books:
    """A stand-in, and a client's WebSocket to it, in clear text: this client reads and writes
    in two threads, which TLS objects of Python do not bear."""

    def __init__(self, directory: Path, script: str = "tools") -> None:
        self.server = StandIn(script, directory, latency_scale=0, plain=True)

    def __enter__(self) -> Books:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()

    def connect(self, compression: str | None = "deflate") -> ClientConnection:
        url = self.server.base_url.replace("http", "ws", 1) + "/v1/responses"
        return connect(url, compression=compression)

    def ledger(self) -> list[LedgerRecord]:
        """Ends the stand-in, so that its books are whole."""
        self.server.stop()
        return self.server.ledger()


def create(**fields: Any) -> str:
    tool = {"type": "function", "name": "bash", "parameters": {"properties": {"command": {}}}}
    return json.dumps({"type": "response.create", "model": "m", "tools": [tool], **fields})


def answer(socket: ClientConnection) -> list[Event]:
    """Events up to the last of a response."""
    events: list[Event] = []
    while not events or events[-1]["type"] not in ("response.completed", "error"):
        events.append(json.loads(socket.recv(timeout=10)))
    return events


@pytest.mark.parametrize("compression", ["deflate", None])
def test_each_response_is_a_record_and_every_byte_is_in_one(
    tmp_path: Path, compression: str | None
) -> None:
    with Books(tmp_path) as books:
        with books.connect(compression=compression) as socket:
            agreed = socket.response and socket.response.headers.get("sec-websocket-extensions")
            assert bool(agreed) == (compression is not None)
            socket.send(create(input="turn=parallel"))
            first = answer(socket)
            socket.send(create(input="turn=one", previous_response_id=first[-1]["response"]["id"]))
            second = answer(socket)
        upgrade, *records = books.ledger()
        (connection,) = books.server.connections()
    assert (upgrade.transport, upgrade.status, upgrade.api) == ("http", 101, None)
    closing = 2 + 4 + 2
    assert connection.received_bytes == sum(r.request_bytes for r in (upgrade, *records)) + closing
    assert connection.sent_bytes == sum(r.response_bytes for r in (upgrade, *records)) + 4
    for record, events in zip(records, (first, second), strict=True):
        response = events[-1]["response"]
        assert (record.transport, record.method, record.api) == (
            *("websocket", "GET"),
            "openai.responses",
        )
        assert (record.response_id, record.status) == (response["id"], 200)
        assert record.request_id is None
        calls = [item for item in response["output"] if item["type"] == "function_call"]
        assert [call.tool_call_id for call in record.tool_calls] == [
            call["call_id"] for call in calls
        ]
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert record.response_body_bytes > 0


def test_a_previous_response_counts_as_a_turn(tmp_path: Path) -> None:
    with Books(tmp_path, "agents") as books:
        with books.connect() as socket:
            socket.send(create(input="go", generate=False))
            warm = answer(socket)[-1]["response"]
            assert warm["output"] == []
            socket.send(create(input=[], previous_response_id=warm["id"]))
            first = answer(socket)[-1]["response"]
            call_id = first["output"][-1]["call_id"]
            output = {"type": "function_call_output", "call_id": call_id, "output": "ok"}
            socket.send(create(input=[output], previous_response_id=first["id"]))
            answer(socket)
        _, *records = books.ledger()
    assert [record.turn for record in records] == [None, 0, 1]
    assert records[2].tool_result_ids == (call_id,)


def test_requests_that_are_refused(tmp_path: Path) -> None:
    with Books(tmp_path, "errors") as books:
        with books.connect() as socket:
            socket.send(create(input="x", previous_response_id="resp_gone"))
            (refused,) = answer(socket)
            socket.send("no json")
            (unread,) = answer(socket)
            socket.send(json.dumps({"type": "session.update"}))
            (unknown,) = answer(socket)
        _, record = books.ledger()
    assert (refused["status"], refused["error"]["type"]) == (400, "previous_response_not_found")
    assert (unread["status"], unknown["status"]) == (400, 400)
    assert (record.error_kind, record.error_type) == ("http_error", "previous_response_not_found")


def test_lanes_are_echoed(tmp_path: Path) -> None:
    with Books(tmp_path) as books:
        with books.connect() as socket:
            socket.send(create(input="turn=plain", stream_id="a"))
            socket.send(create(input="turn=silent", stream_id="b"))
            events = answer(socket) + answer(socket)
        assert {event["stream_id"] for event in events} == {"a", "b"}
        assert len(books.ledger()) == 3


def test_it_says_goodbye_when_it_ends(tmp_path: Path) -> None:
    with Books(tmp_path) as books, books.connect() as socket:
        socket.send(create(input="turn=plain"))
        answer(socket)
        books.server.stop()
        assert list(socket) == []
        assert socket.close_code == 1001


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=70_000)), max_size=4), st.data())
def test_message_sizes_in_any_pieces(
    messages: list[tuple[bool, bytes]], data: st.DataObject
) -> None:
    client, wire, sizes = peer(True), b"", []
    for parted, body in messages:
        sent = [client.send(BytesMessage(body))]
        if parted:
            sent = [client.send(TextMessage("a", message_finished=False))]
            sent.append(client.send(TextMessage(body.hex())))
        wire += client.send(Ping(b"x")).join(sent)
        sizes.append(sum(map(len, sent)))
    counter = MessageCounter()
    cuts = data.draw(st.lists(st.integers(0, max(1, len(wire))), max_size=6))
    for piece in pieces(wire, cuts):
        counter.feed(piece)
    assert [counter.pop() for _ in sizes] == sizes
