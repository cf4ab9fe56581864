from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.http.events import Headers, RequestHead
from collector.llm.api import SocketEvent, SocketRequest
from collector.llm.openai_responses_socket import OpenAiResponsesSocket
from collector.llm.registry import match_socket
from tests.collector.llm.wire import anything

SOCKET = OpenAiResponsesSocket()
UPGRADE: Headers = (("host", "api.openai.com"), ("upgrade", "websocket"))


def opening(target: str, method: str = "GET", headers: Headers = UPGRADE) -> RequestHead:
    return RequestHead(1, method, target, "1.1", headers)


def asked(**event: Any) -> SocketRequest | None:
    return SOCKET.asked(json.dumps(event).encode())


def told(**event: Any) -> SocketEvent | None:
    return SOCKET.told(json.dumps(event).encode())


@pytest.mark.parametrize(
    ("head", "matches"),
    [
        (opening("/v1/responses"), True),
        (opening("/backend-api/codex/responses"), True),
        (opening("/openai/v1/responses?api-version=preview"), True),
        (opening("/v1/responses", headers=(("upgrade", "WebSocket"),)), True),
        (opening("/v1/responses", "CONNECT", ((":protocol", "websocket"),)), True),
        (opening("/v1/responses", headers=()), False),
        (opening("/v1/responses", "CONNECT", UPGRADE), False),
        (opening("/v1/realtime"), False),
        (opening("/v1/responses/resp_1"), False),
    ],
)
def test_the_request_that_opens_it(head: RequestHead, matches: bool) -> None:
    assert SOCKET.matches(head) is matches
    found = match_socket(head)
    assert (found is not None) is matches
    assert found is None or found.api.name == "openai.responses"


def test_a_response_is_asked_for_with_the_body_of_a_post() -> None:
    request = asked(type="response.create", model="gpt-5", input="hi", store=False)
    assert request is not None
    assert json.loads(request.body) == {"model": "gpt-5", "input": "hi", "store": False}
    assert (request.lane, request.waits) == (None, False)


def test_a_lane_and_a_type_that_stands_elsewhere() -> None:
    request = asked(model="gpt-5", stream_id="lane-2", type="response.create")
    assert request is not None
    assert json.loads(request.body) == {"model": "gpt-5", "stream_id": "lane-2"}
    assert request.lane == "lane-2"


def test_steering_waits_for_a_response_of_its_own() -> None:
    request = asked(type="response.steer", previous_response_id="resp_1", input="stop that")
    assert request is not None
    assert request.waits
    assert json.loads(request.body) == {"previous_response_id": "resp_1", "input": "stop that"}


@pytest.mark.parametrize("message", [b"", b"[]", b"\xff", b'{"type":"response.processed"}', b"{}"])
def test_other_messages_ask_for_nothing(message: bytes) -> None:
    assert SOCKET.asked(message) is None


def test_events_of_a_response() -> None:
    created = {"id": "resp_1", "status": "in_progress"}
    assert told(type="response.created", response=created, sequence_number=0) == SocketEvent(
        response_id="resp_1", number=0
    )
    delta = told(type="response.output_text.delta", delta="a", sequence_number=4, stream_id="b")
    assert delta == SocketEvent(lane="b", number=4)
    assert told(type="codex.rate_limits", rate_limits={}) == SocketEvent()


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed", "cancelled"])
def test_the_last_event_of_a_response(status: str) -> None:
    event = told(type=f"response.{status}", response={"id": "resp_1"}, sequence_number=9)
    assert event == SocketEvent(response_id="resp_1", number=9, ends=True)


def test_an_error_that_refuses_a_request() -> None:
    error = {"type": "usage_limit_reached", "message": "The usage limit has been reached"}
    headers = {"X-Codex-Primary-Used-Percent": "100.0", "x-codex-primary-window-minutes": 15}
    assert told(type="error", status=429, error=error, headers=headers) == SocketEvent(
        ends=True,
        refuses=True,
        status=429,
        headers=(
            ("x-codex-primary-used-percent", "100.0"),
            ("x-codex-primary-window-minutes", "15"),
        ),
    )
    event = told(type="error", status_code=400, error={**error, "headers": {"a": "b"}})
    assert event is not None
    assert (event.status, event.headers) == (400, (("a", "b"),))


def test_an_error_inside_a_response() -> None:
    event = told(type="error", code="server_error", message="oops", sequence_number=7)
    assert event == SocketEvent(number=7, ends=True)


@pytest.mark.parametrize("kind", ["response.steer.accepted", "session.created", None, 3])
def test_messages_that_belong_to_no_response(kind: object) -> None:
    assert told(type=kind, sequence_number=1) is None
    assert SOCKET.told(b"\xff\xfe") is None
    assert SOCKET.told(b"[1]") is None


names = st.sampled_from(
    ("type", "stream_id", "response", "id", "sequence_number", "status", "headers", "error")
)
kinds = st.sampled_from(("response.create", "response.created", "error", "response.completed"))


@given(st.dictionaries(names, anything, max_size=6), kinds)
def test_fields_of_any_type_never_raise(event: dict[str, Any], kind: str) -> None:
    for message in (event, {**event, "type": kind}):
        data = json.dumps(message).encode()
        SOCKET.asked(data)
        SOCKET.told(data)


def test_a_request_that_only_warms_up() -> None:
    head = opening("/v1/responses")
    body = {"model": "gpt-5", "instructions": "Be careful.", "input": [], "tools": []}
    assert SOCKET.api.parse_request(head, json.dumps(body).encode()) is None
    warm = SOCKET.api.parse_request(head, json.dumps({**body, "generate": False}).encode())
    assert warm is not None
    assert (warm.system, warm.messages) == (("Be careful.",), ())
