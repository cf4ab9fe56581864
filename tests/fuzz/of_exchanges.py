"""Harnesses of whole exchanges: bodies in well-formed HTTP, up to rows; and messages of sockets."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from collector.llm.registry import PROVIDERS, SOCKETS
from collector.pipeline import Pipeline
from collector.redaction import Redactor
from collector.rows import CallRow
from probes.events import Direction
from tests.frames import INFO, SALT, Wire, chunked_response, final_rows, http_request
from tests.fuzz.of_captures import OrderChecker
from tests.fuzz.of_llm import MEDIA_TYPES
from tests.fuzz.steps import parsed, pieces

_CHAT = "/v1/chat/completions"
ENDPOINTS = (  # method, target, host
    ("POST", "/v1/messages", "api.anthropic.com"),
    ("POST", _CHAT, "api.openai.com"),
    ("POST", "/v1/responses", "api.openai.com"),
    ("POST", "/v1beta/models/gemini-2.5-pro:streamGenerateContent", "localhost"),
    ("POST", "/api/chat", "127.0.0.1:11434"),
    ("POST", "/model/m/converse-stream", "bedrock-runtime.us-east-1.amazonaws.com"),
    ("POST", "/mcp", "tools.example"),
    ("GET", "/sse", "tools.example"),
    ("DELETE", "/mcp", "tools.example"),
    ("GET", "/.well-known/agent-card.json", "agent.example"),
    ("POST", "/v1/message:stream", "agent.example"),
    ("GET", "/v1/models", "api.openai.com"),
    ("POST", "/v1/messages/count_tokens", "api.anthropic.com"),
    ("POST", "/v1/messages/batches", "api.anthropic.com"),
    ("GET", "/v1/messages/batches/msgbatch_1/results", "api.anthropic.com"),
    ("POST", "/v1/files", "api.openai.com"),
    ("POST", "/v1/audio/transcriptions", "api.openai.com"),
    ("POST", "/v1/embeddings", "api.openai.com"),
)
BETWEEN = b"\n--8<--\n"  # the request's body and the response's
_REQUEST_TYPES = ("application/json", 'multipart/form-data; boundary="b-1"', "application/x-ndjson")


def exchange(raw: bytes) -> None:
    """Two exchanges on one connection; choices are the endpoint, the types, and whether something
    is lost."""
    source = parsed(raw)
    asked, _, said = source.data.partition(BETWEEN)
    method, target, host = ENDPOINTS[source.choice(0) % len(ENDPOINTS)]
    media_type = MEDIA_TYPES[source.choice(1) % len(MEDIA_TYPES)]
    request_type = _REQUEST_TYPES[source.choice(1) // 16 % len(_REQUEST_TYPES)]
    headers = [f"Content-Type: {request_type}", "Accept: application/json, text/event-stream"]
    wire = Wire()
    lost = source.choice(2)
    for _ in range(2):
        request = http_request(target, asked, headers, method, host)
        reply = chunked_response(
            pieces(said, source.choices[3:]), [f"Content-Type: {media_type}", "Mcp-Session-Id: s"]
        )
        wire.sends(request, range(0, len(request), 300))
        if lost & 1 and wire.positions[Direction.READ] == 0:
            at = len(reply) * lost // 256
            wire.receives(reply[:at]).loses(Direction.READ, len(reply[at : at + lost]))
            wire.receives(reply[at + lost :], range(0, len(reply), 200))
        else:
            wire.receives(reply, range(0, len(reply), 200))
    _stored(wire.closes(), whole=not lost & 1)


def _stored(wire: Wire, *, whole: bool) -> None:
    redactor = Redactor(SALT)
    stages = Pipeline(INFO, redactor.redact_text)
    checker = OrderChecker(stages._connections.observer)
    stages._connections.observer = checker
    for one in wire.frames:
        stages.feed(redactor.frame(one))
    rows = final_rows([stages.finish()])
    found: list[CallRow] = sorted(rows["calls"].values(), key=lambda row: row.started_ns)  # type: ignore[arg-type]
    assert all(row.status in ("ok", "error", "incomplete") for row in found)
    if not whole and found and found[0].lost_bytes:
        assert not found[0].complete
    if whole:
        assert redactor.blanked_bytes or all(not row.lost_bytes for row in found)
    if not stages._connections.ignored:
        assert checker.accounted_bytes(stages._http) == stages._streams.delivered_bytes


def socket_messages(raw: bytes) -> None:
    """A message of a WebSocket, from either side, as each API reads it."""
    data = parsed(raw).data
    for socket in SOCKETS:
        asked, told = socket.asked(data), socket.told(data)
        assert asked is None or type(asked.body) is bytes
        assert asked is None or asked.lane is None or type(asked.lane) is str
        if told is not None:
            assert told.lane is None or type(told.lane) is str
            assert told.response_id is None or type(told.response_id) is str
            assert told.number is None or type(told.number) is int
            assert told.status is None or type(told.status) is int
            assert all(type(text) is str for field in told.headers for text in field)


def provider_requests(raw: bytes) -> None:
    """What a request that infers nothing says, and its answer, as each kind reads them."""
    asked, answer = (_loaded(part) for part in _two(parsed(raw).data))
    for provider in PROVIDERS:
        for kind in provider.requests:
            facts = kind.read(asked if isinstance(asked, dict) else {}, answer)
            if facts is None:
                continue
            for word in (facts.model, facts.batch_id, facts.batch_status):
                assert word is None or type(word) is str
            for number in (facts.counted_tokens, facts.item_count):
                assert number is None or 0 <= number < 1 << 63


def _two(data: bytes) -> Iterator[bytes]:
    asked, _, answer = data.partition(BETWEEN)
    yield asked
    yield answer or asked


def _loaded(data: bytes) -> object:
    try:
        found: object = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return found
