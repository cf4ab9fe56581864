"""One exchange on its way out: bytes written and counted, facts gathered for its ledger record.

In: a response chosen and rendered by `model_server`. Out: bytes on the connection, event by
event with the turn's delays (over TLS each event makes a record of its own), and the
`LedgerRecord` of what was really sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from collector.llm.model import JsonObject
from underglass.demo.compression import compressor
from underglass.demo.http_server import Connection
from underglass.demo.ledger import LedgerRecord
from underglass.demo.reply import LAST_CHUNK, Event, Rendering, Sent, chunk, personal
from underglass.demo.script import Turn

Headers = list[tuple[str, str]]

_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests"}


class Exchange:
    """One request being answered: writes its bytes, counts them, becomes a ledger record."""

    def __init__(self, number: int, unique: str, connection: Connection, received_ns: int) -> None:
        self.unique = unique
        self.created_s = int(time.time())
        self.connection = connection
        self.sent_bytes = 0
        self.first_byte_ns: int | None = None
        self.keep_alive = True
        self.record = LedgerRecord(
            exchange=number,
            connection=connection.number,
            client_port=connection.client_port,
            method="",
            target="",
            api=None,
            request_bytes=0,
            response_bytes=0,
            interim_bytes=connection.interim_bytes,
            request_body_sha256="",
            streamed=False,
            status=None,
            error_kind=None,
            error_type=None,
            request_model=None,
            model=None,
            response_id=None,
            request_id=None,
            usage=None,
            tool_calls=(),
            tool_result_ids=(),
            finish_reason=None,
            text_sha256=None,
            content_events=0,
            content_encoding=None,
            echo_token=None,
            cut=False,
            turn=None,
            received_ns=received_ns,
            first_byte_ns=None,
            ended_ns=0,
        )
        self.facts: JsonObject = {}
        connection.interim_bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Put bytes on the wire."""
        if self.first_byte_ns is None:
            self.first_byte_ns = time.monotonic_ns()
        self.connection.send(data)
        self.sent_bytes += len(data)

    def head(self, status: int, headers: Headers) -> bytes:
        """A response head; `connection: close` when this exchange is the last one."""
        self.facts["status"] = status
        if not self.keep_alive:
            headers = [*headers, ("connection", "close")]
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        reason = _REASONS.get(status, "Error")
        return f"HTTP/1.1 {status} {reason}\r\n{lines}\r\n".encode("latin-1")

    def whole(self, status: int, body: bytes, headers: Headers | None = None) -> None:
        """Write a whole JSON response."""
        length = [("content-type", "application/json"), ("content-length", str(len(body)))]
        head = self.head(status, [*length, *(headers or [])])
        self.write(head if self.facts.get("method") == "HEAD" else head + body)

    def sent(self, sent: Sent) -> None:
        """Note what the client was told."""
        self.facts |= {
            "usage": sent.usage,
            "tool_calls": sent.calls_of(self.unique),
            "finish_reason": sent.finish_reason,
            "text_sha256": sent.text_sha256,
            "content_events": sent.content_events,
        }

    def finished(self) -> LedgerRecord:
        """The record, with everything known at the end."""
        return replace(
            self.record,
            **self.facts,
            response_bytes=self.sent_bytes,
            first_byte_ns=self.first_byte_ns,
            ended_ns=time.monotonic_ns(),
        )


async def send_body(
    exchange: Exchange, event: Event, turn: Turn, coding: str | None, headers: Headers
) -> None:
    """Write a reply as one JSON body, after the whole delay of its pieces."""
    pieces = len(turn.thinking) + len(turn.text)
    delay_ms = turn.first_token_ms + turn.token_ms * max(0, pieces - 1)
    if delay_ms:
        await asyncio.sleep(delay_ms / 1000)
    if exchange.connection.closed:
        return
    body = personal(event.data, exchange.unique, exchange.created_s)
    if coding is not None:
        body = compressor(coding)(body, True)
    if turn.cut_after_events is None:
        exchange.sent(Sent.of([event]))
        exchange.whole(200, body, headers)
        return
    length = [("content-type", "application/json"), ("content-length", str(len(body)))]
    exchange.write(exchange.head(200, [*length, *headers]) + body[: len(body) // 2])
    exchange.facts |= {"error_kind": "cut", "cut": True}
    exchange.keep_alive = False


async def send_stream(
    exchange: Exchange, rendering: Rendering, turn: Turn, coding: str | None, headers: Headers
) -> None:
    """Write a reply as server-sent events, one write each, as far as the turn lets it go."""
    connection = exchange.connection
    cut = turn.cut_after_events
    exchange.write(
        exchange.head(
            200,
            [
                ("content-type", "text/event-stream; charset=utf-8"),
                ("cache-control", "no-cache"),
                ("transfer-encoding", "chunked"),
                *headers,
            ],
        )
    )
    if coding is None:
        chunks: Sequence[bytes | memoryview] = rendering.chunks(exchange.unique, exchange.created_s)
    else:
        chunks = _compressed(rendering.events, exchange, coding)
    delay_s = turn.first_token_ms / 1000
    next_delay_s = turn.token_ms / 1000
    written = 0
    try:
        for data, is_content in zip(chunks[:cut], rendering.content_flags, strict=False):
            if is_content:
                if delay_s:
                    await asyncio.sleep(delay_s)
                delay_s = next_delay_s
            if connection.paused:
                await connection.drained()
            if connection.closed:
                break
            exchange.write(data)
            written += 1
    finally:
        whole = written == len(chunks)
        exchange.sent(rendering.sent if whole else Sent.of(rendering.events[:written]))
    if not whole:
        exchange.keep_alive = False
        if not connection.closed:
            exchange.facts |= {"error_kind": "cut", "cut": True}


def _compressed(events: Sequence[Event], exchange: Exchange, coding: str) -> list[bytes]:
    """Events compressed as one body, one flushed chunk each."""
    compress = compressor(coding)
    last = len(events) - 1
    return [
        chunk(compress(personal(event.data, exchange.unique, exchange.created_s), index == last))
        + (LAST_CHUNK if index == last else b"")
        for index, event in enumerate(events)
    ]
