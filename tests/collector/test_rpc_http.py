"""JSON-RPC over HTTP: exchanges as captured, and the rows they become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection

from analysis.reading import open_reader
from probes.events import ConnectionKey, Direction
from tests.collector.rpc_wire import (
    ACCEPTED,
    ASK,
    BOTH,
    CALL,
    FAILED,
    HOST,
    INITIALIZE,
    PROGRESS,
    REFUSED,
    SAMPLED,
    SESSION,
    SUM,
    VERSION,
    WELCOME,
    Rows,
    answers_to,
    body_of,
    channel_of,
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
    stored,
    stream,
    timeless,
)
from tests.frames import AGENT, API_KEY, SECOND, Wire


def kinds(rows: Rows) -> list[tuple[str, str | None, str | None]]:
    return [(row.kind, row.method, row.tool) for row in messages(rows)]


# Streamable HTTP


def test_a_session_with_a_stream_for_an_answer() -> None:
    rows = run(session(stream([event(PROGRESS), event(SUM)], SESSION)).closes())
    assert kinds(rows) == [
        ("request", "initialize", None),
        ("response", "initialize", None),
        ("notification", "notifications/initialized", None),
        ("request", "tools/call", "add"),
        ("notification", "notifications/progress", None),
        ("response", "tools/call", "add"),
    ]
    called, _, answer = messages(rows)[3:]
    assert (answer.answers, answer.is_error, answer.http_status) == (called.message_id, False, 200)
    assert (called.http_status, called.size_bytes) == (200, len(CALL))
    assert body_of(rows, called) == json.loads(CALL)
    assert body_of(rows, answer) == json.loads(SUM)
    asking, answering = channel_of(rows, called), channel_of(rows, answer)
    assert len(rows["rpc_channels"]) == 2, "the session that initialize began is that of all"
    assert (asking.sender, asking.writer_pid, asking.reader_pid) == ("client", AGENT, None)
    assert (answering.sender, answering.writer_pid, answering.reader_pid) == ("server", None, AGENT)
    for channel in (asking, answering):
        assert (channel.transport, channel.protocol) == ("http", "mcp")
        assert channel.protocol_version == "2025-06-18", "as the server answered"
        assert (channel.server_name, channel.server_version) == ("calculator", "3.1")
        assert (channel.client_name, channel.client_version) == ("crab", "1.2")
        assert (channel.url, channel.inode) == (f"{HOST}/mcp", None)
        assert channel.mcp_session
        assert channel.mcp_session not in SESSION
    assert rows["calls"] == {}
    assert health(rows)["messages", ""] == 6


@pytest.mark.parametrize(
    ("answer", "is_error", "code", "message"),
    [(SUM, False, None, None), (FAILED, True, None, None),
     (REFUSED, True, -32602, "Unknown tool: subtract")],
)  # fmt: skip
@pytest.mark.parametrize("streamed", [False, True], ids=["json", "stream"])
def test_results_and_errors(
    answer: bytes, is_error: bool, code: int | None, message: str | None, streamed: bool
) -> None:
    response = stream([event(answer)]) if streamed else reply(answer, SESSION)
    rows = run(session(response).closes())
    called = requests(rows)[-1]
    (found,) = answers_to(rows, called)
    assert (found.is_error, found.error_code, found.error_message) == (is_error, code, message)
    assert found.kind == ("error" if code else "response")
    assert found.tool == "add"


def test_without_content_neither_bodies_nor_errors_are_kept() -> None:
    rows = run(session(reply(REFUSED, SESSION)), content=False)
    (found,) = answers_to(rows, requests(rows)[-1])
    assert (found.error_code, found.error_message) == (-32602, None)
    assert {row.body for row in rows["contents"].values()} == {None}


def test_a_server_asks_its_client_in_the_stream_of_a_call() -> None:
    wire = session(stream([event(ASK), event(SUM)], SESSION))
    answering = Wire(connection(2), at=wire.at)
    answering.sends(post(SAMPLED, BOTH, SESSION, VERSION)).receives(ACCEPTED)
    rows = run(wire.closes(), answering.closes())
    asked = next(row for row in requests(rows) if row.method == "sampling/createMessage")
    (sampled,) = answers_to(rows, asked)
    assert channel_of(rows, asked).sender == "server"
    assert (channel_of(rows, sampled).sender, sampled.method) == ("client", asked.method)
    assert body_of(rows, sampled) == json.loads(SAMPLED)


def test_the_stream_of_a_get_belongs_to_the_session() -> None:
    wire = session(reply(SUM, SESSION))
    listening = Wire(connection(2), at=wire.at)
    listening.sends(get("/mcp", "Accept: text/event-stream", SESSION, VERSION))
    listening.receives(stream([b"id: 1\ndata: \n\n", event(ASK)]))
    wire.sends(post(SAMPLED, BOTH, SESSION, VERSION)).receives(ACCEPTED)
    rows = run(wire, listening)
    assert len(rows["rpc_channels"]) == 2
    asked = next(row for row in requests(rows) if row.rpc_id == "7")
    assert [row.kind for row in answers_to(rows, asked)] == ["response"]


def test_an_answer_that_is_fetched_by_another_request() -> None:
    wire = session(stream([b"id: 1\nretry: 10\ndata: \n\n"], SESSION))
    wire.sends(get("/mcp", "Accept: text/event-stream", SESSION, "Last-Event-ID: 1"))
    rows = run(wire.receives(stream([event(SUM)], SESSION)))
    called = requests(rows)[-1]
    assert [body_of(rows, row) for row in answers_to(rows, called)] == [json.loads(SUM)]


def test_batches() -> None:
    two = b"[" + CALL + b", " + rpc(id="1", method="ping") + b"]"
    answers = b"[" + rpc(id="1", result={}) + b"," + SUM + b"]"
    for response in (reply(answers), stream([event(answers)])):
        rows = run(handshake(Wire()).sends(post(two, BOTH, SESSION)).receives(response))
        called, ping = requests(rows)[1:]
        assert [row.batch_index for row in (called, ping)] == [0, 1]
        assert [row.rpc_id for row in answers_to(rows, called)] == ["1"]
        assert [row.rpc_id for row in answers_to(rows, ping)] == ['"1"']


def test_stateless_clients_of_one_process_do_not_mix() -> None:
    one, two = Wire(connection(1)), Wire(connection(2), at=SECOND + 1)
    one.sends(post(CALL, BOTH)).receives(reply(SUM))
    two.sends(post(CALL, BOTH)).receives(reply(FAILED))
    rows = run(one, two)
    found = {row.message_id: answers_to(rows, row)[0].is_error for row in requests(rows)}
    assert set(found.values()) == {False, True}


def test_ids_are_paired_in_one_process_one_server_and_one_session_only() -> None:
    asking = Wire(connection(1)).sends(post(CALL, BOTH, SESSION)).receives(ACCEPTED)
    strangers = [
        Wire(connection(2, pid=7)).sends(get("/mcp", "Accept: text/event-stream", SESSION)),
        Wire(connection(3)).sends(get("/other", "Accept: text/event-stream", SESSION)),
        Wire(connection(4)).sends(get("/mcp", "Accept: text/event-stream", SESSION + "0")),
    ]
    for number, wire in enumerate(strangers):
        wire.at = asking.at + number
        wire.receives(stream([event(SUM)]))
    rows = run(asking, *strangers)
    assert len(messages(rows)) == 4
    assert [row.answers for row in messages(rows)] == [None] * 4


@pytest.mark.parametrize(
    ("status", "shown"),
    [("401 Unauthorized", "error"), ("307 Temporary Redirect", "redirected"),
     ("202 Accepted", "open")],
)  # fmt: skip
def test_no_answer_but_a_status(tmp_path: Path, status: str, shown: str) -> None:
    rows = [calls(tmp_path, session(reply(b"see there", status=status, media_type="text/plain")))]
    assert [(row["status"], row["http_status"]) for row in rows[0]][-1] == (shown, int(status[:3]))


def test_an_error_without_the_id_answers_the_only_request() -> None:
    body = rpc(id=None, error={"code": -32600, "message": "Session terminated"})
    rows = run(session(reply(body, status="404 Not Found")))
    (found,) = answers_to(rows, requests(rows)[-1])
    assert (found.error_code, found.http_status) == (-32600, 404)


# HTTP+SSE, as MCP had it first


def legacy(told: str = "/messages/?session_id=0a1b") -> list[Wire]:
    listening, asking = Wire(connection(1)), Wire(connection(2))
    listening.sends(get("/sse", "Accept: text/event-stream"))
    answers = b"".join(
        b"%x\r\n%s\r\n" % (len(part), part)
        for part in (event(told.encode(), "endpoint"), event(WELCOME), event(SUM))
    )
    first = answers.index(b"\r\n\r\n") + 6
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    listening.receives(head + answers[:first])
    asking.at = listening.at
    target = "/messages/?session_id=0a1b"
    asking.sends(post(INITIALIZE, target=target)).receives(ACCEPTED)
    asking.sends(post(CALL, target=target)).receives(ACCEPTED)
    listening.at = asking.at
    listening.receives(answers[first:])
    return [listening, asking]


@pytest.mark.parametrize(
    "told", ["/messages/?session_id=0a1b", f"http://{HOST}/messages/?session_id=0a1b"]
)
def test_answers_come_on_the_stream_that_told_the_endpoint(told: str) -> None:
    rows = run(*legacy(told))
    assert kinds(rows)[:2] == [("request", "initialize", None), ("request", "tools/call", "add")]
    for request, body in zip(requests(rows), (WELCOME, SUM), strict=True):
        (answer,) = answers_to(rows, request)
        assert body_of(rows, answer) == json.loads(body)
        assert answer.ended_ns > request.ended_ns
    channel = channel_of(rows, requests(rows)[0])
    assert (channel.transport, channel.protocol) == ("sse", "mcp")
    assert (channel.url, channel.server_name) == (f"{HOST}/sse", "calculator")
    assert channel.mcp_session
    assert len(rows["rpc_channels"]) == 2


def test_an_answer_that_is_told_before_its_request() -> None:
    expected = run(*legacy())
    late = run(*legacy(), in_time=False)
    assert timeless(late) == timeless(expected)
    assert late["rpc_channels"] == expected["rpc_channels"]


def test_other_event_streams_are_let_go() -> None:
    ignored: list[ConnectionKey] = []
    wire = Wire()
    for _ in range(5):
        wire.sends(get("/prices", "Accept: text/event-stream"))
        wire.receives(stream([event(b'{"price": 1}') for _ in range(9)]))
    rows = run(wire, ignored=ignored)
    assert rows["rpc_messages"] == rows["rpc_channels"] == {}
    assert ignored == [wire.key]


# The 2026-07-28 revision


def modern(method: str, rpc_id: int, **params: Any) -> bytes:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "crab", "version": "2.0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    body = rpc(id=rpc_id, method=method, params={**params, "_meta": meta})
    return post(body, BOTH, "MCP-Protocol-Version: 2026-07-28", f"Mcp-Method: {method}")


def result(rpc_id: int, **fields: Any) -> bytes:
    stamp = {"io.modelcontextprotocol/serverInfo": {"name": "calculator", "version": "4.0"}}
    return rpc(id=rpc_id, result={"resultType": "complete", "_meta": stamp, **fields})


def test_nothing_is_initialized_and_every_request_says_who_asks() -> None:
    wire = Wire().sends(modern("server/discover", 1))
    wire.receives(reply(result(1, supportedVersions=["2026-07-28"], capabilities={})))
    wire.sends(modern("tools/call", 2, name="ask", arguments={}))
    question = {"q": {"method": "elicitation/create", "params": {}}}
    asks = result(2, resultType="input_required", inputRequests=question)
    wire.receives(reply(asks))
    wire.sends(modern("tools/call", 3, name="ask", inputResponses={"q": {"action": "accept"}}))
    rows = run(wire.receives(stream([event(PROGRESS), event(result(3, content=[]))])))
    assert [row.method for row in requests(rows)] == [
        *("server/discover", "tools/call", "tools/call"),
    ]
    answers = [answers_to(rows, row)[0] for row in requests(rows)]
    assert [row.result_type for row in answers] == ["complete", "input_required", "complete"]
    channel = channel_of(rows, answers[2])
    assert (channel.protocol, channel.protocol_version) == ("mcp", "2026-07-28")
    assert (channel.server_name, channel.server_version) == ("calculator", "4.0")
    assert (channel.client_name, channel.mcp_session) == ("crab", None)
    assert len(rows["rpc_channels"]) == 2


def test_closing_the_stream_gives_the_request_up() -> None:
    wire = Wire().sends(modern("subscriptions/listen", 1))
    begun = stream([event(PROGRESS)]).removesuffix(b"0\r\n\r\n")
    still_open = run(wire.receives(begun))
    assert [row.cancelled for row in requests(still_open)] == [False]
    assert [row.cancelled for row in requests(run(wire.closes()))] == [True]


def test_a_hole_is_no_cancellation() -> None:
    wire = Wire().sends(modern("tools/call", 1, name="add"))
    wire.receives(reply(result(1))[:80]).loses(Direction.READ, 5000)
    assert [row.cancelled for row in requests(run(wire.closes()))] == [False]


def test_a_notification_cancels_a_request_of_before(tmp_path: Path) -> None:
    wire = session(stream([event(PROGRESS)], SESSION))
    cancel = rpc(method="notifications/cancelled", params={"requestId": 1, "reason": "late"})
    wire.sends(post(cancel, BOTH, SESSION)).receives(ACCEPTED)
    shown = calls(tmp_path, wire)
    assert [(row["method"], row["status"]) for row in shown] == [
        ("initialize", "ok"),
        ("tools/call", "cancelled"),
    ]


# Secrets, and the view


def test_keys_are_masked_in_bodies_errors_and_urls() -> None:
    secret = API_KEY.decode()
    call = rpc(id=1, method="tools/call", params={"name": "x", "arguments": {"key": secret}})
    error = rpc(id=1, error={"code": 1, "message": f"bad key {secret}"})
    wire = Wire().sends(post(call, BOTH, target=f"/{secret}/mcp?api_key={secret}"))
    rows = run(wire.receives(reply(error)))
    assert len(messages(rows)) == 2
    assert secret not in repr(rows)
    assert "[redacted:" in repr(rows["rpc_channels"])


def calls(tmp_path: Path, *wires: Wire) -> list[dict[str, Any]]:
    with open_reader(stored(tmp_path / "s.db", *wires)) as reader:
        return reader.rows("FROM rpc_calls ORDER BY started_at").records()


def test_the_view_has_a_row_a_request(tmp_path: Path) -> None:
    shown = calls(tmp_path, session(stream([event(PROGRESS), event(FAILED)], SESSION)).closes())
    initialized, called = shown
    assert (called["method"], called["tool"], called["status"]) == ("tools/call", "add", "error")
    assert called["is_tool_error"] is True
    assert initialized["is_tool_error"] is False
    assert called["duration_ms"] == 1.0
    assert (called["client_pid"], called["client_comm"]) == (AGENT, "agent")
    assert (called["server_name"], called["url"]) == ("calculator", f"{HOST}/mcp")
    assert (called["protocol"], called["transport"]) == ("mcp", "http")
    assert (called["direction"], called["answer_count"]) == ("to_server", 1)
    assert called["request_body"] == json.loads(CALL)
    assert called["answer_body"] == json.loads(FAILED)
    assert called["answer_bytes"] == len(FAILED)
    assert initialized["status"] == "ok"


def test_a_request_is_given_up_before_its_response_begins() -> None:
    wire = handshake(Wire()).sends(post(CALL, BOTH, SESSION))
    cancel = Wire(connection(2), at=wire.at)
    gone = rpc(method="notifications/cancelled", params={"requestId": 1})
    cancel.sends(post(gone, BOTH, SESSION)).receives(ACCEPTED)
    wire.at = cancel.at
    rows = run(wire.receives(reply(SUM, SESSION)), cancel)
    called = requests(rows)[-1]
    assert (called.cancelled, called.http_status) == (True, 200)
    assert len(answers_to(rows, called)) == 1


@pytest.mark.parametrize("media_type", ["text/plain", "application/json-rpc", "text/json; a=b"])
def test_answers_whose_type_says_little(media_type: str) -> None:
    rows = run(session(reply(SUM, SESSION, media_type=media_type)))
    assert len(answers_to(rows, requests(rows)[-1])) == 1


# HTTP/2


def http2(*answers: tuple[int, bytes]) -> tuple[bytes, bytes]:
    """What a client sends that calls tools on streams 1 and 3, and what its server answers."""
    client, server = H2Connection(), H2Connection(H2Configuration(client_side=False))
    client.initiate_connection()
    server.initiate_connection()
    head = [(":method", "POST"), (":path", "/mcp"), (":authority", HOST), (":scheme", "https")]
    head += [("content-type", "application/json"), ("accept", BOTH.partition(": ")[2])]
    for stream_id in (1, 3):
        client.send_headers(stream_id, [*head, ("mcp-session-id", "5f1e")])
        call = rpc(id=stream_id, method="tools/call", params={"name": "add"})
        client.send_data(stream_id, call, end_stream=True)
    sent = client.data_to_send()
    server.receive_data(sent)
    for stream_id in (3, 1):
        server.send_headers(stream_id, [(":status", "200"), ("content-type", "text/event-stream")])
    for stream_id, data in answers:
        server.send_data(stream_id, data)
    for stream_id in (1, 3):
        server.end_stream(stream_id)
    return sent, server.data_to_send()


def test_streams_of_http2_are_exchanges_too() -> None:
    done = [event(rpc(id=number, result={"isError": number == 3})) for number in (1, 3)]
    sent, received = http2((3, event(PROGRESS)), (1, done[0][:20]), (3, done[1]), (1, done[0][20:]))
    rows = run(Wire().sends(sent).receives(received).closes())
    called, other = requests(rows)
    assert [row.is_error for row in answers_to(rows, called)] == [False]
    assert [row.is_error for row in answers_to(rows, other)] == [True]
    assert channel_of(rows, called).url == f"{HOST}/mcp"
    assert len(messages(rows)) == 5
    assert len(rows["rpc_channels"]) == 2


def test_a_hole_in_one_stream_of_http2_is_not_joined_and_leaves_the_other_whole() -> None:
    word = event(rpc(method="notifications/message", params={"data": "x" * 90}))
    done = event(rpc(id=3, result={}))
    sent, received = http2((1, word * 5), (3, done[:20]), (3, done[20:]))
    at = received.index(word) + 50
    wire = Wire().sends(sent).receives(received[:at]).loses(Direction.READ, len(word) + 60)
    rows = run(wire.receives(received[at + len(word) + 60 :]).closes())
    told = [row for row in messages(rows) if row.kind == "notification"]
    assert 1 <= len(told) <= 3
    assert {body_of(rows, row)["params"]["data"] for row in told} == {"x" * 90}
    assert len(answers_to(rows, requests(rows)[1])) == 1
