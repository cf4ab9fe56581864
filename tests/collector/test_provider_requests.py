from __future__ import annotations

import json
import zlib
from typing import Any

import pytest

from collector import provider_requests
from collector.calls import CallTracker
from collector.exchange import HttpCounters
from collector.exchange_router import ExchangeRouter
from collector.http_connection import HttpConnection
from collector.processes import ProcessTable
from collector.provider_requests import ProviderRequests
from collector.redaction import Redactor
from collector.rows import Batch, ProviderRequestRow
from probes.events import ConnectionKey, Direction
from tests.frames import (
    CONNECTION,
    INFO,
    SALT,
    answer,
    ask,
    chunked_response,
    http_request,
    http_response,
    text,
    user,
)


class Followed:
    """One connection; calls are asked first."""

    def __init__(self, *, content: bool = True) -> None:
        processes, redact = ProcessTable(INFO), Redactor(SALT).redact_text
        self.calls = CallTracker(
            INFO, processes, redact, content=content, undecoded=lambda reason, length: None
        )
        self.requests = ProviderRequests(INFO, processes, redact, content=content)
        router = ExchangeRouter((self.calls, self.requests), self)
        self.connection = HttpConnection(CONNECTION, router, HttpCounters())
        self.seen: list[tuple[bool, bool]] = []
        self.at = 0

    def exchange_seen(
        self, connection: ConnectionKey, *, followed: bool, is_call: bool, host: str | None
    ) -> None:
        self.seen.append((followed, is_call))

    def sends(self, data: bytes) -> Followed:
        self.at += 1_000_000
        self.connection.chunk(Direction.WRITE, data, self.at)
        return self

    def receives(self, data: bytes) -> Followed:
        self.at += 1_000_000
        self.connection.chunk(Direction.READ, data, self.at)
        return self

    def rows(self) -> list[ProviderRequestRow]:
        batch = Batch()
        self.requests.take(batch)
        return batch.provider_requests

    def row(self) -> ProviderRequestRow:
        (row,) = self.rows()
        return row


def get(target: str, host: str, **options: Any) -> bytes:
    return http_request(target, b"", method="GET", host=host, **options)


def reply(body: Any, status: str = "200 OK") -> bytes:
    return http_response(json.dumps(body).encode(), status)


COUNT = json.dumps({"model": "claude-sonnet-4-6", "messages": [user("a")]}).encode()
MODELS: dict[str, Any] = {
    "object": "list",
    "data": [{"id": "m1", "object": "model"}, {"id": "m2", "object": "x"}],
}


def test_a_token_count() -> None:
    followed = Followed().sends(http_request("/v1/messages/count_tokens?beta=true", COUNT))
    assert followed.rows() == []
    row = followed.receives(reply({"input_tokens": 14})).row()
    assert (row.kind, row.provider, row.model) == ("count_tokens", "anthropic", "claude-sonnet-4-6")
    assert (row.counted_tokens, row.item_count, row.status) == (14, None, "ok")
    assert (row.http_status, row.error_type, row.host) == (200, None, "api.anthropic.com")
    assert (row.agent, row.agent_version) == ("anthropic-python", "0.75.0")
    assert row.ended_ns - row.started_ns == 1_000_000
    assert row.request_bytes > len(COUNT)
    assert row.response_bytes
    assert (row.protocol, row.capture_id, row.pid) == (
        "http/1.1",
        INFO.capture_id,
        CONNECTION.tgid,
    )
    assert followed.seen == [(True, False)]


def test_they_are_no_calls_and_make_no_session() -> None:
    followed = Followed()
    followed.sends(http_request("/v1/messages/count_tokens", COUNT))
    followed.receives(reply({"input_tokens": 14}))
    followed.sends(ask([user("a")])).receives(answer(text("b")))
    batch = followed.calls.take()
    assert len(batch.calls) == len(batch.sessions) == 1
    assert followed.row().session_id is None


def test_a_session_that_the_client_names() -> None:
    headers = ["x-claude-code-session-id: 6f1d-2a"]
    request = http_request("/v1/messages/count_tokens", COUNT, headers=headers)
    request = request.replace(b"Anthropic/Python 0.75.0", b"claude-cli/2.1.0 (external, cli)")
    row = Followed().sends(request).receives(reply({"input_tokens": 1})).row()
    assert (row.agent, row.session_id) == ("claude-code", "6f1d-2a")


@pytest.mark.parametrize(
    ("host", "answer_body", "counts"),
    [
        ("localhost:8000", MODELS, True),
        ("localhost:8000", {"models": ["Roadster"]}, False),
        ("localhost:8000", {"data": []}, False),
        ("shop.example", {"data": [{"id": 1, "price": 3}]}, False),
        ("api.groq.com", MODELS, True),
        ("api.groq.com", {"data": [{"id": 1, "price": 3}]}, False),
        ("api.groq.com", {"object": "list", "data": []}, True),
        ("s3.eu-west-1.amazonaws.com", {"anything": 1}, False),
    ],
)
def test_a_general_path_counts_by_its_answer(host: str, answer_body: Any, counts: bool) -> None:
    followed = Followed().sends(get("/v1/models", host)).receives(reply(answer_body))
    assert [row.kind for row in followed.rows()] == (["list_models"] if counts else [])
    assert followed.seen == [(counts, False)]


def test_errors_count_at_hosts_that_are_known() -> None:
    error = {"error": {"type": "invalid_request_error", "message": "bad key sk-ant-" + "a" * 40}}
    refused = reply(error, "401 Unauthorized")
    row = Followed().sends(get("/v1/models", "api.openai.com")).receives(refused).row()
    assert (row.status, row.http_status, row.error_type) == ("error", 401, "invalid_request_error")
    assert row.error_message is not None
    assert "redacted" in row.error_message
    assert Followed().sends(get("/v1/models", "shop.example")).receives(refused).rows() == []
    silent = Followed(content=False).sends(get("/v1/models", "api.openai.com")).receives(refused)
    assert silent.row().error_message is None


def test_a_cut_answer_is_incomplete() -> None:
    followed = Followed().sends(get("/v1/models", "api.openai.com"))
    followed.receives(reply(MODELS)[:-10]).connection.close(followed.at)
    row = followed.row()
    assert (row.status, row.item_count) == ("incomplete", None)


def test_compressed_answers() -> None:
    packed = zlib.compress(json.dumps(MODELS).encode(), wbits=31)
    response = http_response(packed, headers=["Content-Encoding: gzip"])
    row = Followed().sends(get("/v1/models", "localhost")).receives(response).row()
    assert row.item_count == 2


def test_results_of_a_batch_are_counted_and_no_usage() -> None:
    line = {"custom_id": "r", "result": {"message": {"usage": {"input_tokens": 5}}}}
    lines = b"".join(json.dumps(line).encode() + b"\n" for _ in range(1_000))
    target = "/v1/messages/batches/msgbatch_1/results"
    followed = Followed().sends(get(target, "api.anthropic.com"))
    followed.receives(chunked_response([lines[:77], lines[77:]]))
    row = followed.row()
    assert (row.kind, row.item_count, row.batch_id) == ("batch_results", 1_000, "msgbatch_1")
    assert row.counted_tokens is None
    assert followed.calls.take().calls == []


@pytest.mark.parametrize(("piece", "host"), [(7, "api.openai.com"), (1 << 20, "localhost")])
def test_an_uploaded_batch_tells_its_requests(piece: int, host: str) -> None:
    one = json.dumps({"custom_id": "r", "body": {"x": '"custom_id"'}})
    body = (
        '--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b\r\n'
        'Content-Disposition: form-data; name="file"; filename="b.jsonl"\r\n\r\n'
        + f"{one}\n" * 23
        + "\r\n--b--\r\n"
    ).encode()
    headers = ["Content-Type: multipart/form-data; boundary=b"]
    request = http_request("/v1/files", body, headers=headers, host=host)
    followed = Followed()
    for at in range(0, len(request), piece):
        followed.sends(request[at : at + piece])
    row = followed.receives(reply({"id": "file-1", "object": "file", "purpose": "batch"})).row()
    assert (row.kind, row.item_count, row.provider) == ("file_upload", 23, "openai")


def test_bodies_are_kept_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_requests, "BODY_LIMIT_BYTES", 1000)
    models = {"object": "list", "data": MODELS["data"] * 500}
    followed = Followed().sends(get("/v1/models", "api.openai.com")).receives(reply(models))
    row = followed.row()
    assert (row.kind, row.status, row.item_count) == ("list_models", "ok", None)
    followed = Followed().sends(get("/v1/models", "localhost")).receives(reply(models))
    assert followed.rows() == []


def test_ids_are_of_one_request_each() -> None:
    followed = Followed()
    for _ in range(3):
        followed.sends(get("/v1/models", "api.openai.com")).receives(reply(MODELS))
    assert len({row.request_id for row in followed.rows()}) == 3
