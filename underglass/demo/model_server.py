"""The stand-in's heart: a request, a turn of the script, a response, a line in the ledger.

In: `Request`s from `http_server`. Out: responses, event by event with the script's delays, and
one `LedgerRecord` for each request, written when its exchange ends, however it ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
import sys
import time
import traceback
from collections import OrderedDict

import orjson

from collector.llm.model import JsonObject
from underglass.demo.anthropic_api import AnthropicMessages
from underglass.demo.compression import accepted_coding
from underglass.demo.exchange import Exchange, Headers, send_body, send_stream
from underglass.demo.http_server import BadRequest, Connection, Request
from underglass.demo.ledger import LedgerWriter
from underglass.demo.openai_chat_api import OpenAiChat
from underglass.demo.openai_responses_api import OpenAiResponses
from underglass.demo.reply import (
    Api,
    ApiRequest,
    Rendering,
    Reply,
    make_reply,
    personal,
)
from underglass.demo.script import ErrorStep, Script, Turn

_ANTHROPIC = AnthropicMessages()
_CHAT = OpenAiChat()
_APIS: dict[str, Api] = {
    "/messages": _ANTHROPIC,
    "/chat/completions": _CHAT,
    "/responses": OpenAiResponses(),
}
_MAX_REMEMBERED = 4096


class ModelServer:
    """Plays a script to any number of connections and keeps the ledger."""

    def __init__(self, script: Script, ledger: LedgerWriter) -> None:
        self.script = script
        self._ledger = ledger
        self._connections: set[Connection] = set()
        self._connection_count = 0
        self._exchange_count = 0
        self._call_count = 0
        self._run = os.urandom(4).hex()
        self._renderings: dict[tuple[str, bool, Reply], Rendering] = {}
        self._error_counts: dict[bytes, int] = {}
        self._depths: OrderedDict[str, int] = OrderedDict()
        self._server: asyncio.Server | None = None

    async def listen(self, port: int, context: ssl.SSLContext | None) -> int:
        """Listen on 127.0.0.1; returns the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._connect, "127.0.0.1", port, ssl=context, backlog=1024
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self, grace_s: float = 2.0) -> None:
        """Stop listening, let running exchanges end, then cut what still runs."""
        if self._server is not None:
            self._server.close()
        running = [c.task for c in self._connections if c.busy and c.task is not None]
        if running:
            _, late = await asyncio.wait(running, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in list(self._connections):
            connection.close()
        closing = time.monotonic() + 0.25  # a client with an idle connection may not answer
        while self._connections and time.monotonic() < closing:
            await asyncio.sleep(0.005)
        self._ledger.close()

    def _connect(self) -> Connection:
        self._connection_count += 1
        return Connection(self._connection_count, self.answer, self._connections)

    async def answer(
        self, connection: Connection, request: Request | BadRequest, received_ns: int
    ) -> bool:
        """Answer one request and write its record; says whether the connection stays open."""
        self._exchange_count += 1
        number = self._exchange_count
        exchange = Exchange(number, f"{self._run}{number:016x}", connection, received_ns)
        exchange.facts["request_bytes"] = request.wire_bytes
        try:
            if isinstance(request, BadRequest):
                exchange.keep_alive = False
                exchange.facts["error_kind"] = "malformed"
                error = ErrorStep(status=request.status, message=request.message)
                body = _ANTHROPIC.error_body(error)
                exchange.whole(request.status, personal(body, exchange.unique, 0))
            else:
                await self._route(exchange, request)
        except asyncio.CancelledError:
            exchange.facts |= {"error_kind": "cut", "cut": True}
            raise
        except Exception:
            traceback.print_exc(file=sys.stderr)
            exchange.keep_alive = False
            exchange.facts |= {"error_kind": "cut", "cut": True}
        finally:
            if connection.closed and not exchange.facts.get("cut"):
                exchange.facts |= {"error_kind": "client_gone", "cut": True}
            self._ledger.write(exchange.finished())
        return exchange.keep_alive

    async def _route(self, exchange: Exchange, request: Request) -> None:
        exchange.keep_alive = request.keep_alive
        exchange.facts |= {
            "method": request.method,
            "target": request.target,
            "request_body_sha256": hashlib.sha256(request.body).hexdigest(),
        }
        path = "/" + request.target.partition("?")[0].strip("/").removeprefix("v1").lstrip("/")
        api = _APIS.get(path)
        try:
            if request.method in ("GET", "HEAD") and path.partition("/models")[0] == "":
                exchange.facts["api"] = "models"
                self._models(exchange, path, "anthropic-version" in request.headers)
            elif request.method == "POST" and path == "/messages/count_tokens":
                exchange.facts["api"] = "anthropic.count_tokens"
                exchange.facts["request_model"] = orjson.loads(request.body)["model"]
                tokens = max(1, len(request.body) // 4)
                exchange.whole(200, orjson.dumps({"input_tokens": tokens}))
            elif request.method == "POST" and api is not None:
                exchange.facts["api"] = api.name
                await self._call(exchange, request, api, api.read(orjson.loads(request.body)))
            else:
                self._refuse(exchange, _CHAT, ErrorStep(404, message=f"no such route: {path}"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if exchange.sent_bytes:
                raise
            message = f"cannot read the request: {type(error).__name__}: {error}"
            self._refuse(exchange, api or _CHAT, ErrorStep(400, message=message))

    def _refuse(
        self, exchange: Exchange, api: Api, error: ErrorStep, headers: Headers | None = None
    ) -> None:
        exchange.facts |= {"error_kind": "http_error", "error_type": api.error_type(error)}
        body = personal(api.error_body(error), exchange.unique, exchange.created_s)
        exchange.whole(error.status, body, headers)

    def _models(self, exchange: Exchange, path: str, anthropic: bool) -> None:
        def card(model: str) -> JsonObject:
            if anthropic:
                return {
                    "type": "model",
                    "id": model,
                    "display_name": model,
                    "created_at": "2025-01-01T00:00:00Z",
                }
            return {"id": model, "object": "model", "created": 0, "owned_by": "stand-in"}

        wanted = path.removeprefix("/models").strip("/")
        cards = [card(model) for model in self.script.models]
        if wanted:
            cards = [card for card in cards if card["id"] == wanted]
            if not cards:
                api = _ANTHROPIC if anthropic else _CHAT
                self._refuse(exchange, api, ErrorStep(404, message=f"no such model: {wanted}"))
                return
            exchange.whole(200, orjson.dumps(cards[0]))
            return
        page: JsonObject = {"object": "list", "data": cards}
        if anthropic:
            ends = {"first_id": cards[0]["id"], "last_id": cards[-1]["id"]} if cards else {}
            page = {"data": cards, "has_more": False, **ends}
        exchange.whole(200, orjson.dumps(page))

    async def _call(
        self, exchange: Exchange, request: Request, api: Api, asked: ApiRequest
    ) -> None:
        """Answer a model call: choose the turn, make it ready, send it."""
        depth = self._depths.get(asked.previous_response_id or "", 0) + asked.turn_number
        index = self.script.turn_index(depth, self._call_count, asked.last_user_text)
        self._call_count += 1
        turn = self.script.turns[index]
        token = self.script.echo_token(asked.last_user_text)
        request_id = f"req_{exchange.unique}"
        exchange.facts |= {
            "request_model": asked.model,
            "tool_result_ids": asked.tool_result_ids,
            "echo_token": token,
            "turn": index,
            "request_id": request_id,
        }
        headers = [(api.request_id_header, request_id), *turn.headers]
        if self.script.rate_limits is not None:
            headers += api.rate_limit_headers(self.script.rate_limits)
        error = self._error_due(turn, request)
        if error is not None and (error.after_events is None or not asked.stream):
            if error.retry_after_s is not None:
                headers.append(("retry-after", f"{error.retry_after_s:g}"))
            self._refuse(exchange, api, error, headers)
            return
        echoes = turn.echoes
        reply = make_reply(turn.with_echo(token or "none") if echoes else turn, self.script, asked)
        response_id = f"{api.response_id_prefix}{exchange.unique}"
        exchange.facts |= {
            "model": reply.model,
            "response_id": response_id,
            "streamed": asked.stream,
        }
        if api.name == "openai.responses":
            self._remember(response_id, depth + 1)
        coding = accepted_coding(reply.turn.compress, request.headers)
        if coding is not None:
            headers.append(("content-encoding", coding))
            exchange.facts["content_encoding"] = coding
        if not asked.stream:
            await send_body(exchange, api.body(reply), reply.turn, coding, headers)
            return
        rendering = self._rendering(api, reply, cached=not echoes)
        if error is not None:
            exchange.facts |= {"error_kind": "stream_error", "error_type": api.error_type(error)}
            kept = rendering.events[: error.after_events]
            rendering = Rendering([*kept, api.error_event(error, reply)])
        await send_stream(exchange, rendering, reply.turn, coding, headers)

    def _error_due(self, turn: Turn, request: Request) -> ErrorStep | None:
        """The turn's error, if this body has not met it often enough yet."""
        error = turn.error
        if error is None or not error.times:
            return error
        digest = hashlib.sha256(request.body).digest()
        met = self._error_counts.pop(digest, 0)
        if met >= error.times:
            return None
        self._error_counts[digest] = met + 1
        return error

    def _remember(self, response_id: str, depth: int) -> None:
        self._depths[response_id] = depth
        if len(self._depths) > _MAX_REMEMBERED:
            self._depths.popitem(last=False)

    def _rendering(self, api: Api, reply: Reply, cached: bool) -> Rendering:
        if not cached or reply.previous_response_id is not None:
            return Rendering(api.stream(reply))
        key = (api.name, reply.include_usage, reply)
        rendering = self._renderings.get(key)
        if rendering is None:
            if len(self._renderings) >= _MAX_REMEMBERED:
                self._renderings.clear()
            rendering = self._renderings[key] = Rendering(api.stream(reply))
        return rendering
