"""A2A 0.3 and 1.0 in its two bindings over HTTP: exchanges as captured, and their rows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import a2a
from collector.http.events import RequestHead
from tests.collector.rpc_wire import (
    HOST,
    Rows,
    answers_to,
    body_of,
    channel_of,
    connection,
    event,
    get,
    messages,
    post,
    reply,
    requests,
    rpc,
    run,
    stream,
)
from tests.frames import Wire

V1, V03 = "A2A-Version: 1.0", "A2A-Version: 0.3"
CARD = {
    "name": "Planner",
    "description": "Plans",
    "version": "2.4",
    "capabilities": {"streaming": True},
    "skills": [{"id": "plan"}, {"id": "book"}],
    "supportedInterfaces": [
        {"url": f"http://{HOST}/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
        {"url": f"http://{HOST}/rest/", "protocolBinding": "HTTP+JSON", "protocolVersion": "1.1"},
    ],
}
OLD_CARD = {
    "name": "Planner",
    "version": "1.9",
    "protocolVersion": "0.3.0",
    "url": f"http://{HOST}/rpc",
    "capabilities": {},
    "skills": [{"id": "plan"}],
}
MESSAGE = {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": "plan"}], "contextId": "c1"}


def task(state: str) -> dict[str, Any]:
    return {"id": "t1", "contextId": "c1", "status": {"state": state}}


def update(state: str) -> dict[str, Any]:
    return {"statusUpdate": {"taskId": "t1", "contextId": "c1", "status": {"state": state}}}


def told(rows: Rows) -> list[tuple[Any, ...]]:
    return [
        (row.kind, row.method, row.task_id, row.task_state, row.context_id)
        for row in messages(rows)
    ]


# The card


@pytest.mark.parametrize("path", ["/.well-known/agent-card.json", "/.well-known/agent.json"])
@pytest.mark.parametrize(("card", "version", "skills"), [(CARD, "1.0", 2), (OLD_CARD, "0.3.0", 1)])
def test_a_card_names_the_server_of_later_calls(
    path: str, card: dict[str, Any], version: str, skills: int
) -> None:
    wire = Wire().sends(get(path)).receives(reply(json.dumps(card).encode()))
    ask = post(rpc(id="a", method="SendMessage", params={"message": MESSAGE}), target="/rpc")
    wire.sends(ask).receives(reply(rpc(id="a", result={"task": task("TASK_STATE_WORKING")})))
    rows = run(wire)
    fetched, sent = requests(rows)
    assert (fetched.method, sent.method) == ("GetAgentCard", "SendMessage")
    assert body_of(rows, answers_to(rows, fetched)[0]) == card
    for request in (fetched, sent):
        channel = channel_of(rows, request)
        assert (channel.protocol, channel.protocol_version) == ("a2a", version)
        assert (channel.server_name, channel.server_version) == ("Planner", card["version"])
        assert channel.server_skills == skills
    assert channel_of(rows, sent).url == f"{HOST}/rpc"


def test_a_card_that_comes_later_names_it_too() -> None:
    wire = Wire().sends(post(rpc(id=1, method="GetTask", params={"id": "t1"}), V1, target="/rpc"))
    wire.receives(reply(rpc(id=1, result=task("TASK_STATE_FAILED"))))
    card = reply(json.dumps(CARD).encode())
    rows = run(wire.sends(get("/.well-known/agent-card.json")).receives(card))
    assert channel_of(rows, requests(rows)[0]).server_name == "Planner"


def test_of_a_host_with_two_agents_the_card_is_not_guessed() -> None:
    wire = Wire()
    for number in range(2):
        card = {**OLD_CARD, "name": f"agent {number}", "url": f"http://{HOST}/agents/{number}"}
        wire.sends(get(f"/agents/{number}/.well-known/agent-card.json"))
        wire.receives(reply(json.dumps(card).encode()))
    for target in ("/agents/1", "/elsewhere"):
        wire.sends(
            post(rpc(id=1, method="message/send", params={"message": MESSAGE}), target=target)
        )
        wire.receives(reply(rpc(id=1, result={"kind": "message", **MESSAGE})))
    rows = run(wire)
    names = [channel_of(rows, row).server_name for row in requests(rows)[2:]]
    assert names == ["agent 1", None]


@pytest.mark.parametrize(
    "answer", [reply(b"not found", status="404 Not Found"), reply(b'{"name": "x"}'), reply(b"[]")]
)
def test_what_is_no_card_is_not_shown(answer: bytes) -> None:
    rows = run(Wire().sends(get("/.well-known/agent.json")).receives(answer))
    assert rows["rpc_messages"] == rows["rpc_channels"] == {}


# JSON-RPC


@pytest.mark.parametrize(
    ("header", "methods", "result", "state"),
    [
        (V1, ("SendMessage", "GetTask", "CancelTask"), {"task": task("TASK_STATE_SUBMITTED")},
         "TASK_STATE_SUBMITTED"),
        (V03, ("message/send", "tasks/get", "tasks/cancel"), {"kind": "task", **task("working")},
         "working"),
        ("X: y", ("message/send", "tasks/get", "tasks/cancel"), task("working"), "working"),
    ],
)  # fmt: skip
def test_calls(header: str, methods: tuple[str, ...], result: dict[str, Any], state: str) -> None:
    wire = Wire()
    for number, method in enumerate(methods):
        params = {"id": "t1"} if number else {"message": {**MESSAGE, "taskId": "t1"}}
        wire.sends(post(rpc(id=f"u{number}", method=method, params=params), header, target="/"))
        wire.receives(reply(rpc(id=f"u{number}", result=result)))
    rows = run(wire)
    found = told(rows)
    assert found[1::2] == [("response", method, "t1", state, "c1") for method in methods]
    assert found[0::2] == [
        ("request", method, "t1", None, None if number else "c1")
        for number, method in enumerate(methods)
    ]
    channel = channel_of(rows, messages(rows)[0])
    version = header.partition(": ")[2]
    assert channel.protocol == "a2a"
    assert channel.protocol_version == (version if version != "y" else None)


def test_a_stream_answers_its_request_many_times() -> None:
    ask = rpc(id="s", method="SendStreamingMessage", params={"message": MESSAGE})
    states = ("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING", "TASK_STATE_COMPLETED")
    results = [{"task": task(states[0])}, *(update(state) for state in states[1:])]
    artifact = {"artifactUpdate": {"taskId": "t1", "contextId": "c1", "artifact": {}}}
    results.insert(2, artifact)
    answer = stream([b"data: " + rpc(id="s", result=each) + b"\n\n" for each in results])
    rows = run(Wire().sends(post(ask, V1, "Accept: text/event-stream")).receives(answer))
    (request,) = requests(rows)
    found = answers_to(rows, request)
    assert [row.task_state for row in found] == [states[0], states[1], None, states[2]]
    assert [row.task_id for row in found] == ["t1"] * 4
    assert [body_of(rows, row)["result"] for row in found] == results


def test_errors_have_their_code() -> None:
    ask = post(rpc(id=1, method="tasks/get", params={"id": "nope"}))
    error = rpc(id=1, error={"code": -32001, "message": "Task not found", "data": []})
    rows = run(Wire().sends(ask).receives(reply(error)))
    (answer,) = answers_to(rows, requests(rows)[0])
    assert (answer.kind, answer.error_code, answer.error_message) == (
        *("error", -32001, "Task not found"),
    )


def test_tasks_of_mcp_are_not_tasks_of_a2a() -> None:
    ask = post(rpc(id=1, method="tasks/get", params={"taskId": "t9"}))
    rows = run(
        Wire().sends(ask).receives(reply(rpc(id=1, result={"taskId": "t9", "status": "working"})))
    )
    assert channel_of(rows, messages(rows)[0]).protocol == "mcp"
    assert told(rows) == [
        ("request", "tasks/get", "t9", None, None),
        ("response", "tasks/get", "t9", "working", None),
    ]


# HTTP+JSON


def test_operations_by_path() -> None:
    send = json.dumps({"message": MESSAGE}).encode()
    wire = Wire().sends(post(send, V1, target="/rest/message:send", media_type=a2a.MEDIA_TYPE))
    wire.receives(reply(json.dumps({"task": task("TASK_STATE_WORKING")}).encode()))
    wire.sends(get("/rest/tasks/t1?historyLength=2", V1))
    wire.receives(reply(json.dumps(task("TASK_STATE_WORKING")).encode()))
    wire.sends(post(b"", V1, target="/rest/tasks/t1:cancel"))
    wire.receives(reply(json.dumps(task("TASK_STATE_CANCELED")).encode()))
    rows = run(wire)
    assert told(rows) == [
        ("request", "SendMessage", None, None, "c1"),
        ("response", "SendMessage", "t1", "TASK_STATE_WORKING", "c1"),
        ("request", "GetTask", "t1", None, None),
        ("response", "GetTask", "t1", "TASK_STATE_WORKING", "c1"),
        ("request", "CancelTask", "t1", None, None),
        ("response", "CancelTask", "t1", "TASK_STATE_CANCELED", "c1"),
    ]
    assert len(rows["rpc_channels"]) == 2
    channel = channel_of(rows, messages(rows)[0])
    assert (channel.url, channel.protocol_version) == (f"{HOST}/rest", "1.0")
    assert body_of(rows, messages(rows)[0]) == {"message": MESSAGE}
    assert (messages(rows)[2].size_bytes, messages(rows)[2].content_hash) == (0, None)


def test_streams_and_errors_by_path() -> None:
    send = json.dumps({"message": MESSAGE}).encode()
    events = [update("TASK_STATE_WORKING"), update("TASK_STATE_FAILED")]
    error = {"error": {"code": 500, "status": "INTERNAL", "message": "broke"}}
    parts = [b"data: " + json.dumps(each).encode() + b"\n\n" for each in events]
    wire = Wire().sends(post(send, V1, target="/message:stream"))
    wire.receives(stream([*parts, event(json.dumps(error).encode(), "error")]))
    missing = {"error": {"code": 404, "status": "NOT_FOUND", "message": "no task"}}
    wire.sends(get("/tasks/zz", V1))
    wire.receives(reply(json.dumps(missing).encode(), status="404 Not Found"))
    rows = run(wire)
    streamed, got = requests(rows)
    assert [row.task_state for row in answers_to(rows, streamed)] == [
        *("TASK_STATE_WORKING", "TASK_STATE_FAILED", None),
    ]
    assert [row.is_error for row in answers_to(rows, streamed)] == [False, False, True]
    (found,) = answers_to(rows, got)
    assert (found.error_code, found.error_message, found.http_status) == (404, "no task", 404)


@pytest.mark.parametrize(
    ("method", "target", "header", "operation"),
    [
        ("POST", "/message:send", V1, "SendMessage"),
        ("POST", "/v1/message:send", V03, "message/send"),
        ("POST", "/v1/message:stream", "X: y", "message/stream"),
        ("GET", "/a/b/tasks", V1, "ListTasks"),
        ("POST", "/tasks/1:subscribe", V1, "SubscribeToTask"),
        ("GET", "/v1/tasks/1:subscribe", V03, "tasks/resubscribe"),
        ("POST", "/tasks/1/pushNotificationConfigs", V1, "CreateTaskPushNotificationConfig"),
        ("GET", "/tasks/1/pushNotificationConfigs", V1, "ListTaskPushNotificationConfigs"),
        ("GET", "/tasks/1/pushNotificationConfigs/2", V1, "GetTaskPushNotificationConfig"),
        ("DELETE", "/tasks/1/pushNotificationConfigs/2", V1, "DeleteTaskPushNotificationConfig"),
        ("GET", "/extendedAgentCard", V1, "GetExtendedAgentCard"),
        ("GET", "/v1/card", V03, "agent/getAuthenticatedExtendedCard"),
        ("GET", "/message:send", V1, None),
        ("POST", "/tasks/1", V1, None),
        ("GET", "/tasks/1/other", V1, None),
        ("GET", "/", V1, None),
    ],
)  # fmt: skip
def test_which_operation_a_head_is(
    method: str, target: str, header: str, operation: str | None
) -> None:
    name, _, value = header.lower().partition(": ")
    found = a2a.operation(RequestHead(0, method, target, "1.1", ((name, value),)))
    assert (found.method if found else None) == operation
    assert found is None or found.sure == name.startswith("a2a")


@pytest.mark.parametrize("target", ["/tasks/12", "/v1/tasks", "/tasks/12:cancel", "/v1/card"])
def test_paths_alone_are_not_enough(target: str) -> None:
    wire = Wire(connection(1)).sends(get(target)).receives(reply(b"{}"))
    wire.sends(post(b"{}", target=target)).receives(reply(json.dumps(task("x")).encode()))
    assert run(wire)["rpc_messages"] == {}


@given(st.text(max_size=60), st.sampled_from(["GET", "POST", "DELETE"]))
def test_any_path_is_read(path: str, method: str) -> None:
    head = RequestHead(0, method, "/" + path, "1.1", (("a2a-version", "1.0"),))
    found = a2a.operation(head)
    assert found is None or found.sure
    a2a.card_base(head)
