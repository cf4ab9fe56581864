"""Exact match with the stand-in's ledger, for each kind of unmodified client."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import (
    Watched,
    assert_equals_ledger,
    node,
    python,
)
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
Watch = Callable[..., Watched]
Start = Callable[..., StandIn]


def test_curl(standin: Start, watched: Watch) -> None:
    server = standin("echo")
    body = json.dumps(
        {
            "model": "claude-sonnet-4-6",
            "max_tokens": 9,
            "stream": True,
            "messages": [{"role": "user", "content": "id=curl1"}],
        }
    )
    assert server.certificates is not None
    command = ["curl", "-sS", "--cacert", server.certificates.ca_path, "--compressed"]
    request = ["-H", "x-api-key: sk-ant-dummy-0123456789abcdef", "-d", body]
    url = f"{server.base_url}/v1/messages"
    result = watched(server, [*command, *request, url, "--next", "-sS", "--cacert",
                              server.certificates.ca_path, *request, url])  # fmt: skip
    assert result.exit_code == 0
    assert "message_stop" in result.stdout
    assert_equals_ledger(result, server.ledger(at_least=2))
    assert {call["agent"] for call in result.calls} == {"curl"}


def test_openai_sdk(standin: Start, watched: Watch) -> None:
    server = standin("tools", latency_scale=0)
    result = watched(server, python("openai_sync.py", "6"))
    assert result.exit_code == 0, result.stderr
    assert_equals_ledger(result, server.ledger(at_least=24))
    assert len(result.tools) == 28


def test_anthropic_sdk(standin: Start, watched: Watch) -> None:
    server = standin("tools", latency_scale=0)
    result = watched(server, python("anthropic_sync.py", "11"))
    assert result.exit_code == 0, result.stderr
    assert_equals_ledger(result, server.ledger(at_least=22))
    assert len(result.tools) == 26


def test_node_fetch(standin: Start, watched: Watch) -> None:
    server = standin("echo", latency_scale=0)
    program = Path(__file__).with_name("programs") / "fetch.mjs"
    result = watched(server, [node(), program, "23"])
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("true") == 46
    assert_equals_ledger(result, server.ledger(at_least=46))
    assert {call["agent"] for call in result.calls} == {"node"}


def test_200_concurrent_streams_pair_right(standin: Start, watched: Watch) -> None:
    server = standin("echo", latency_scale=0)
    result = watched(server, python("concurrent_async.py", "400"))
    assert result.exit_code == 0, result.stderr
    pairs = [line.split() for line in result.stdout.splitlines()]
    assert len(pairs) == 400
    assert all(sent == received for sent, received in pairs)
    ledger = server.ledger(at_least=400)
    assert_equals_ledger(result, ledger)
    # Each stored call holds the token of its own request in both messages.
    texts = result.rows(
        "SELECT call_id, string_agg(regexp_extract(body::VARCHAR, 'id=(\\w+)', 1), ',') AS tokens "
        "FROM messages GROUP BY call_id"
    )
    assert len(texts) == 400
    for row in texts:
        asked, answered = row["tokens"].split(",")
        assert asked == answered


def test_errors_and_cuts(standin: Start, watched: Watch) -> None:
    server = standin("errors", latency_scale=0)
    result = watched(server, [sys.executable, Path(__file__).parent / "programs" / "errors.py"])
    assert result.exit_code == 0, result.stderr
    assert_equals_ledger(result, server.ledger(at_least=4))


def test_one_write_of_1_5_megabytes(standin: Start, watched: Watch) -> None:
    server = standin("echo", latency_scale=0)
    result = watched(server, python("one_write.py", "1500000"))
    assert result.stdout.startswith("HTTP/1.1 200"), result.stderr
    ledger = server.ledger(at_least=1)
    assert ledger[0].request_bytes > 1_500_000
    assert_equals_ledger(result, ledger)
    # Redacted at capture: the key is nowhere in the store, its fingerprint is.
    assert result.calls[0]["credential"]
    assert b"0123456789abcdef" not in result.store.read_bytes()


def test_ring_overflow_is_accounted_for_to_the_byte(standin: Start, watched: Watch) -> None:
    server = standin("echo", latency_scale=0)
    result = watched(server, python("one_write.py", "1500000"), UNDERGLASS_RING_KIB="64")
    assert result.stdout.startswith("HTTP/1.1 200"), result.stderr
    record = server.ledger(at_least=1)[0]
    lost = result.health("openssl", "lost_bytes")
    assert lost > 0
    captured = result.health("openssl", "captured_bytes")
    assert captured + lost == record.request_bytes + record.response_bytes
    assert result.health("stream", "delivered_bytes") == captured
    assert result.health("stream", "lost_bytes") == lost
    assert f"{lost:,} bytes lost" in result.stderr
    (call,) = result.calls
    assert call["status"] == "incomplete"
    assert call["request_bytes"] + call["lost_bytes"] >= record.request_bytes


def test_calls_longer_than_two_mebibytes_are_truncated_and_said_so(
    standin: Start, watched: Watch
) -> None:
    server = standin("echo", latency_scale=0)
    result = watched(server, python("one_write.py", "3000000"))
    record = server.ledger(at_least=1)[0]
    truncated = result.health("openssl", "truncated_bytes")
    assert truncated == record.request_bytes - (2 << 20)
    captured = result.health("openssl", "captured_bytes")
    assert captured + truncated == record.request_bytes + record.response_bytes
    (call,) = result.calls
    assert not call["complete"]
    assert call["lost_bytes"] == truncated
