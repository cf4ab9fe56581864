"""A2A, the official SDK's agent and client, the client under real probes: every message of the
agent's own ledger, once, whole and paired; and what the SDK's client returned."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Record, Watched, python
from tests.e2e.http_servers import exchanges, same, served
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
Standin = Callable[..., StandIn]
Run = Callable[..., Watched]

JSON_RPC, HTTP_JSON = "JSONRPC", "HTTP+JSON"
_METHODS = {
    "1.0": ("SendMessage", "GetTask", "SendStreamingMessage", "CancelTask"),
    "0.3": ("message/send", "tasks/get", "message/stream", "tasks/cancel"),
}


def state(call: Record) -> str | None:
    """The state as 1.0 spells it; 0.3 has two ways."""
    told: str | None = call["task_state"]
    if told is None or told.startswith("TASK_STATE"):
        return told and told.replace("CANCELLED", "CANCELED")
    return "TASK_STATE_" + told.upper().replace("-", "_")


@pytest.mark.parametrize("binding", [JSON_RPC, HTTP_JSON])
@pytest.mark.parametrize("version", ["1.0", "0.3"])
def test_client_and_agent(
    standin: Standin, watched: Run, tmp_path: Path, binding: str, version: str
) -> None:
    ledger = tmp_path / "agent.jsonl"
    with served("a2a_server.py", binding, version, ledger) as port:
        url = f"http://127.0.0.1:{port}"
        seen = watched(standin("echo", plain=True), python("a2a_client.py", url, binding))
    assert seen.exit_code == 0, seen.stderr
    found = seen.rows("FROM rpc_messages ORDER BY started_at, position")
    calls = seen.rows("FROM rpc_calls ORDER BY started_at")
    said = exchanges(ledger)

    # Every message, once; the client hung up on the stream of the task that it cancelled.
    same(
        [row for row in found if row["direction"] == "to_server" and row["size_bytes"]],
        [message for exchange in said for message in exchange.asked],
    )
    sent: Counter[str] = Counter(
        json.dumps(message, sort_keys=True) for exchange in said for message in exchange.sent
    )
    received: Counter[str] = Counter(
        json.dumps(row["body"], sort_keys=True) for row in found if row["direction"] == "to_client"
    )
    assert received <= sent
    cancelled = calls[-1]["task_id"]
    assert all(cancelled in message for message in sent - received)
    assert {(row["protocol"], row["transport"]) for row in found} == {("a2a", "http")}

    # Each request with its answers
    send, get, stream, cancel = _METHODS[version]
    card = "GetAgentCard"
    assert [call["method"] for call in calls] == [
        *(card, send, send, get, get, card, stream, stream, cancel),
    ]
    assert all(call["duration_ms"] > 0 for call in calls)
    failed = [call for call in calls if call["status"] != "ok"]
    assert [call["method"] for call in failed] == [get]
    assert failed[0]["error_code"] == (-32001 if binding == JSON_RPC else 404)
    assert failed[0]["error_message"]
    if binding == JSON_RPC:
        assert all(call["rpc_id"] for call in calls if call["method"] != card)
    else:
        assert failed[0]["http_status"] == 404
    streamed = [call for call in calls if call["method"] == stream]
    assert streamed[0]["answer_count"] >= 3

    # What the SDK returned
    outcomes: list[list[Any]] = json.loads(seen.stdout)
    shown = [call for call in calls if call["method"] != card]
    assert len(outcomes) == len(shown)
    for (_, task, told, error), call in zip(outcomes, shown, strict=True):
        assert (error is not None) == (call["status"] == "error")
        if error is None:
            assert call["task_id"] == task
            assert call["context_id"]
            if call is not streamed[1]:
                assert state(call) == told
    # Who speaks
    path = "/rpc" if binding == JSON_RPC else "/rest"
    for call in calls:
        assert (call["server_name"], call["server_version"]) == ("Planner", "2.4")
        assert call["server_skills"] == 2
        assert call["protocol_version"] == version
        assert call["url"].endswith(path if call["method"] != card else "/agent-card.json")
        assert call["client_comm"] == Path(sys.executable).name
    for source in ("socket", "stream"):
        assert seen.health(source, "lost_bytes") == 0
    assert not seen.calls
