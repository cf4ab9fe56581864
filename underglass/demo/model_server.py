"""The stand-in's heart: a request, a turn of the script, a response, a line in the ledger.

In: `Request`s from `connection`. Out: responses, event by event with the script's delays, and
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
from dataclasses import replace
from typing import Any

import orjson

from underglass.demo.anthropic_api import AnthropicMessages
from underglass.demo.bedrock_api import TARGET as BEDROCK_TARGET
from underglass.demo.bedrock_api import BedrockConverse, BedrockErrors, BedrockInvoke
from underglass.demo.catalogue import page_of, speaks_gemini
from underglass.demo.channel import Channel, Headers
from underglass.demo.cohere_api import CohereChat, CohereEmbed, CohereErrors, CohereRerank
from underglass.demo.compression import accepted_coding
from underglass.demo.connection import Connection
from underglass.demo.exchange import Exchange, send_body, send_stream
from underglass.demo.gemini_api import TARGET as GEMINI_TARGET
from underglass.demo.gemini_api import CodeAssist, Gemini
from underglass.demo.http_server import BadRequest, Request
from underglass.demo.ledger import LedgerWriter
from underglass.demo.ollama_api import OllamaChat, OllamaGenerate
from underglass.demo.openai_chat_api import OpenAiChat
from underglass.demo.openai_media_api import OpenAiImageEdit, OpenAiTranscription, form_of
from underglass.demo.openai_responses_api import OpenAiResponses
from underglass.demo.openai_text_api import OpenAiCompletions, OpenAiEmbeddings
from underglass.demo.reply import (
    Api,
    ApiRequest,
    Rendering,
    Reply,
    make_reply,
    opening_of,
    personal,
)
from underglass.demo.script import ErrorStep, Script, Turn, TurnUsage
from underglass.demo.vertex_api import TARGET as VERTEX_TARGET
from underglass.demo.vertex_api import VertexAnthropic

_ANTHROPIC = AnthropicMessages()
_CONVERSE, _INVOKE = BedrockConverse(), BedrockInvoke()
_CHAT = OpenAiChat()
_GEMINI = Gemini()
_CODE_ASSIST = CodeAssist()
_VERTEX_ANTHROPIC = VertexAnthropic()
_OLLAMA = OllamaChat()
_APIS: dict[str, Api] = {
    "/messages": _ANTHROPIC,
    "/chat/completions": _CHAT,
    "/responses": OpenAiResponses(),
    "/embeddings": OpenAiEmbeddings(),
    "/completions": OpenAiCompletions(),
    "/v2/chat": CohereChat(),
    "/v2/embed": CohereEmbed(),
    "/v2/rerank": CohereRerank(),
    "/audio/transcriptions": OpenAiTranscription(),
    "/images/edits": OpenAiImageEdit(),
    "/api/chat": _OLLAMA,
    "/api/generate": OllamaGenerate(),
}
_NAME_NO_MODEL = (BedrockConverse, CohereErrors)  # in their responses
_MAX_REMEMBERED = 4096
_NOTHING_USED = TurnUsage(input_tokens=0)


class ModelServer:
    """Plays a script to any number of connections and keeps the ledger.

    `http2`: off, auto or only, see `Connection`.
    """

    def __init__(
        self, script: Script, ledger: LedgerWriter, connections: LedgerWriter, http2: str = "off"
    ) -> None:
        self.script = script
        self._ledger = ledger
        self._connection_ledger = connections
        self._http2 = http2
        self._connections: set[Connection] = set()
        self._connection_count = 0
        self._exchange_count = 0
        self._call_count = 0
        self._run = os.urandom(4).hex()
        self._renderings: dict[tuple[Api, Reply], Rendering] = {}
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
        for connection in list(self._connections):
            connection.go_away()
        running = [task for connection in self._connections for task in connection.tasks]
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
        for connection in list(self._connections):
            connection.abort()
        while self._connections:
            await asyncio.sleep(0)
        self._ledger.close()
        self._connection_ledger.close()

    def _connect(self) -> Connection:
        self._connection_count += 1
        return Connection(
            self._connection_count,
            self.answer,
            self._connections,
            self._connection_ledger.write,
            self._http2,
        )

    async def answer(
        self, channel: Channel, request: Request | BadRequest, received_ns: int
    ) -> bool:
        """Answer one request and write its record; says whether the connection stays open."""
        self._exchange_count += 1
        number = self._exchange_count
        exchange = Exchange(number, f"{self._run}{number:016x}", channel, received_ns)
        exchange.facts["request_bytes"] = request.wire_bytes
        try:
            if isinstance(request, BadRequest):
                channel.keep_alive = False
                exchange.facts["error_kind"] = "malformed"
                error = ErrorStep(status=request.status, message=request.message)
                body = _ANTHROPIC.error_body(error)
                await exchange.whole(request.status, personal(body, exchange.unique, 0))
            else:
                await self._route(exchange, request)
        except asyncio.CancelledError:
            exchange.facts |= {"error_kind": "cut", "cut": True}
            raise
        except Exception:
            traceback.print_exc(file=sys.stderr)
            channel.keep_alive = False
            exchange.facts |= {"error_kind": "cut", "cut": True}
        finally:
            if channel.closed and not exchange.facts.get("cut"):
                exchange.facts |= {"error_kind": "client_gone", "cut": True}
            self._ledger.write(exchange.finished())
        return channel.keep_alive

    async def _route(self, exchange: Exchange, request: Request) -> None:
        exchange.channel.keep_alive = request.keep_alive
        exchange.facts |= {
            "method": request.method,
            "target": request.target,
            "request_body_bytes": len(request.body),
            "request_body_sha256": hashlib.sha256(request.body).hexdigest(),
        }
        api = _api_of(request)
        try:
            page = page_of(request, self.script.models)
            if page is not None:
                exchange.facts |= {
                    "api": page.api,
                    "request_model": page.request_model,
                    "model": page.model,
                    "usage": page.usage,
                }
                if isinstance(page.body, str):
                    text = page.body.encode()
                    await exchange.whole(200, text, content_type="text/plain; charset=utf-8")
                elif page.body is not None:
                    await exchange.whole(200, orjson.dumps(page.body))
                else:
                    message = f"no such model: {page.request_model}"
                    await self._refuse(exchange, api, ErrorStep(404, message=message))
            elif exchange.channel.transport == "websocket":
                exchange.facts["api"] = api.name
                asked = replace(api.read(orjson.loads(request.body), request.target), stream=True)
                previous = asked.previous_response_id
                if previous is None or previous in self._depths:
                    await self._call(exchange, request, api, asked)
                else:
                    exchange.facts["request_model"] = asked.model
                    await self._refuse(exchange, api, _not_found(previous))
            elif request.method == "POST" and _is_call(request):
                exchange.facts["api"] = api.name
                asked = api.read(_body_of(request), request.target)
                await self._call(exchange, request, api, asked)
            elif _opens_socket(request):
                await self._upgrade(exchange, request)
            else:
                message = f"no such route: {request.target}"
                await self._refuse(exchange, api, ErrorStep(404, message=message))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if exchange.channel.sent_bytes:
                raise
            message = f"cannot read the request: {type(error).__name__}: {error}"
            await self._refuse(exchange, api, ErrorStep(400, message=message))

    async def _upgrade(self, exchange: Exchange, request: Request) -> None:
        try:
            from underglass.demo.websocket import ResponsesSocket, handshake
        except ModuleNotFoundError as error:
            absent = ErrorStep(404, message=f"WebSockets need the package {error.name}")
            await self._refuse(exchange, _api_of(request), absent)
            return
        headers, deflate = handshake(request)
        exchange.facts["status"] = 101
        await exchange.channel.begin(101, headers, length=None)
        exchange.channel.speaker = lambda wire, answer: ResponsesSocket(
            wire, answer, request, deflate
        )

    async def _refuse(
        self, exchange: Exchange, api: Api, error: ErrorStep, headers: Headers | None = None
    ) -> None:
        exchange.facts |= {"error_kind": "http_error", "error_type": api.error_type(error)}
        body = personal(api.error_body(error), exchange.unique, exchange.created_s)
        if isinstance(api, BedrockErrors):
            headers = [*(headers or ()), ("x-amzn-errortype", api.error_type(error))]
        await exchange.whole(error.status, body, headers)

    async def _call(
        self, exchange: Exchange, request: Request, api: Api, asked: ApiRequest
    ) -> None:
        """Answer a model call: choose the turn, make it ready, send it."""
        depth = self._depths.get(asked.previous_response_id or "", 0) + asked.turn_number
        index = self.script.turn_index(
            depth, self._call_count, asked.last_user_text, opening_of(request.body)
        )
        self._call_count += 1
        turn = self.script.turns[index] if asked.generate else Turn(usage=_NOTHING_USED)
        token = self.script.echo_token(asked.last_user_text)
        request_id = f"req_{exchange.unique}"
        exchange.facts |= {
            "request_model": asked.model,
            "tool_result_ids": asked.tool_result_ids,
            "echo_token": token,
            "turn": index if asked.generate else None,
        }
        headers = [*turn.headers]
        if api.request_id_header is not None and exchange.channel.transport == "http":
            exchange.facts["request_id"] = request_id
            headers.append((api.request_id_header, request_id))
        if self.script.rate_limits is not None:
            headers += api.rate_limit_headers(self.script.rate_limits)
        error = self._error_due(turn, request)
        if error is not None and (error.after_events is None or not asked.stream):
            if error.retry_after_s is not None:
                headers.append(("retry-after", f"{error.retry_after_s:g}"))
            await self._refuse(exchange, api, replace(error, after_events=None), headers)
            return
        echoes = turn.echoes
        reply = make_reply(turn.with_echo(token or "none") if echoes else turn, self.script, asked)
        unnamed = isinstance(api, _NAME_NO_MODEL)
        exchange.facts |= {"model": None if unnamed else reply.model, "streamed": asked.stream}
        response_id = f"{api.response_id_prefix}{exchange.unique}"
        if api.response_id_prefix is not None:
            exchange.facts["response_id"] = response_id
        if api.name == "openai.responses":
            self._remember(response_id, depth + asked.generate)
        coding = accepted_coding(reply.turn.compress, request.headers)
        if asked.stream and asked.framing == "eventstream":
            coding = None
        if exchange.channel.transport == "websocket":
            coding = None
        if coding is not None:
            headers.append(("content-encoding", coding))
            exchange.facts["content_encoding"] = coding
        if not asked.stream:
            await send_body(exchange, api.body(reply), reply.turn, coding, headers)
            return
        rendering = self._rendering(api, reply, cached=not echoes)
        if error is not None:
            exchange.facts |= {"error_kind": "stream_error", "error_type": api.error_type(error)}
            kept = rendering.events[:-1][: error.after_events]  # never after the last event
            rendering = Rendering([*kept, api.error_event(error, reply)])
        await send_stream(exchange, rendering, reply.turn, coding, headers, framing=asked.framing)

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
        key = (api, reply)
        rendering = self._renderings.get(key)
        if rendering is None:
            if len(self._renderings) >= _MAX_REMEMBERED:
                self._renderings.clear()
            rendering = self._renderings[key] = Rendering(api.stream(reply))
        return rendering


def _path(request: Request) -> str:
    path = "/" + request.target.partition("?")[0].strip("/")
    return path.removeprefix("/v1") if path.startswith("/v1/") else path


def _body_of(request: Request) -> Any:
    content_type = request.headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        return form_of(content_type, request.body)
    return orjson.loads(request.body)


def _opens_socket(request: Request) -> bool:
    wanted = request.headers.get("upgrade", "").lower() == "websocket"
    return wanted and request.method == "GET" and _path(request) == "/responses"


def _not_found(response_id: str) -> ErrorStep:
    message = f"Previous response with id '{response_id}' not found."
    return ErrorStep(400, type="previous_response_not_found", message=message)


def _is_call(request: Request) -> bool:
    path = _path(request)
    targets = (GEMINI_TARGET, VERTEX_TARGET, BEDROCK_TARGET)
    return path in _APIS or any(target.fullmatch(path) for target in targets)


def _api_of(request: Request) -> Api:
    """The API that a request speaks, as far as its target and headers say."""
    path = _path(request)
    if path in _APIS:
        return _APIS[path]
    if path.startswith("/api/"):
        return _OLLAMA
    bedrock = BEDROCK_TARGET.fullmatch(path)
    if bedrock is not None:
        return _CONVERSE if bedrock["converse"] else _INVOKE
    google = _google_api(path)
    if google is not None:
        return google
    if speaks_gemini(request) or "/publishers/google/" in path:
        return _GEMINI
    return _ANTHROPIC if "anthropic-version" in request.headers else _CHAT


def _google_api(path: str) -> Api | None:
    """The API of a path that names a method."""
    if VERTEX_TARGET.fullmatch(path):
        return _VERTEX_ANTHROPIC
    if GEMINI_TARGET.fullmatch(path):
        return _CODE_ASSIST if "/v1internal:" in path else _GEMINI
    return None
