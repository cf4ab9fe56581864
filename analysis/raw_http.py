"""Where the raw data of a call is, and its exchange as lines.

In: a `Reader` and a call; a `RawExchange`. Out: the path of its capture's raw data, or why there is
none; lines of (text, style word) for the command line and the dashboard: head, name, dim, warn.
Captured text is made printable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from analysis.cells import printable
from analysis.reading import Reader
from collector.raw_data import raw_path
from collector.store_errors import QueryFailed

if TYPE_CHECKING:
    from collector.raw_exchange import RawExchange, RawMessage, WantedCall

RawStyle = Literal["", "head", "name", "dim", "warn"]
Line = tuple[tuple[str, RawStyle], ...]

MAX_LINE_CHARS = 4_000
_CAPTURE = """
SELECT llm_call.pid, llm_call.ended_ns, capture.capture_id, capture.raw_path, capture.command
FROM llm_call LEFT JOIN capture USING (capture_id)
WHERE call_id = $call_id
"""
_KNOWN = (
    *("protocol", "host", "http_status", "api", "request_model", "provider_request_id"),
    *("request_bytes", "response_bytes", "local_address", "remote_address", "tls_stack"),
    *("rate_limits", "error_type", "error_message"),
)
KEEP_HINT = "to keep it next time: underglass run --keep-raw -- COMMAND (or attach --keep-raw)"


@dataclass(frozen=True, slots=True)
class RawPlace:
    """`path` is None when there is no raw data; then `why`."""

    wanted: WantedCall
    path: Path | None
    why: str = ""


def raw_place(reader: Reader, call_id: str) -> RawPlace:
    """Where the raw data of a call is. Raises QueryFailed when there is no such call."""
    found = reader.rows(_CAPTURE, {"call_id": call_id}).rows
    if not found:
        raise QueryFailed(f"no call {call_id}", hint="`underglass calls` lists the calls")
    pid, ended_ns, capture_id, told, command = found[0]
    from collector.raw_exchange import WantedCall

    wanted = WantedCall(call_id, pid, ended_ns)
    path = None if capture_id is None else raw_path(reader.path, capture_id, told)
    if path is not None:
        return RawPlace(wanted, path)
    if told:
        return RawPlace(wanted, None, f"the raw data of its capture is gone: {told}")
    of = "its capture" if command is None else f"its capture (`{command}`)"
    return RawPlace(wanted, None, f"no raw data of {of} was kept")


def known_lines(call: Any) -> Iterator[Line]:
    """What the store knows of the exchange, where there is no raw data."""
    for name in _KNOWN:
        value = call.get(name)
        if value is None:
            continue
        if name == "rate_limits" and isinstance(value, dict):
            for key, each in value.items():
                if key != "limits":
                    yield ((printable(f"{key}: "), "name"), (_shown(str(each)), ""))
            continue
        yield ((f"{name}: ", "name"), (_shown(str(value)), ""))


def exchange_lines(exchange: RawExchange) -> Iterator[Line]:
    """Request and response: line, header fields, body."""
    yield ((f"request, {exchange.protocol}", "head"),)
    yield from _message(exchange.request)
    yield ((("", ""),))
    if exchange.response is None:
        yield (("no response was seen", "warn"),)
        return
    yield ((f"response, {exchange.protocol}", "head"),)
    yield from _message(exchange.response)


def _message(message: RawMessage) -> Iterator[Line]:
    if message.start_line:
        yield ((_shown(message.start_line), ""),)
    for name, value in message.headers:
        yield ((_shown(f"{name}: "), "name"), (_shown(value), ""))
    yield ((("", ""),))
    if message.coding:
        undone = "could not be undone" if message.coding_failed else "undone here"
        yield ((_shown(f"content coding {message.coding}, {undone}"), "dim"),)
    for line in body_text(message).split("\n"):
        yield ((_shown(line), ""),)
    if len(message.body) < message.body_bytes:
        yield ((f"… {message.body_bytes - len(message.body):,} more bytes", "warn"),)
    if not message.complete:
        yield (("the message is not whole: it was cut, or bytes of it were lost", "warn"),)


def body_text(message: RawMessage) -> str:
    """The body as text; of one that is none, how long it is."""
    body = message.body
    if b"\0" in body[:4096]:
        return f"({message.body_bytes:,} bytes that are no text)"
    return printable(body.decode("utf-8", "replace"))


def _shown(text: str) -> str:
    text = printable(text).replace("\n", "␊")
    if len(text) <= MAX_LINE_CHARS:
        return text
    return f"{text[:MAX_LINE_CHARS]}… ({len(text) - MAX_LINE_CHARS:,} more characters)"
