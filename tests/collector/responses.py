"""OpenAI's Responses as clients and servers of the tests say them, over HTTP and WebSockets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Self

from collector.rows import Batch
from probes.events import ConnectionKey
from tests.collector.http.websockets import MASK, frame
from tests.collector.test_calls import Tracked
from tests.frames import CONNECTION, http_request, http_response

Item = dict[str, Any]
UPGRADE = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


def said(role: str, words: str) -> Item:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": words}]}


def shell(call_id: str, command: str) -> Item:
    arguments = json.dumps({"command": command})
    return {"type": "function_call", "call_id": call_id, "name": "shell", "arguments": arguments}


def result(call_id: str, output: str) -> Item:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def body(items: Sequence[Item], **fields: Any) -> Item:
    return {"model": "gpt-5", "instructions": "Be careful.", "input": list(items), **fields}


def response(response_id: str, output: Sequence[Item], status: str = "completed") -> Item:
    return {
        "id": response_id,
        "object": "response",
        "status": status,
        "model": "gpt-5-2026-01-01",
        "output": list(output),
        "usage": {"input_tokens": 20, "output_tokens": 5} if status == "completed" else None,
    }


def ask(items: Sequence[Item], **fields: Any) -> bytes:
    """A request over HTTP."""
    return http_request("/v1/responses", json.dumps(body(items, **fields)).encode())


def answer(response_id: str, *output: Item) -> bytes:
    """An unstreamed response over HTTP."""
    return http_response(json.dumps(response(response_id, output)).encode())


def create(items: Sequence[Item], **fields: Any) -> bytes:
    """A request over a WebSocket, as the frame that carries it."""
    message = {"type": "response.create", **body(items, **fields)}
    return frame(json.dumps(message).encode(), mask=MASK)


def events(response_id: str, *output: Item, **fields: Any) -> list[bytes]:
    """A response over a WebSocket, a frame each event."""
    began = response(response_id, [], "in_progress")
    told: list[Item] = [{"type": "response.created", "response": began}]
    for index, item in enumerate(output):
        told.append({"type": "response.output_item.added", "output_index": index, "item": item})
        for part in item.get("content", ()):
            delta = {"output_index": index, "content_index": 0, "delta": part["text"]}
            told.append({"type": "response.output_text.delta", **delta})
        told.append({"type": "response.output_item.done", "output_index": index, "item": item})
    told.append({"type": "response.completed", "response": response(response_id, output)})
    return [
        frame(json.dumps({**event, "sequence_number": number, **fields}).encode())
        for number, event in enumerate(told)
    ]


def error(status: int, **fields: Any) -> bytes:
    """A refusal over a WebSocket."""
    detail = {"type": "invalid_request_error", "code": "some_code", "message": "No."}
    event = {"type": "error", "status": status, "error": detail, **fields}
    return frame(json.dumps(event).encode())


class Socketed(Tracked):
    """A WebSocket for Responses, opened at 1000 and 2000 ns."""

    def __init__(self) -> None:
        super().__init__()
        self.sends(http_request("/v1/responses", headers=UPGRADE, method="GET"))
        self.receives(SWITCHING)
        assert self.tracker.take().calls == []

    def receive_all(self, frames: Sequence[bytes], key: ConnectionKey = CONNECTION) -> Self:
        for data in frames:
            self.receives(data, key)
        return self


class Stored:
    """Batches as a store holds them."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str | None, str]] = {}
        self._bodies: dict[str, Any] = {}

    def add(self, batch: Batch) -> Batch:
        for node in batch.nodes:
            self._parents[node.node] = (node.parent_node, node.content_hash)
        for row in batch.contents:
            assert row.body is not None
            self._bodies[row.content_hash] = json.loads(row.body)
        return batch

    def list_of(self, leaf: str | None) -> list[Any]:
        """The messages that a leaf names."""
        found: list[Any] = []
        while leaf is not None:
            leaf, content_hash = self._parents[leaf]
            found.insert(0, self._bodies[content_hash])
        return found
