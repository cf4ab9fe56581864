"""HTTP/2 of real, unmodified programs: calls equal the stand-in's ledger, streams are told apart,
no byte is left over."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import (
    UNDERGLASS,
    Watched,
    assert_equals_ledger,
    environment,
    lines_of,
    python,
    wait_for,
)
from tests.e2e.test_stacks import deno, go_client
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
Start = Callable[..., StandIn]
Watch = Callable[..., Watched]
KEY = "sk-ant-api03-0123456789abcdefghijklmnop"


def assert_over_http2(watched: Watched) -> None:
    assert {call["protocol"] for call in watched.calls} == {"http/2"}
    assert watched.health("http", "undecoded_bytes") == 0
    assert watched.health("http", "orphan_responses") == 0
    assert watched.health("http", "framing_bytes") > 0


def assert_equals_streams(watched: Watched, server: StandIn, times: int, source: str) -> None:
    """As `assert_equals_ledger`, for clients that do not ask for usage."""
    ledger = {record.response_id: record for record in server.ledger(at_least=times)}
    assert len(watched.calls) == len(ledger) == times
    for call in watched.calls:
        record = ledger[call["response_id"]]
        assert (call["request_bytes"], call["response_bytes"]) == (
            record.request_bytes,
            record.response_bytes,
        )
        assert (call["status"], call["model"], call["lost_bytes"]) == ("ok", record.model, 0)
        assert (call["tls_stack"], call["finish_reason"]) == (source, record.finish_reason)
    of_streams = sum(record.request_bytes + record.response_bytes for record in ledger.values())
    framing = watched.health("http", "framing_bytes")
    assert watched.health(source, "captured_bytes") == of_streams + framing
    assert watched.health(source, "lost_bytes") == watched.health("stream", "lost_bytes") == 0
    assert_over_http2(watched)


def curl(server: StandIn, *options: str) -> list[str]:
    body = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 9,
        "stream": True,
        "messages": [{"role": "user", "content": "id=curl " + "words " * 20_000}],
    }
    trust = [] if server.certificates is None else ["--cacert", str(server.ca_path)]
    return [
        *("curl", "-sS", "-o", os.devnull, "-H", f"x-api-key: {KEY}", *trust, *options),
        *("-H", "content-type: application/json", "-d", json.dumps(body)),
    ]


def test_curl(standin: Start, watched: Watch) -> None:
    server = standin("tools", latency_scale=0, http2="auto")
    url = f"{server.base_url}/v1/messages?key={KEY}"
    result = watched(server, [*curl(server, "--http2"), url, url, url])
    assert result.exit_code == 0, result.stderr
    assert_equals_ledger(result, server.ledger(at_least=3))
    assert_over_http2(result)
    assert {call["host"] for call in result.calls} == {server.base_url.partition("//")[2]}
    (credential,) = {call["credential"] for call in result.calls}
    assert credential
    assert KEY.encode() not in result.store.read_bytes()


def test_the_key_has_the_same_fingerprint_recorded_and_over_http1(
    standin: Start, watched: Watch, tmp_path: Path
) -> None:
    server = standin("echo", latency_scale=0, http2="auto")
    url = f"{server.base_url}/v1/messages"
    for option in ("--http2", "--http1.1"):
        result = watched(server, [*curl(server, option), url])
        assert result.exit_code == 0, result.stderr
    file = tmp_path / "capture.ug"
    recording: list[str | Path] = [UNDERGLASS, "record", file, "--", *curl(server, "--http2"), url]
    subprocess.run(recording, env=environment(server), check=True, capture_output=True)
    subprocess.run(
        [UNDERGLASS, "replay", file, "--db", result.store], check=True, capture_output=True
    )
    calls = result.calls
    assert [call["protocol"] for call in calls] == ["http/2", "http/1.1", "http/2"]
    assert len({call["credential"] for call in calls}) == 1
    assert calls[0]["credential"]


def test_prior_knowledge_on_a_plain_socket(standin: Start, watched: Watch) -> None:
    server = standin("echo", latency_scale=0, plain=True, http2="only")
    url = f"{server.base_url}/v1/messages"
    result = watched(server, [*curl(server, "--http2-prior-knowledge"), url])
    assert result.exit_code == 0, result.stderr
    assert_equals_ledger(result, server.ledger(at_least=1), "socket")
    assert_over_http2(result)
    assert {call["tls_stack"] for call in result.calls} == {"none"}


def test_go_with_many_streams(standin: Start, watched: Watch, tmp_path: Path) -> None:
    server = standin("echo", latency_scale=0, http2="auto")
    command = go_client()(server, tmp_path)
    result = watched(server, command, COUNT="150", CONCURRENCY="50", SIZE="30000")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == ["HTTP/2.0 200"] * 150
    assert_equals_streams(result, server, 150, "go")


def test_deno_over_rustls(standin: Start, watched: Watch, tmp_path: Path) -> None:
    server = standin("echo", latency_scale=0, http2="auto")
    body = {"model": "gpt-5", "stream": True, "messages": [{"role": "user", "content": "id=deno"}]}
    (tmp_path / "body.json").write_text(json.dumps(body))
    result = watched(server, deno()(server, tmp_path), DENO_CERT=str(server.ca_path))
    assert result.exit_code == 0, result.stderr
    assert_equals_streams(result, server, 3, "rustls")


def test_50_concurrent_streams_of_one_connection_pair_right(standin: Start, watched: Watch) -> None:
    server = standin("echo", latency_scale=0, http2="only")
    result = watched(server, python("concurrent_http2.py", "50"))
    assert result.exit_code == 0, result.stderr
    pairs = [line.split() for line in result.stdout.splitlines()]
    assert len(pairs) == 51
    assert all(sent == received for sent, received in pairs)
    ledger = server.ledger(at_least=51)
    assert {record.connection for record in ledger} == {1}
    assert_equals_ledger(result, ledger)
    assert_over_http2(result)
    texts = result.rows(
        "SELECT call_id, string_agg(regexp_extract(body::VARCHAR, 'id=(\\w+)', 1), ',') AS tokens "
        "FROM messages GROUP BY call_id"
    )
    assert len(texts) == 51
    for row in texts:
        asked, answered = row["tokens"].split(",")
        assert asked == answered


def test_attach_to_a_running_http2_client(standin: Start, tmp_path: Path) -> None:
    server = standin("tools", latency_scale=0, http2="only")
    store, answers = tmp_path / "store.db", tmp_path / "answers"
    agent = subprocess.Popen(
        python("slow_http2_agent.py", str(answers), "2000"), env=environment(server)
    )
    try:
        wait_for(lambda: len(lines_of(answers)) >= 3, "three answers")
        attached = subprocess.run(
            [UNDERGLASS, "attach", "--pid", str(agent.pid), "--for", "4", "--db", store],
            capture_output=True,
            text=True,
        )
        assert attached.returncode == 0, attached.stderr
        watched = Watched(store, 0, "", "")
        ledger = {record.response_id: record for record in server.ledger()}
        calls = watched.calls
        whole = [call for call in calls if call["complete"]]
        assert len(whole) >= 5
        assert len(whole) >= len(calls) - 1  # the last may not have ended
        for call in whole:
            record = ledger[call["response_id"]]
            assert (call["protocol"], call["api"]) == ("http/2", record.api)
            assert call["request_bytes"] == record.request_bytes
            assert call["response_bytes"] == record.response_bytes
            assert call["output_tokens"] == (record.usage and record.usage.output_tokens)
        assert {record.connection for record in ledger.values()} == {1}
        seen = [record.exchange for record in server.ledger() if record.response_id in
                {call["response_id"] for call in whole}]  # fmt: skip
        assert seen == list(range(seen[0], seen[0] + len(seen))), "none in between is missing"
        assert watched.health("http", "joined_late_connections") == 1
        assert watched.health("openssl", "lost_bytes") == 0
        assert agent.poll() is None
    finally:
        agent.kill()
        agent.wait()
