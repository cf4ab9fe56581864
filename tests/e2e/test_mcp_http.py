"""MCP over HTTP, the official SDK's server and client, the client under real probes: every message
of the server's own ledger, once, whole and paired; and what the client's session returned."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp_types import CallToolResult, ListToolsResult

from tests.e2e.conftest import Record, Watched, python
from tests.e2e.http_servers import exchanges, same, served
from underglass.demo.certificates import ensure_certificates
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
Standin = Callable[..., StandIn]
Run = Callable[..., Watched]

HANDSHAKE, MODERN = "2025-11-25", "2026-07-28"
_MODELS: dict[str, type[CallToolResult | ListToolsResult]] = {
    "tools/list": ListToolsResult,
    **dict.fromkeys(("add", "fail", "count", "greet"), CallToolResult),
}


def decoded(call: Record) -> list[Any]:
    """What was asked and its outcome, as the client writes it down."""
    if call["method"] == "resources/read":
        return [call["method"], {"code": call["error_code"], "message": call["error_message"]}]
    asked = call["tool"] or call["method"]
    result = _MODELS[asked].model_validate(call["answer_body"]["result"])
    return [asked, result.model_dump(by_alias=True, mode="json", exclude_none=True)]


@pytest.mark.parametrize(
    ("mode", "version", "asks", "tls"),
    [
        ("stream", "legacy", True, True),
        ("json", "legacy", False, True),
        ("stateless", "legacy", False, False),
        ("sse", "legacy", True, True),
        ("stream", "auto", True, True),
        ("json", MODERN, True, False),
    ],
)
def test_client_and_server(
    standin: Standin,
    watched: Run,
    tmp_path: Path,
    mode: str,
    version: str,
    asks: bool,
    tls: bool,
) -> None:
    ledger = tmp_path / "server.jsonl"
    made = ensure_certificates(tmp_path / "certificates")
    certificate = [made.server_path] if tls else []
    with served("mcp_http_server.py", mode, ledger, *certificate) as port:
        place = f"127.0.0.1:{port}/{'sse' if mode == 'sse' else 'mcp'}"
        url = f"http{'s' if tls else ''}://{place}"
        command = python("mcp_http_client.py", url, version, *(["ask"] if asks else []))
        trust = {"SSL_CERT_FILE": str(made.bundle_path)}
        seen = watched(standin("echo", plain=True), command, **trust)
    assert seen.exit_code == 0, seen.stderr
    found = seen.rows("FROM rpc_messages ORDER BY started_at, position")
    calls = seen.rows("FROM rpc_calls ORDER BY started_at")
    said = exchanges(ledger)
    modern = version != "legacy"

    # Every message, once, each way
    same(
        [row for row in found if row["direction"] == "to_server"],
        [message for exchange in said for message in exchange.asked],
    )
    same(
        [row for row in found if row["direction"] == "to_client"],
        [message for exchange in said for message in exchange.sent],
    )
    assert {row["transport"] for row in found} == {"sse" if mode == "sse" else "http"}
    assert {row["protocol"] for row in found} == {"mcp"}

    # Each request with its answer
    assert all(call["status"] in ("ok", "error") for call in calls)
    assert all(call["duration_ms"] > 0 for call in calls)
    for call in calls:
        assert call["answer_body"]["id"] == call["rpc_id"] == call["request_body"]["id"]
        assert call["answer_count"] == 1
    failed = [call for call in calls if call["status"] == "error"]
    assert [call["is_tool_error"] for call in failed if call["tool"] == "fail"] == [True] * 3
    assert [call["is_tool_error"] for call in failed if call["error_code"]] == [False] * 3
    assert len(failed) == 6
    questions = [call for call in calls if call["direction"] == "to_client"]
    if asks and not modern:
        assert [call["method"] for call in questions] == ["elicitation/create"] * 3
    else:
        assert not questions
    rounds = [call["result_type"] for call in calls if call["tool"] == "greet"]
    assert rounds == ["input_required", "complete"] * 3 if modern and asks else not any(rounds)

    # What the client's session returned
    shown = [
        decoded(call)
        for call in calls
        if call["direction"] == "to_server"
        and call["method"] not in ("initialize", "server/discover")
        and call["result_type"] != "input_required"
    ]
    assert shown == json.loads(seen.stdout)

    # Who speaks
    for call in calls:
        assert (call["server_name"], call["server_version"]) == ("calculator", "3.1")
        assert (call["client_name"], call["client_version"]) == ("crab", "1.2")
        assert call["protocol_version"] == (MODERN if modern else HANDSHAKE)
        assert call["url"] == place
        assert call["client_comm"] == Path(sys.executable).name
        assert (call["mcp_session"] is not None) == (not modern and mode != "stateless")
    assert len({call["client_pid"] for call in calls}) == 1
    for source in ("openssl", "socket", "stream"):
        assert seen.health(source, "lost_bytes") == 0
    assert not seen.calls
