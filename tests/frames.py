"""Frames as the probe writes them, and the HTTP conversations that they carry."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Sequence
from typing import Any

from collector.capture_info import CaptureInfo
from collector.rows import Batch
from probes import frames
from probes.events import ConnectionKey, Direction, SocketAddresses, Source
from tests.collector.http.transcripts import pieces

AGENT = 4242
STARTED_NS = 5_000_000_000
CONNECTION = ConnectionKey(AGENT, STARTED_NS, 0x7F00_1000, 1)
SECOND = 1_000_000_000
API_KEY = b"sk-ant-api03-Zk9xQ2vLr8TnW4yB7mJ1cF6hD3sA5gE0"
SALT = b"salt of the tests, 32 bytes long"

INFO = CaptureInfo(
    capture_id="c0ffee00c0ffee00",
    boot_id="9d0a7a52-6f0e-4a5e-9d0f-0d8c1b2a3f4e",
    kernel="6.8.0",
    version="0.1.0",
    command="run -- agent",
    started_ns=1_767_000_000 * SECOND,
    clock_offset_ns=1_766_999_990 * SECOND,
    boottime_offset_ns=1_766_999_980 * SECOND,
)


def frame(kind: int, payload: bytes, at: int = 0, version: int = frames.VERSION) -> bytes:
    size = frames.HEADER.size + len(payload)
    return frames.HEADER.pack(size, kind, version, 0, at) + payload


def plain_data(
    data: bytes,
    direction: int = Direction.WRITE,
    *,
    position: int = 0,
    key: ConnectionKey = CONNECTION,
    at: int = 0,
    source: Source = Source.OPENSSL,
) -> bytes:
    tgid, start_ns, handle, epoch = key
    head = frames.PLAIN_DATA_HEAD.pack(
        start_ns, handle, epoch, position, tgid, tgid, len(data), direction, source, 0
    )
    return frame(frames.PLAIN_DATA, head + data, at)


def payload(tls_frame: bytes) -> bytes:
    """The plaintext in a PLAIN_DATA frame."""
    return tls_frame[frames.PLAIN_DATA_OFFSET :]


def addresses(ends: SocketAddresses | None) -> bytes:
    if ends is None:
        return bytes(frames._ADDRESSES.size)
    kind = socket.AF_INET6 if ":" in ends.local_address else socket.AF_INET
    return frames._ADDRESSES.pack(
        ends.local_port,
        ends.remote_port,
        10 if kind == socket.AF_INET6 else 2,
        socket.inet_pton(kind, ends.local_address),
        socket.inet_pton(kind, ends.remote_address),
    )


def opened(
    key: ConnectionKey = CONNECTION,
    at: int = 0,
    fd: int = 7,
    *,
    source: Source = Source.OPENSSL,
    instruction: int = 0,
    ends: SocketAddresses | None = None,
) -> bytes:
    tgid, start_ns, handle, epoch = key
    packed = frames._OPENED.pack(
        *(start_ns, handle, epoch, tgid, tgid, 99, fd, source, b"agent", instruction),
        addresses(ends),
    )
    return frame(frames.CONNECTION_OPENED, packed, at)


def joined(
    key: ConnectionKey,
    direction: int,
    inode: int,
    *,
    at: int = 0,
    fd: int = 7,
    ends: SocketAddresses | None = None,
) -> bytes:
    tgid, start_ns, handle, epoch = key
    packed = frames._JOINED.pack(
        start_ns, handle, epoch, tgid, direction, inode, fd, addresses(ends)
    )
    return frame(frames.HALF_JOINED, packed, at)


def channel_end(
    key: ConnectionKey,
    role: int,
    pid: int,
    *,
    at: int = 0,
    start_ns: int = STARTED_NS,
    transport: int = 1,
    comm: bytes = b"agent",
) -> bytes:
    packed = frames._CHANNEL_END.pack(
        key.handle, key.epoch, start_ns, pid, role, 1, transport, comm
    )
    return frame(frames.CHANNEL_END, packed, at)


def hello(
    data: bytes,
    key: ConnectionKey = CONNECTION,
    *,
    at: int = 0,
    ends: SocketAddresses | None = None,
) -> bytes:
    tgid, start_ns, handle, epoch = key
    packed = frames._HELLO.pack(start_ns, handle, epoch, tgid, addresses(ends))
    return frame(frames.TLS_HELLO, packed + data, at)


def closed(read: int, written: int, key: ConnectionKey = CONNECTION, at: int = 0) -> bytes:
    return frames.encode_closed(at, key, read, written)


def forked(pid: int, ppid: int, *, start_ns: int = STARTED_NS, at: int = 0) -> bytes:
    packed = frames._FORKED.pack(start_ns, pid, ppid, 1000, 0, 99, b"agent")
    return frame(frames.PROCESS_FORKED, packed, at)


def executed(
    pid: int,
    ppid: int,
    argv: Sequence[bytes],
    *,
    start_ns: int = STARTED_NS,
    at: int = 0,
    cut_bytes: int = 0,
) -> bytes:
    raw = b"".join(part + b"\0" for part in argv)
    comm = argv[0].rpartition(b"/")[2][:15] if argv else b""
    head = frames._EXECUTED.pack(start_ns, pid, ppid, 1000, len(raw) + cut_bytes, 99, comm)
    return frame(frames.PROCESS_EXECUTED, head + raw, at)


def path(
    pid: int,
    names: Sequence[bytes],
    *,
    directory: bool = False,
    truncated: bool = False,
    start_ns: int = STARTED_NS,
    at: int = 0,
) -> bytes:
    """`names` from the root down; the kernel writes them from the leaf up."""
    raw = b"".join(name + b"\0" for name in reversed(names))
    head = frames._PATH.pack(start_ns, pid, int(directory), int(truncated), len(raw))
    return frame(frames.PROCESS_PATH, head + raw, at)


def exited(pid: int, code: int, *, start_ns: int = STARTED_NS, at: int = 0) -> bytes:
    """`code` as wait(2) reports it: exit code << 8, or the signal."""
    return frame(frames.PROCESS_EXITED, frames._EXITED.pack(start_ns, pid, code), at)


class Wire:
    """A connection as it is captured: each step appends a frame and moves the clock by 1 ms."""

    def __init__(self, key: ConnectionKey = CONNECTION, at: int = SECOND) -> None:
        self.key = key
        self.at = at
        self.positions = [0, 0]
        self.frames: list[bytes] = []

    def _tick(self) -> int:
        self.at += 1_000_000
        return self.at

    def _data(self, direction: Direction, data: bytes, cuts: Iterable[int]) -> Wire:
        for piece in pieces(data, cuts):
            position = self.positions[direction]
            self.frames.append(
                plain_data(piece, direction, position=position, key=self.key, at=self._tick())
            )
            self.positions[direction] += len(piece)
        return self

    def sends(self, data: bytes, cuts: Iterable[int] = ()) -> Wire:
        """The process wrote `data`, in calls that end at `cuts`."""
        return self._data(Direction.WRITE, data, cuts)

    def receives(self, data: bytes, cuts: Iterable[int] = ()) -> Wire:
        """The process read `data`."""
        return self._data(Direction.READ, data, cuts)

    def loses(self, direction: Direction, length: int) -> Wire:
        """Bytes that the kernel counted and could not deliver."""
        self.positions[direction] += length
        return self

    def closes(self) -> Wire:
        read, written = self.positions
        self.frames.append(closed(read, written, self.key, self._tick()))
        return self


def conversation(request: bytes, response: bytes, key: ConnectionKey = CONNECTION) -> list[bytes]:
    """One exchange on a connection of its own."""
    return Wire(key).sends(request).receives(response).closes().frames


# HTTP


def http_request(
    target: str = "/v1/messages",
    body: bytes = b"",
    headers: Sequence[str] = (),
    method: str = "POST",
    host: str = "api.anthropic.com",
) -> bytes:
    lines = [
        f"{method} {target} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: Anthropic/Python 0.75.0",
        f"X-Api-Key: {API_KEY.decode()}",
        *headers,
    ]
    if body or method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def http_response(
    body: bytes = b"",
    status: str = "200 OK",
    headers: Sequence[str] = ("Content-Type: application/json", "Request-Id: req_011CS"),
) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def chunked_response(parts: Iterable[bytes], headers: Sequence[str] = ()) -> bytes:
    head = ["HTTP/1.1 200 OK", *headers, "Transfer-Encoding: chunked", "", ""]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return "\r\n".join(head).encode() + chunks + b"0\r\n\r\n"


# Anthropic's Messages API

Message = dict[str, Any]


def user(content: Any) -> Message:
    return {"role": "user", "content": content}


def assistant(*blocks: Message) -> Message:
    return {"role": "assistant", "content": list(blocks)}


def text(words: str) -> Message:
    return {"type": "text", "text": words}


def tool_use(tool_id: str, command: str) -> Message:
    return {"type": "tool_use", "id": tool_id, "name": "Bash", "input": {"command": command}}


def tool_result(tool_id: str, output: str) -> Message:
    return user([{"type": "tool_result", "tool_use_id": tool_id, "content": output}])


BASH = {
    "name": "Bash",
    "description": "Run a command",
    "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}},
}


def ask(messages: Sequence[Message], headers: Sequence[str] = (), **fields: Any) -> bytes:
    """A request with this message list."""
    body = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 1024,
        "system": "You are a careful engineer.",
        "messages": list(messages),
        "tools": [BASH],
        **fields,
    }
    return http_request(body=json.dumps(body).encode(), headers=headers)


def answer(*blocks: Message, message_id: str = "msg_01") -> bytes:
    """An unstreamed response."""
    calls = any(block["type"] == "tool_use" for block in blocks)
    reply = {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": list(blocks),
        "stop_reason": "tool_use" if calls else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 120, "output_tokens": 17},
    }
    return http_response(json.dumps(reply).encode())


def overloaded() -> bytes:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    return http_response(json.dumps(error).encode(), status="529 Overloaded")


def streamed_answer(words: Sequence[str], message_id: str = "msg_02") -> bytes:
    """A response as server-sent events, an HTTP chunk each."""
    events: list[dict[str, Any]] = [
        {
            "type": "message_start",
            "message": {
                "id": message_id,
                "type": "message",
                "role": "assistant",
                "content": [],
                "model": "claude-sonnet-4-5-20250929",
                "usage": {"input_tokens": 120, "output_tokens": 1},
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": text("")},
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": word},
            }
            for word in words
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 17},
        },
        {"type": "message_stop"},
    ]
    return chunked_response(
        (f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events),
        headers=("Content-Type: text/event-stream; charset=utf-8",),
    )


# Rows

_KEYS = {
    "captures": ("capture_id",),
    "sessions": ("session_id",),
    "calls": ("call_id",),
    "tool_calls": ("call_id", "tool_call_id"),
    "processes": ("process_key",),
    "contents": ("content_hash",),
    "nodes": ("node",),
    "tool_sets": ("tool_set", "position"),
    "rpc_channels": ("channel_id",),
    "rpc_messages": ("message_id",),
    "health": ("capture_id", "source", "counter", "cause"),
    "coverage": ("capture_id", "process_key", "stack", "path", "build_id"),
    "file_events": ("file_event_id",),
    "network_events": ("network_event_id",),
    "privilege_changes": ("privilege_change_id",),
    "content_sightings": ("sighting_id",),
}


def final_rows(batches: Iterable[Batch]) -> dict[str, dict[tuple[object, ...], object]]:
    """By table and key the row that a store would hold after these batches."""
    rows: dict[str, dict[tuple[object, ...], object]] = {name: {} for name in _KEYS}
    for batch in batches:
        for name, fields in _KEYS.items():
            for row in getattr(batch, name):
                rows[name][tuple(getattr(row, field) for field in fields)] = row
    return rows
