"""OpenAI's Responses over a WebSocket: `GET .../responses` with an upgrade.

In: the request that opens the WebSocket, and the messages of both sides. Out: which of them ask
for a response and which belong to one, to `collector.socket_calls`. Format: OpenAI's guide
"WebSocket mode" and its reference "WebSocket events", which Azure, xAI and Codex share:

    response.create  the body of a POST, without `stream` and `background`. `stream_id` names a
                     lane; those of one lane are answered in order, lanes side by side.
    response.steer   input for a response that runs, or for one that follows by itself
    response.*       the server-sent events of a POST, with the request's `stream_id`
    error            with `status` and `headers` where it refuses a request
    codex.*          beside a response, from ChatGPT's server
"""

from __future__ import annotations

import re

import orjson

from collector.http.events import Headers, RequestHead, header
from collector.llm.api import Api, SocketEvent, SocketRequest
from collector.llm.endpoint import path_of
from collector.llm.fields import dump, mapping, parse_object, word
from collector.llm.model import JsonObject
from collector.llm.openai_responses import OpenAiResponses

_PATH = re.compile(r"(?:^|/)responses$")
_TYPE = re.compile(rb'^\s*\{\s*"type"\s*:\s*"response\.create"\s*,')  # where clients put it
_TERMINAL = frozenset(
    f"response.{status}" for status in ("completed", "incomplete", "failed", "cancelled")
)
_HEADERS = 64  # of an error, that are kept


class OpenAiResponsesSocket:
    """The `SocketApi` of OpenAI's Responses."""

    api: Api = OpenAiResponses()

    def matches(self, head: RequestHead) -> bool:
        """Could the WebSocket that this request opens carry calls?"""
        if _PATH.search(path_of(head)) is None:
            return False
        upgrade = ":protocol" if head.method == "CONNECT" else "upgrade"
        return (header(head.headers, upgrade) or "").lower() == "websocket"

    def asked(self, message: bytes) -> SocketRequest | None:
        """What a client's message asks for."""
        found = _TYPE.match(message)
        if found is not None and b'"stream_id"' not in message:
            return SocketRequest(b"{" + message[found.end() :])
        event = parse_object(message)
        kind = event.pop("type", None) if event is not None else None
        if event is None or kind not in ("response.create", "response.steer"):
            return None
        lane = word(event, "stream_id")
        return SocketRequest(dump(event).encode(), lane, waits=kind == "response.steer")

    def told(self, message: bytes) -> SocketEvent | None:
        """What a server's message tells of a response."""
        try:
            event = orjson.loads(message)
        except orjson.JSONDecodeError:
            return None
        kind = event.get("type") if type(event) is dict else None
        if type(kind) is not str or kind.startswith("response.steer."):
            return None
        number = event.get("sequence_number")
        if type(number) is not int:
            number = None
        lane = word(event, "stream_id")
        if kind == "error":
            return _error(event, lane, number)
        if not kind.startswith(("response.", "codex.")):
            return None
        response = event.get("response")
        return SocketEvent(
            lane,
            word(response, "id") if type(response) is dict else None,
            number,
            kind in _TERMINAL,
        )


def _error(event: JsonObject, lane: str | None, number: int | None) -> SocketEvent:
    status = event.get("status", event.get("status_code"))
    said = mapping(event, "headers") or mapping(mapping(event, "error"), "headers")
    headers: Headers = tuple(
        (name.lower(), str(value))
        for name, value in list(said.items())[:_HEADERS]
        if type(value) in (str, int, float)
    )
    return SocketEvent(
        lane=lane,
        number=number,
        ends=True,
        refuses=number is None,
        status=status if type(status) is int and 400 <= status < 600 else None,
        headers=headers,
    )
