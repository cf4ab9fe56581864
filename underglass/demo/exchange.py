"""One exchange on its way out: what is sent, when, and the facts for its ledger record.

In: a response chosen and rendered by `model_server`. Out: head and body on a `Channel`, event
by event with the turn's delays (over TLS each event makes a record of its own), and the
`LedgerRecord` of what was really sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from collector.llm.model import JsonObject
from underglass.demo.bedrock_api import bedrock_message
from underglass.demo.channel import Channel, Headers
from underglass.demo.compression import compressor
from underglass.demo.ledger import LedgerRecord
from underglass.demo.reply import LAST_CHUNK, Event, Piece, Rendering, Sent, chunk, personal
from underglass.demo.script import Turn

_CONTENT_TYPES = {
    "sse": "text/event-stream; charset=utf-8",
    "ndjson": "application/x-ndjson",
    "json_array": "application/json; charset=UTF-8",
    "eventstream": "application/vnd.amazon.eventstream",
}


class Exchange:
    """One request being answered, which becomes a ledger record."""

    def __init__(self, number: int, unique: str, channel: Channel, received_ns: int) -> None:
        self.unique = unique
        self.created_s = int(time.time())
        self.channel = channel
        self.record = LedgerRecord(
            exchange=number,
            connection=channel.connection.number,
            client_port=channel.connection.client_port,
            http_version=channel.http_version,
            stream_id=channel.stream_id,
            method="",
            target="",
            api=None,
            request_bytes=0,
            response_bytes=0,
            interim_bytes=channel.interim_bytes,
            request_body_bytes=0,
            request_body_sha256="",
            response_body_bytes=0,
            response_body_sha256="",
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
            transport=channel.transport,
        )
        self.facts: JsonObject = {}

    async def whole(
        self,
        status: int,
        body: bytes,
        headers: Headers | None = None,
        *,
        content_type: str = "application/json",
    ) -> bool:
        """Send a whole response; was all of it sent?"""
        self.facts["status"] = status
        return await self.channel.begin(
            status,
            [("content-type", content_type), *(headers or [])],
            length=len(body),
            body=b"" if self.facts.get("method") == "HEAD" else body,
            ended=True,
        )

    async def half(self, body: bytes, headers: Headers) -> None:
        """Announce a whole JSON response and send half of it."""
        self.facts |= {"status": 200, "error_kind": "cut", "cut": True}
        self.channel.keep_alive = False
        json_type = ("content-type", "application/json")
        await self.channel.begin(
            200, [json_type, *headers], length=len(body), body=body[: len(body) // 2]
        )

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
            response_bytes=self.channel.sent_bytes,
            response_body_bytes=self.channel.body_bytes,
            response_body_sha256=self.channel.body_hash.hexdigest(),
            first_byte_ns=self.channel.first_byte_ns,
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
    if exchange.channel.closed:
        return
    body = personal(event.data, exchange.unique, exchange.created_s)
    if coding is not None:
        body = compressor(coding)(body, True)
    if turn.cut_after_events is None:
        if await exchange.whole(200, body, headers):
            exchange.sent(Sent.of([event]))
    else:
        await exchange.half(body, headers)


async def send_stream(
    exchange: Exchange,
    rendering: Rendering,
    turn: Turn,
    coding: str | None,
    headers: Headers,
    *,
    framing: str = "sse",
) -> None:
    """Send a reply as a stream, one write an event, as far as the turn lets it go."""
    channel = exchange.channel
    cut = turn.cut_after_events
    exchange.facts["status"] = 200
    content_type = ("content-type", _CONTENT_TYPES[framing])
    no_cache = ("cache-control", "no-cache")
    await channel.begin(200, [content_type, no_cache, *headers], length=None)
    if framing == "eventstream":
        pieces = _messages(rendering.events, exchange)
    elif coding is None:
        pieces = rendering.pieces(exchange.unique, exchange.created_s)
    else:
        pieces = _compressed(rendering.events, exchange, coding)
    last = len(pieces) - 1
    delay_s = turn.first_token_ms / 1000
    next_delay_s = turn.token_ms / 1000
    written = 0
    try:
        for piece, is_content in zip(pieces[:cut], rendering.content_flags, strict=False):
            if is_content:
                if delay_s:
                    await asyncio.sleep(delay_s)
                delay_s = next_delay_s
            if not await channel.send(piece, written == last):
                break
            written += 1
    finally:
        whole = written == len(pieces)
        exchange.sent(rendering.sent if whole else Sent.of(rendering.events[:written]))
    if not whole:
        channel.keep_alive = False
        if not channel.closed:
            exchange.facts |= {"error_kind": "cut", "cut": True}


def _messages(events: Sequence[Event], exchange: Exchange) -> list[Piece]:
    """Events of Bedrock's APIs as messages, one chunk each."""
    pieces: list[Piece] = []
    for number, event in enumerate(events, 1):
        data = bedrock_message(personal(event.data, exchange.unique, exchange.created_s))
        pieces.append(Piece(chunk(data) + (LAST_CHUNK if number == len(events) else b""), data))
    return pieces


def _compressed(events: Sequence[Event], exchange: Exchange, coding: str) -> list[Piece]:
    """Events compressed as one body, one flushed chunk each."""
    compress = compressor(coding)
    pieces: list[Piece] = []
    for number, event in enumerate(events, 1):
        last = number == len(events)
        data = compress(personal(event.data, exchange.unique, exchange.created_s), last)
        pieces.append(Piece(chunk(data) + (LAST_CHUNK if last else b""), data))
    return pieces
