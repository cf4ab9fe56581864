"""What tests of JSON-RPC over HTTP say and look at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from collector.pipeline import Pipeline
from collector.redaction import Redactor
from collector.rows import Batch, RpcChannelRow, RpcMessageRow
from collector.store import Store
from probes.events import ConnectionKey
from tests.frames import (
    AGENT,
    INFO,
    SALT,
    STARTED_NS,
    Wire,
    chunked_response,
    final_rows,
    forked,
)

Rows = dict[str, dict[tuple[object, ...], Any]]
HOST = "127.0.0.1:8000"
BOTH = "Accept: application/json, text/event-stream"
MS = 1_000_000


def connection(number: int = 1, pid: int = AGENT) -> ConnectionKey:
    return ConnectionKey(pid, STARTED_NS, 0x7F00_0000 + number, 1)


def rpc(**fields: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **fields}).encode()


def post(
    body: bytes,
    *headers: str,
    target: str = "/mcp",
    host: str = HOST,
    method: str = "POST",
    media_type: str = "application/json",
) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers]
    if method == "POST":
        lines += [f"Content-Type: {media_type}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def get(target: str, *headers: str, host: str = HOST) -> bytes:
    return post(b"", *headers, target=target, host=host, method="GET")


def reply(
    body: bytes = b"",
    *headers: str,
    status: str = "200 OK",
    media_type: str = "application/json",
) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}"]
    if body:
        lines.append(f"Content-Type: {media_type}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def event(data: bytes, name: str = "message") -> bytes:
    return b"event: " + name.encode() + b"\r\ndata: " + data + b"\r\n\r\n"


def stream(events: Sequence[bytes], *headers: str) -> bytes:
    return chunked_response(events, headers=["Content-Type: text/event-stream", *headers])


def run(
    *wires: Wire,
    content: bool = True,
    each: bool = False,
    in_time: bool = True,
    ignored: list[ConnectionKey] | None = None,
) -> Rows:
    """The rows of some connections, whose frames come in the order of their times."""
    redactor = Redactor(SALT, bodies=False)
    ignore = None if ignored is None else ignored.append
    pipeline = Pipeline(INFO, redactor.redact_text, content=content, ignore=ignore)
    frames = [frame for wire in wires for frame in wire.frames]
    if in_time:
        frames.sort(key=lambda frame: int.from_bytes(frame[8:16], "little"))
    batches: list[Batch] = []
    for frame in frames:
        pipeline.feed(redactor.frame(frame))
        if each:
            batches.append(pipeline.take())
    return final_rows([*batches, pipeline.finish()])


def stored(path: Path, *wires: Wire) -> Path:
    """A store of some connections of a process that is known."""
    with Store.open(path) as store:
        redactor = Redactor(SALT)
        pipeline = Pipeline(INFO, redactor.redact_text)
        pipeline.feed(forked(AGENT, 1, start_ns=STARTED_NS))
        for wire in wires:
            for frame in wire.frames:
                pipeline.feed(redactor.frame(frame))
                store.write(pipeline.take())
        store.write(pipeline.finish())
    return path


def messages(rows: Rows) -> list[RpcMessageRow]:
    return sorted(
        rows["rpc_messages"].values(), key=lambda row: (row.started_ns, row.ended_ns, row.position)
    )


def requests(rows: Rows) -> list[RpcMessageRow]:
    return [row for row in messages(rows) if row.kind == "request"]


def answers_to(rows: Rows, request: RpcMessageRow) -> list[RpcMessageRow]:
    return [row for row in messages(rows) if row.answers == request.message_id]


def channel_of(rows: Rows, message: RpcMessageRow) -> RpcChannelRow:
    found = rows["rpc_channels"][message.channel_id,]
    assert isinstance(found, RpcChannelRow)
    return found


def body_of(rows: Rows, message: RpcMessageRow) -> Any:
    return json.loads(rows["contents"][message.content_hash,].body)


def health(rows: Rows, source: str = "rpc") -> dict[tuple[str, str], int]:
    found: Iterable[Any] = rows["health"].values()
    return {(row.counter, row.cause): row.value for row in found if row.source == source}


def timeless(rows: Rows) -> list[tuple[Any, ...]]:
    """Which messages there are, on which channels, in the order of each channel."""
    return sorted(
        (row.message_id, row.channel_id, row.kind, row.method, row.tool, row.answers, row.rpc_id,
         row.is_error, row.content_hash, row.position, row.http_status, row.size_bytes)
        for row in messages(rows)
    )  # fmt: skip


# A session of MCP

SESSION = "Mcp-Session-Id: 5f1e0c7a9d2b4e83"
VERSION = "MCP-Protocol-Version: 2025-11-25"
INITIALIZE = rpc(
    id=0,
    method="initialize",
    params={
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "crab", "version": "1.2"},
    },
)
INITIALIZED = rpc(method="notifications/initialized")
WELCOME = rpc(
    id=0,
    result={
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "serverInfo": {"name": "calculator", "version": "3.1"},
    },
)
CALL = rpc(id=1, method="tools/call", params={"name": "add", "arguments": {"a": 1, "b": 2}})
SUM = rpc(id=1, result={"content": [{"type": "text", "text": "3"}]})
FAILED = rpc(id=1, result={"content": [{"type": "text", "text": "no"}], "isError": True})
REFUSED = rpc(id=1, error={"code": -32602, "message": "Unknown tool: subtract"})
PROGRESS = rpc(method="notifications/progress", params={"progressToken": 1, "progress": 0.5})
ASK = rpc(id=7, method="sampling/createMessage", params={"messages": [], "maxTokens": 5})
SAMPLED = rpc(id=7, result={"role": "assistant", "content": {"type": "text", "text": "hm"}})
ACCEPTED = reply(status="202 Accepted")


def handshake(wire: Wire) -> Wire:
    wire.sends(post(INITIALIZE, BOTH)).receives(stream([event(WELCOME)], SESSION))
    return wire.sends(post(INITIALIZED, BOTH, SESSION, VERSION)).receives(ACCEPTED)


def session(*answer: bytes, key: ConnectionKey | None = None) -> Wire:
    wire = handshake(Wire(key or connection()))
    wire.sends(post(CALL, BOTH, SESSION, VERSION))
    for part in answer:
        wire.receives(part)
    return wire
