"""What agents say on their connections: exchanges of several APIs, by number, over every protocol.

The number of an exchange is in every word of it (`ask-3`, `word-3`), so that what was joined out
of two of them shows.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from h2.config import H2Configuration
from h2.connection import H2Connection

from probes.events import Direction
from tests.collector.http import websockets
from tests.frames import (
    answer,
    ask,
    chunked_response,
    http_request,
    http_response,
    overloaded,
    streamed_answer,
    text,
    tool_use,
    user,
)

WRITE, READ = Direction.WRITE, Direction.READ
Step = tuple[Direction, bytes]  # what one side sends before the other one answers
WORDS = 6


class Http(NamedTuple):
    """An exchange, apart from the protocol that carries it. `parts`: of the response's body."""

    host: str
    target: str
    request: bytes
    parts: Sequence[bytes]
    content_type: str
    status: int = 200
    coding: str = ""


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _words(number: int) -> list[str]:
    return [f"word-{number} " for _ in range(WORDS)]


def _event(value: Any) -> bytes:
    name = f"event: {value['type']}\n" if "type" in value else ""
    return f"{name}data: {json.dumps(value)}\n\n".encode()


def _body(message: bytes) -> bytes:
    return message.partition(b"\r\n\r\n")[2]


# One exchange of each API


def messages(number: int) -> Http:
    request = _body(ask([user(f"ask-{number}")]))
    reply = answer(
        text("".join(_words(number))),
        tool_use(f"toolu-{number}", f"make word-{number}"),
        message_id=f"msg-{number}",
    )
    return Http("api.anthropic.com", "/v1/messages", request, [_body(reply)], "application/json")


def streamed_messages(number: int) -> Http:
    request = _body(ask([user(f"ask-{number}")], stream=True))
    chunked = _body(streamed_answer(_words(number), f"msg-{number}"))
    parts = [b"event: " + part for part in _unchunked(chunked).split(b"event: ")[1:]]
    return Http("api.anthropic.com", "/v1/messages", request, parts, "text/event-stream")


def _unchunked(data: bytes) -> bytes:
    parts = []
    while size := int(data[: (line_end := data.index(b"\r\n"))], 16):
        parts.append(data[line_end + 2 : line_end + 2 + size])
        data = data[line_end + 4 + size :]
    return b"".join(parts)


def streamed_messages_in_gzip(number: int) -> Http:
    encoder = zlib.compressobj(wbits=31)
    plain = streamed_messages(number)
    parts = [encoder.compress(part) + encoder.flush(zlib.Z_SYNC_FLUSH) for part in plain.parts]
    return plain._replace(parts=[*parts, encoder.flush()], coding="gzip")


def messages_in_gzip(number: int) -> Http:
    plain = messages(number)
    return plain._replace(parts=[gzip.compress(plain.parts[0], mtime=0)], coding="gzip")


def overload(number: int) -> Http:
    plain = messages(number)
    return plain._replace(parts=[_body(overloaded())], status=529)


def chat(number: int) -> Http:
    asked = {"model": "gpt-5", "stream": True, "messages": [user(f"ask-{number}")]}
    head = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "model": "gpt-5"}
    chunks = [
        {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": word}}]}
        for word in _words(number)
    ]
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10 + number, "completion_tokens": WORDS, "total_tokens": 16 + number}
    parts = [_event(one) for one in chunks]
    parts += [_event({**head, "choices": [end]}), _event({**head, "choices": [], "usage": usage})]
    return Http(
        "api.openai.com",
        "/v1/chat/completions",
        _json(asked),
        [*parts, b"data: [DONE]\n\n"],
        "text/event-stream",
    )


def response_events(number: int) -> list[dict[str, Any]]:
    content = [{"type": "output_text", "text": "".join(_words(number))}]
    message = {"type": "message", "id": f"msg-{number}", "role": "assistant", "content": content}
    usage = {"input_tokens": 10, "output_tokens": WORDS, "total_tokens": 10 + WORDS}
    response = {"id": f"resp-{number}", "object": "response", "model": "gpt-5"}
    ended = {**response, "status": "completed", "output": [message], "usage": usage}
    place = {"output_index": 0, "item_id": f"msg-{number}"}
    deltas = [
        {"type": "response.output_text.delta", **place, "content_index": 0, "delta": word}
        for word in _words(number)
    ]
    return [
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", **place, "item": {**message, "content": []}},
        *deltas,
        {"type": "response.output_item.done", **place, "item": message},
        {"type": "response.completed", "response": ended},
    ]


def responses(number: int) -> Http:
    asked = {"model": "gpt-5", "stream": True, "input": [user(f"ask-{number}")]}
    parts = [_event(one) for one in response_events(number)]
    return Http("api.openai.com", "/v1/responses", _json(asked), parts, "text/event-stream")


def gemini(number: int) -> Http:
    asked = {"contents": [{"role": "user", "parts": [{"text": f"ask-{number}"}]}]}
    chunks = [
        {"candidates": [{"content": {"role": "model", "parts": [{"text": word}]}, "index": 0}]}
        for word in _words(number)
    ]
    usage = {"promptTokenCount": 10, "candidatesTokenCount": WORDS, "totalTokenCount": 10 + WORDS}
    last = {
        "candidates": [{"content": {"role": "model", "parts": []}, "finishReason": "STOP"}],
        "usageMetadata": usage,
        "responseId": f"r-{number}",
    }
    documents = [_json(one) for one in (*chunks, last)]
    parts = [b"[" + documents[0], *(b",\r\n" + one for one in documents[1:]), b"]"]
    target = "/v1beta/models/gemini-2.5-pro:streamGenerateContent"
    host = "generativelanguage.googleapis.com"
    return Http(host, target, _json(asked), parts, "application/json")


def ollama(number: int) -> Http:
    asked = {"model": "llama3.2", "messages": [user(f"ask-{number}")]}
    head = {"model": "llama3.2", "created_at": "2026-01-01T00:00:00Z"}
    lines = [
        {**head, "message": {"role": "assistant", "content": word}, "done": False}
        for word in _words(number)
    ]
    end = {
        **head,
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 10,
        "eval_count": WORDS,
    }
    parts = [_json(one) + b"\n" for one in (*lines, end)]
    return Http("127.0.0.1:11434", "/api/chat", _json(asked), parts, "application/x-ndjson")


Api = Callable[[int], Http]
APIS: tuple[Api, ...] = (
    *(messages, streamed_messages, streamed_messages_in_gzip, messages_in_gzip, overload),
    *(chat, responses, gemini, ollama),
)


# Protocols


def over_http1(exchanges: Iterable[Http]) -> list[Step]:
    """One after the other on a kept connection."""
    steps: list[Step] = []
    for one in exchanges:
        headers = [f"Content-Type: {one.content_type}"]
        if one.coding:
            headers.append(f"Content-Encoding: {one.coding}")
        if len(one.parts) > 1:
            reply = chunked_response(one.parts, headers)
        else:
            reply = http_response(one.parts[0], f"{one.status} Reason", headers)
        steps.append((WRITE, http_request(one.target, one.request, host=one.host)))
        steps.append((READ, reply))
    return steps


def over_http2(exchanges: Sequence[Http]) -> list[Step]:
    """All at once: requests first, then the parts of all answers in turn."""
    client = H2Connection(H2Configuration(client_side=True))
    server = H2Connection(H2Configuration(client_side=False))
    client.initiate_connection()
    server.initiate_connection()
    steps: list[Step] = []

    def exchange() -> None:
        while True:
            sent, answered = client.data_to_send(), server.data_to_send()
            if sent:
                steps.append((WRITE, sent))
                server.receive_data(sent)
            if answered:
                steps.append((READ, answered))
                client.receive_data(answered)
            if not sent and not answered:
                return

    for number, one in enumerate(exchanges):
        stream = 2 * number + 1
        head = {
            ":method": "POST",
            ":scheme": "https",
            ":authority": one.host,
            ":path": one.target,
            "content-type": "application/json",
        }
        client.send_headers(stream, list(head.items()))
        client.send_data(stream, one.request, end_stream=True)
        exchange()
        reply = {":status": str(one.status), "content-type": one.content_type}
        if one.coding:
            reply["content-encoding"] = one.coding
        server.send_headers(stream, list(reply.items()))
    for turn in zip_longest(*(one.parts for one in exchanges)):
        for number, part in enumerate(turn):
            if part is not None:
                last = part is exchanges[number].parts[-1]
                server.send_data(2 * number + 1, part, end_stream=last)
        exchange()
    exchange()
    return steps


def over_websocket(numbers: Iterable[int]) -> list[Step]:
    """Calls of OpenAI's Responses API in WebSocket mode."""
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    opening = http_request("/v1/responses", b"", upgrade, "GET", "api.openai.com")
    agreed = "Sec-WebSocket-Extensions: permessage-deflate"
    switching = ["HTTP/1.1 101 Switching Protocols", *upgrade[:2], agreed, "", ""]
    steps: list[Step] = [(WRITE, opening), (READ, "\r\n".join(switching).encode())]
    deflater = websockets.Deflater()
    for number in numbers:
        asked = {"type": "response.create", "model": "gpt-5", "input": [user(f"ask-{number}")]}
        steps.append((WRITE, websockets.frame(_json(asked), mask=websockets.MASK)))
        events = [deflater.frame(_json(one)) for one in response_events(number)]
        steps.append((READ, b"".join(events)))
    return steps
