"""The ledger: what the stand-in really received and sent, one JSON line an exchange.

In: `model_server` writes a `LedgerRecord` when an exchange ends (ledger.jsonl), `connection` a
`ConnectionRecord` when a connection is gone (connections.jsonl). Out: tests and benchmarks
read them back and hold them against what underglass reports. Bytes are plaintext HTTP bytes
counted where they are read and written; times are CLOCK_MONOTONIC nanoseconds, the clock of
the kernel's `bpf_ktime_get_ns`. Records stand in the order in which exchanges ended.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import orjson

from collector.llm.model import Usage


@dataclass(frozen=True, slots=True)
class SentToolCall:
    """A tool call that was sent whole. `arguments` is the joined JSON text."""

    tool_call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class LedgerRecord:
    """One exchange, as far as it went.

    `api`: anthropic.messages, anthropic.vertex, anthropic.count_tokens, openai.chat,
    openai.responses, openai.embeddings, openai.completions, openai.transcriptions,
    openai.image_edits, bedrock.converse, bedrock.invoke, cohere.chat, cohere.embed, cohere.rerank,
    gemini, gemini.embeddings, gemini.count_tokens, ollama.chat, ollama.generate,
    ollama.embeddings, models, or None for a target that is no API. `usage`, `tool_calls`,
    `finish_reason` and the text hold only what was put on the wire, in the API's own words (for
    openai.responses the finish reason is the status, or the reason of `incomplete_details`); a
    usage number that the API did not carry is None, and so is a response or request id of an API
    that has none; the id of a tool call without one is empty. `tool_result_ids` are all that the
    request holds, old ones included (for gemini and ollama the tool's name where there is no id).
    `error_kind`: http_error, stream_error, cut (by script), client_gone, malformed; `error_type`
    is the provider's word (for ollama, which has none, the script's HTTP status).
    `transport`: http, or websocket for a `response.create` on one, whose sizes are those of the
    messages. The upgrade is a record of its own; control frames are in none.
    `interim_bytes` are those of `100 Continue`, not in `response_bytes`.
    `http_version`: 1.1 or 2; `stream_id` is HTTP/2's. `request_bytes` and `response_bytes` hold
    head and framing: over HTTP/2 the stream's HEADERS, CONTINUATION and DATA frames. The body's
    bytes and digests are those without chunk or frame headers, with content coding; what was
    sent of a response, when it was cut.
    """

    exchange: int
    connection: int
    client_port: int
    http_version: str
    stream_id: int | None
    method: str
    target: str
    api: str | None
    request_bytes: int
    response_bytes: int
    interim_bytes: int
    request_body_bytes: int
    request_body_sha256: str
    response_body_bytes: int
    response_body_sha256: str
    streamed: bool
    status: int | None
    error_kind: str | None
    error_type: str | None
    request_model: str | None
    model: str | None
    response_id: str | None
    request_id: str | None
    usage: Usage | None
    tool_calls: tuple[SentToolCall, ...]
    tool_result_ids: tuple[str, ...]
    finish_reason: str | None
    text_sha256: str | None
    content_events: int
    content_encoding: str | None
    echo_token: str | None
    cut: bool
    turn: int | None
    received_ns: int
    first_byte_ns: int | None
    ended_ns: int
    transport: str = "http"


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """One connection, whole: every plaintext byte in each direction, as the server saw it.

    `http_version` is None when no request began. `alpn`, `tls_version` (TLSv1.3) and `cipher`
    (OpenSSL's name) are None over plain TCP. When the client left early, the last bytes of what
    was sent may not have reached it. `error` is why the connection broke, if it did.
    """

    connection: int
    client_port: int
    http_version: str | None
    alpn: str | None
    tls_version: str | None
    cipher: str | None
    received_bytes: int
    received_sha256: str
    sent_bytes: int
    sent_sha256: str
    error: str | None
    opened_ns: int
    closed_ns: int


class LedgerWriter:
    """Appends records to a file, one `write` each, so that a reader never sees half a line."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)

    def write(self, record: LedgerRecord | ConnectionRecord) -> None:
        """Append one record."""
        os.write(self._fd, orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        """Force the records to disk and close the file."""
        os.fsync(self._fd)
        os.close(self._fd)


def read_ledger(path: Path) -> list[LedgerRecord]:
    """All records of a ledger file."""
    return [_record(line) for line in path.read_bytes().splitlines()]


def read_connections(path: Path) -> list[ConnectionRecord]:
    """All records of a file of connections."""
    return [ConnectionRecord(**orjson.loads(line)) for line in path.read_bytes().splitlines()]


def _record(line: bytes) -> LedgerRecord:
    table = orjson.loads(line)
    if table["usage"] is not None:
        table["usage"] = Usage(**table["usage"])
    table["tool_calls"] = tuple(SentToolCall(**call) for call in table["tool_calls"])
    table["tool_result_ids"] = tuple(table["tool_result_ids"])
    return LedgerRecord(**table)
