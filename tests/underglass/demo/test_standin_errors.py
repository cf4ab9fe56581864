from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import openai
import pytest

from underglass.demo.ledger import LedgerRecord
from underglass.demo.standin import StandIn

Running = Callable[[str], StandIn]


@pytest.fixture
def server(running: Running, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    server = running("errors")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return server


def asked(turn: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"turn={turn}"}]


def last(server: StandIn, before: int, count: int = 1) -> list[LedgerRecord]:
    return server.ledger(at_least=before + count)[before:]


def claude(turn: str, max_retries: int = 0) -> Any:
    client: Any = anthropic.Anthropic(max_retries=max_retries)
    with client.messages.stream(
        model="claude-sonnet-4-6", max_tokens=9, messages=asked(turn)
    ) as stream:
        return stream.get_final_message()


def test_rate_limit_is_met_once_and_then_granted(server: StandIn) -> None:
    before = len(server.ledger())
    message = claude("rate-limit", max_retries=1)
    assert message.content[0].text == "Granted on the second try."
    refused, granted = last(server, before, 2)
    assert (refused.status, refused.error_kind, refused.error_type) == (
        429,
        "http_error",
        "rate_limit_error",
    )
    assert refused.request_body_sha256 == granted.request_body_sha256
    assert granted.status == 200


def test_rate_limit_headers_have_each_providers_names(server: StandIn) -> None:
    before = len(server.ledger())
    with pytest.raises(anthropic.RateLimitError) as refused:
        claude("rate-limit-always")
    headers = refused.value.response.headers
    assert headers["retry-after"] == "1"
    assert headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert refused.value.request_id == headers["request-id"]
    assert refused.value.response.json()["error"]["type"] == "rate_limit_error"
    client: Any = openai.OpenAI(max_retries=0)
    with pytest.raises(openai.RateLimitError) as refused_chat:
        client.chat.completions.create(model="gpt-4o-mini", messages=asked("rate-limit-always"))
    headers = refused_chat.value.response.headers
    assert headers["x-ratelimit-remaining-tokens"] == "12"
    assert headers["x-request-id"].startswith("req_")
    assert [record.status for record in last(server, before, 2)] == [429, 429]


@pytest.mark.parametrize(
    ("turn", "status", "word"),
    [("server-error", 500, "api_error"), ("overloaded", 529, "overloaded_error")],
)
def test_server_errors(server: StandIn, turn: str, status: int, word: str) -> None:
    before = len(server.ledger())
    with pytest.raises(anthropic.APIStatusError) as failed:
        claude(turn)
    assert failed.value.status_code == status
    (record,) = last(server, before)
    assert (record.status, record.error_type) == (status, word)


def test_an_error_in_the_middle_of_a_stream(server: StandIn) -> None:
    before = len(server.ledger())
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        claude("stream-error")
    client: Any = openai.OpenAI(max_retries=0)
    with pytest.raises(openai.APIError, match="Overloaded"):
        list(
            client.chat.completions.create(
                model="gpt-4o-mini", messages=asked("stream-error"), stream=True
            )
        )
    events = list(
        client.responses.create(model="gpt-5-mini", input="turn=stream-error", stream=True)
    )
    assert events[-1].type == "response.failed"
    records = last(server, before, 3)
    assert {record.error_kind for record in records} == {"stream_error"}
    assert {record.error_type for record in records} == {"overloaded_error"}
    assert records[0].usage is not None
    assert records[0].usage.output_tokens == 1
    assert records[1].usage is None
    assert [record.finish_reason for record in records] == [None, None, "failed"]


def test_a_cut_stream_says_what_had_been_sent(server: StandIn) -> None:
    before = len(server.ledger())
    text = ""
    client: Any = anthropic.Anthropic(max_retries=0)
    with client.messages.stream(
        model="claude-sonnet-4-6", max_tokens=9, messages=asked("cut")
    ) as stream:
        pieces = iter(stream.text_stream)
        text += next(pieces)
        with pytest.raises(Exception, match="incomplete chunked read"):
            text += "".join(pieces)
    (record,) = last(server, before)
    assert (record.cut, record.error_kind, record.content_events) == (True, "cut", 2)
    assert record.finish_reason is None
    assert "The connection closes before this answer is whole.".startswith(text)
    assert text


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("stream", [False, True])
def test_content_codings(server: StandIn, coding: str, stream: bool) -> None:
    before = len(server.ledger())
    body = {"model": "m", "messages": asked(coding), "max_tokens": 1, "stream": stream}
    with httpx.Client(verify=_context(server)) as client:
        coded = client.post(
            f"{server.base_url}/v1/messages", json=body, headers={"accept-encoding": coding}
        )
        plain = client.post(
            f"{server.base_url}/messages", json=body, headers={"accept-encoding": "identity"}
        )
    assert coded.headers["content-encoding"] == coding
    assert "content-encoding" not in plain.headers
    coded_id, plain_id = (
        response.headers["request-id"].replace("req_", "") for response in (coded, plain)
    )
    assert coded.text.replace(coded_id, plain_id) == plain.text
    assert [record.content_encoding for record in last(server, before, 2)] == [coding, None]


@pytest.mark.parametrize(
    ("turn", "reasons"),
    [
        ("length", ["max_tokens", "length", "max_output_tokens"]),
        ("refusal", ["refusal", "content_filter", "content_filter"]),
    ],
)
def test_finish_reasons_in_each_apis_words(server: StandIn, turn: str, reasons: list[str]) -> None:
    before = len(server.ledger())
    assert claude(turn).stop_reason == reasons[0]
    client: Any = openai.OpenAI(max_retries=0)
    chat = client.chat.completions.create(model="gpt-4o-mini", messages=asked(turn))
    assert chat.choices[0].finish_reason == reasons[1]
    events = list(client.responses.create(model="gpt-5-mini", input=f"turn={turn}", stream=True))
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.incomplete_details.reason == reasons[2]
    assert [record.finish_reason for record in last(server, before, 3)] == reasons


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nowhere", b"", 404),
        ("POST", "/v1/messages", b"{not json", 400),
        ("POST", "/v1/messages", b'{"model": "m"}', 400),
        ("POST", "/v1/responses", b"[1]", 400),
        ("POST", "/v1/chat/completions", b'{"model": "m", "messages": [1]}', 400),
    ],
)
def test_requests_that_cannot_be_answered(
    server: StandIn, method: str, path: str, body: bytes, status: int
) -> None:
    before = len(server.ledger())
    with httpx.Client(verify=_context(server)) as client:
        response = client.request(method, server.base_url + path, content=body)
    assert response.status_code == status
    assert response.json()["error"]["message"]
    (record,) = last(server, before)
    assert (record.status, record.error_kind) == (status, "http_error")


def _context(server: StandIn) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(server.ca_path))
