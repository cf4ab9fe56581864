"""Calls over WebSockets, held against the stand-in's books."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.e2e.conftest import Record, Watched
from underglass.demo.ledger import ConnectionRecord, LedgerRecord


def assert_equals_socket_ledger(
    watched: Watched,
    ledger: Sequence[LedgerRecord],
    connections: Sequence[ConnectionRecord],
    source: str,
) -> None:
    """Every response that was asked for on a WebSocket, once, right to the byte and the token."""
    expected = [record for record in ledger if record.transport == "websocket"]
    calls = {_name(call["response_id"], call["request_bytes"]): call for call in watched.calls}
    assert len(watched.calls) == len(calls) == len(expected)
    for record in expected:
        call = calls[_name(record.response_id, record.request_bytes)]
        assert call["protocol"] == "websocket"
        assert call["api"] == record.api
        assert (call["request_bytes"], call["response_bytes"]) == (
            record.request_bytes,
            record.response_bytes,
        )
        assert (call["lost_bytes"], call["complete"], call["stream"]) == (0, True, True)
        assert call["request_model"] == record.request_model
        assert call["tool_call_count"] == len(record.tool_calls)
        if record.error_type is not None:
            assert (call["status"], call["error_type"]) == ("error", record.error_type)
            assert call["http_status"] == record.status
            continue
        assert (call["status"], call["http_status"]) == ("ok", 101)
        assert call["model"] == record.model
        assert call["finish_reason"] == record.finish_reason
        assert (call["ttft_ms"] is not None) == (record.content_events > 0)
        assert record.usage is not None
        for field in ("input", "output", "cache_read", "cache_write", "reasoning"):
            assert call[f"{field}_tokens"] == getattr(record.usage, f"{field}_tokens"), field
    sent = {tool.tool_call_id: tool for record in expected for tool in record.tool_calls}
    seen = {tool["tool_call_id"]: tool for tool in watched.tools}
    assert seen.keys() == sent.keys()
    for key, tool in sent.items():
        assert (seen[key]["name"], seen[key]["arguments"]) == (
            tool.name,
            json.loads(tool.arguments),
        )
    moved = sum(one.received_bytes + one.sent_bytes for one in connections)
    assert watched.health(source, "captured_bytes") == moved
    assert watched.health("stream", "lost_bytes") == 0
    assert watched.health("http", "undecoded_bytes") == 0


def lists_of(watched: Watched) -> dict[str, tuple[list[Record], list[Record]]]:
    """By response id what a call's request and its answer hold, as the store has them."""
    found: dict[str, tuple[list[Record], list[Record]]] = {}
    rows = watched.rows(
        "SELECT response_id, side, body FROM messages JOIN calls USING (call_id) "
        "WHERE response_id IS NOT NULL ORDER BY call_id, position"
    )
    for row in rows:
        lists = found.setdefault(row["response_id"], ([], []))
        body = row["body"]
        lists[row["side"] == "output"].append(
            json.loads(body) if isinstance(body, str) and body[:1] in '{["' else body
        )
    return found


def _name(response_id: str | None, request_bytes: int) -> tuple[str | None, int]:
    return response_id, 0 if response_id is not None else request_bytes
