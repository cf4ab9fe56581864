"""Between scripts and wire formats: what an API module gets, what it makes.

In: a parsed request body and a turn of the script. Out: `Event`s, each the bytes of one
server-sent event (or line of a stream, or the whole JSON body) with what it tells the client,
so that the ledger can say exactly what had been sent when a stream was cut. Replies that differ
only in their ids are rendered once: ids hold `UNIQUE`, times `CREATED` or `CREATED_AT`, and
these are replaced in the bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import orjson

from collector.llm.model import JsonObject, Usage
from underglass.demo.ledger import SentToolCall
from underglass.demo.script import ErrorStep, RateLimits, Script, ToolStep, Turn

UNIQUE = "@response-unique-24chars"
CREATED = 4_000_000_007
CREATED_AT = "4000-01-01T00:00:07Z"
_UNIQUE = UNIQUE.encode()
_CREATED = b":%d" % CREATED
_CREATED_AT = CREATED_AT.encode()

_SHELL_TOOLS = (
    "bash",
    "shell",
    "exec_command",
    "shell_command",
    "run_shell_command",
    "execute_command",
    "terminal",
)


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """What the stand-in needs from a request body.

    `turn_number` counts the assistant's turns already in it; `tools` are the offered ones as
    (name, JSON schema of the arguments). `framing` of a stream: sse, ndjson, json_array (one
    array, an element an event), or eventstream (Bedrock's). `generate`: False asks for no output.
    """

    model: str
    stream: bool
    turn_number: int
    last_user_text: str
    tools: tuple[tuple[str, JsonObject], ...]
    tool_result_ids: tuple[str, ...]
    include_usage: bool = True
    previous_response_id: str | None = None
    framing: str = "sse"
    generate: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """A turn made ready for one API. `tools` are (name, arguments as JSON text)."""

    turn: Turn
    tools: tuple[tuple[str, str], ...]
    model: str
    include_usage: bool = True
    previous_response_id: str | None = None
    framing: str = "sse"


@dataclass(frozen=True, slots=True)
class Event:
    """Bytes to send and what they complete. `content`: do they carry generated content?"""

    data: bytes
    content: bool = False
    text: str = ""
    tool_calls: tuple[SentToolCall, ...] = ()
    usage: Usage | None = None
    finish_reason: str | None = None


class Api(Protocol):
    """One wire format. A prefix or header that the provider does not have is None."""

    @property
    def name(self) -> str:
        """The API's name in the ledger."""

    @property
    def response_id_prefix(self) -> str | None:
        """What response ids begin with."""

    @property
    def request_id_header(self) -> str | None:
        """The response header that carries the request's id."""

    def read(self, body: JsonObject, target: str) -> ApiRequest:
        """Read a request body; some APIs say part of the request in its target."""

    def body(self, reply: Reply) -> Event:
        """The whole reply as one JSON body."""

    def stream(self, reply: Reply) -> list[Event]:
        """The reply as server-sent events."""

    def error_body(self, error: ErrorStep) -> bytes:
        """The JSON body of an HTTP error."""

    def error_event(self, error: ErrorStep, reply: Reply) -> Event:
        """The event that breaks a stream off."""

    def error_type(self, error: ErrorStep) -> str:
        """The provider's word for the error."""

    def rate_limit_headers(self, limits: RateLimits) -> list[tuple[str, str]]:
        """Rate limits under the provider's header names."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a number of events told the client, for the ledger."""

    text_sha256: str | None = None
    content_events: int = 0
    tool_calls: tuple[SentToolCall, ...] = ()
    usage: Usage | None = None
    finish_reason: str | None = None

    @classmethod
    def of(cls, events: Sequence[Event]) -> Sent:
        """Fold events; later usage replaces earlier usage."""
        text = "".join(event.text for event in events)
        usages = [event.usage for event in events if event.usage is not None]
        finishes = [event.finish_reason for event in events if event.finish_reason is not None]
        return cls(
            text_sha256=hashlib.sha256(text.encode()).hexdigest() if text else None,
            content_events=sum(event.content for event in events),
            tool_calls=tuple(call for event in events for call in event.tool_calls),
            usage=usages[-1] if usages else None,
            finish_reason=finishes[-1] if finishes else None,
        )

    def calls_of(self, unique: str) -> tuple[SentToolCall, ...]:
        """The tool calls with the ids of one response."""
        return tuple(
            SentToolCall(call.tool_call_id.replace(UNIQUE, unique), call.name, call.arguments)
            for call in self.tool_calls
        )


class Piece(NamedTuple):
    """A piece of a body: as an HTTP/1.1 chunk, and without framing."""

    framed: bytes | memoryview
    payload: bytes | memoryview


class Rendering:
    """Events framed as HTTP chunks in one block of bytes, ready for any number of responses."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = tuple(events)
        self.sent = Sent.of(self.events)
        self.content_flags = tuple(event.content for event in self.events)
        framed = [chunk(event.data) for event in self.events]
        if framed:
            framed[-1] += LAST_CHUNK
        self._block = b"".join(framed)
        self._bounds: list[tuple[int, int, int, int]] = []  # of the chunk, of its payload
        start = 0
        for part, event in zip(framed, self.events, strict=True):
            payload = start + part.index(b"\r\n") + 2
            self._bounds.append((start, start + len(part), payload, payload + len(event.data)))
            start += len(part)

    def pieces(self, unique: str, created_s: int) -> list[Piece]:
        """The pieces of one response; the last one's chunk ends the body."""
        block = memoryview(personal(self._block, unique, created_s))
        return [Piece(block[a:b], block[c:d]) for a, b, c, d in self._bounds]


LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """An HTTP/1.1 chunk (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def personal(data: bytes, unique: str, created_s: int) -> bytes:
    """Rendered bytes with the ids and the time of one response; their length stays the same."""
    data = data.replace(_UNIQUE, unique.encode()).replace(_CREATED, b":%d" % created_s)
    if _CREATED_AT in data:
        created_at = datetime.fromtimestamp(created_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        data = data.replace(_CREATED_AT, created_at.encode())
    return data


def sse(payload: JsonObject, event: str | None = None) -> bytes:
    """One server-sent event."""
    data = orjson.dumps(payload)
    if event is None:
        return b"data: %b\n\n" % data
    return b"event: %b\ndata: %b\n\n" % (event.encode(), data)


def argument_pieces(arguments: str) -> list[str]:
    """A tool call's JSON text in several pieces, as models stream it."""
    size = max(8, -(-len(arguments) // 6))
    return [arguments[i : i + size] for i in range(0, len(arguments), size)]


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or the JSON text of its parts."""
    return content if isinstance(content, str) else orjson.dumps(content).decode()


def opening_of(body: bytes) -> str:
    """What a request's messages say before a model first answers; "" where none are found."""
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    asked = asked.get("request", asked) if isinstance(asked, dict) else {}
    for key in ("messages", "input", "contents"):
        items = asked.get(key) if isinstance(asked, dict) else None
        if isinstance(items, list):
            answers = [n for n, item in enumerate(items) if not _is_word(item)]
            words = items[: answers[0]] if answers else items
            return "".join(value for item in words for value in _strings(item))
    return ""


def _is_word(item: Any) -> bool:
    return isinstance(item, dict) and item.get("role") not in (None, "assistant", "model")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def make_reply(turn: Turn, script: Script, request: ApiRequest) -> Reply:
    """Make a turn ready: its tools as they are offered, its text when none is."""
    if turn.tools and not request.tools:
        turn = Turn(
            text=(script.toolless_text,),
            usage=turn.usage,
            first_token_ms=turn.first_token_ms,
            token_ms=turn.token_ms,
        )
    return Reply(
        turn=turn,
        tools=tuple(_offered(step, request.tools) for step in turn.tools),
        model=script.model or request.model,
        include_usage=request.include_usage,
        previous_response_id=request.previous_response_id,
        framing=request.framing,
    )


def _offered(step: ToolStep, tools: Sequence[tuple[str, JsonObject]]) -> tuple[str, str]:
    """A tool step as (name, arguments): a shell command takes the form of the offered tool."""
    if step.shell is None:
        return step.name, step.arguments
    for name, schema in tools:
        if name.lower() not in _SHELL_TOOLS:
            continue
        properties = schema.get("properties", {})
        arguments: JsonObject = {}
        if "cmd" in properties:
            arguments["cmd"] = step.shell
        elif properties.get("command", {}).get("type") == "array":
            arguments["command"] = ["bash", "-lc", step.shell]
        else:
            arguments["command"] = step.shell
        if "description" in schema.get("required", ()):
            arguments["description"] = "Run a shell command"
        return name, orjson.dumps(arguments).decode()
    return "bash", orjson.dumps({"command": step.shell}).decode()
