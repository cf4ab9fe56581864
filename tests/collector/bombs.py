"""Bombs: small inputs that mean much. `python -m tests.collector.bombs NAME...` runs them through
the whole pipeline and prints as JSON lines what each cost and what was stored."""

from __future__ import annotations

import gzip
import json
import os
import resource
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

import brotli  # type: ignore[import-untyped]
import hpack

from collector.pipeline import Pipeline
from collector.redaction import Redactor
from probes import frames
from probes.events import Direction
from tests.collector.http.http2_traffic import PREFACE
from tests.frames import INFO, SALT, Wire, answer, ask, final_rows, http_request, text, user

MIB = 1 << 20
FRAME_BYTES = 16 << 10  # what the kernel sends at most in one frame
WIRE_BYTES = 10 * MIB
Steps = Iterable[tuple[Direction, bytes]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a bomb did. `peak_bytes` beyond what the process had before; `statuses` of the calls
    in order, the last one of a call that followed on another connection."""

    seconds: float
    peak_bytes: int
    wire_bytes: int
    statuses: list[str]
    complete: list[bool]
    undecoded_bytes: dict[str, int]


def _response(body: Iterable[bytes], *headers: str) -> Iterator[bytes]:
    yield "\r\n".join(["HTTP/1.1 200 OK", *headers, "Transfer-Encoding: chunked", "", ""]).encode()
    for part in body:
        yield b"%x\r\n%s\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


def _json(*headers: str) -> tuple[str, ...]:
    return ("Content-Type: application/json", *headers)


def _stream(*headers: str) -> tuple[str, ...]:
    return ("Content-Type: text/event-stream", *headers)


# Content codings


def _deflated(wrapper: bytes) -> Iterator[bytes]:
    """One deflate stream of `WIRE_BYTES` that inflates to a thousand times as much."""
    encoder = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    block = encoder.compress(bytes(16 * MIB)) + encoder.flush(zlib.Z_FULL_FLUSH)
    yield wrapper
    for _ in range(WIRE_BYTES // len(block) + 1):
        yield block


def _gzip() -> Iterator[bytes]:
    return _deflated(b"\x1f\x8b\x08" + bytes(6) + b"\xff")


def _zstd() -> Iterator[bytes]:
    """A frame of blocks that repeat one byte 128 KiB times (RFC 8878 section 3.1.1.2)."""
    yield b"\x28\xb5\x2f\xfd\x00\x58"
    block = struct.pack("<I", (128 << 10) << 3 | 1 << 1)[:3] + b"a"
    yield block * (WIRE_BYTES // len(block))


def _brotli() -> Iterator[bytes]:
    encoder = brotli.Compressor(quality=5, lgwin=24)
    zeros = bytes(16 * MIB)
    for _ in range(20):
        yield encoder.process(zeros)
    yield encoder.finish()


def _coded(body: Iterable[bytes], coding: str) -> Iterator[bytes]:
    parts = (part[at : at + MIB] for part in body for at in range(0, len(part), MIB))
    return _response(parts, *_stream(f"Content-Encoding: {coding}"))


def _twice(inner: Iterable[bytes]) -> Iterator[bytes]:
    yield gzip.compress(b"".join(inner), 1)


# Text


_EVENT = b'event: a\ndata: {"type": "content_block_delta", "x": "'


def _endless_event() -> Iterator[bytes]:
    yield _EVENT
    for _ in range(80):
        yield b"a" * MIB


def _many_lines() -> Iterator[bytes]:
    for _ in range(80):
        yield b"data: a\n" * (MIB // 8)


def _deep(opening: bytes, closing: bytes, count: int = 1_000_000) -> bytes:
    return opening * count + closing * count


def _tool_arguments() -> Iterator[bytes]:
    """Arguments of a tool call, nested too deep, in pieces."""
    block = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}
    begin = {"type": "content_block_start", "index": 0, "content_block": block}
    yield b"data: %s\n\n" % json.dumps({"type": "message_start", "message": {"id": "m"}}).encode()
    yield b"data: %s\n\n" % json.dumps(begin).encode()
    for part in ("[" * 100_000, "]" * 100_000):
        delta = {"type": "input_json_delta", "partial_json": part}
        event = {"type": "content_block_delta", "index": 0, "delta": delta}
        for _ in range(10):
            yield b"data: %s\n\n" % json.dumps(event).encode()
    yield b'data: {"type": "content_block_stop", "index": 0}\n\n'


def _endless_header() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nx: "
    for _ in range(40):
        yield b"a" * MIB


def _endless_chunk_line() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;"
    for _ in range(40):
        yield b"a" * MIB


def _whole(body: bytes) -> bytes:
    head = "\r\n".join(["HTTP/1.1 200 OK", *_json(f"Content-Length: {len(body)}"), "", ""])
    return head.encode() + body


def _nested_request(messages: bytes) -> bytes:
    body = b'{"model": "m", "max_tokens": 1, "messages": %s}' % messages
    return http_request(body=body)


# Streams of other providers


def _gemini(body: Iterable[bytes]) -> Steps:
    asked = json.dumps({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}).encode()
    target, host = (
        "/v1beta/models/gemini-2.5-pro:streamGenerateContent",
        "generativelanguage.googleapis.com",
    )
    yield Direction.WRITE, http_request(target, asked, host=host)
    yield Direction.READ, b"".join(_response(body, *_json()))


def _ollama(body: Iterable[bytes]) -> Steps:
    asked = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
    yield Direction.WRITE, http_request("/api/chat", asked, host="127.0.0.1:11434")
    yield Direction.READ, b"".join(_response(body, "Content-Type: application/x-ndjson"))


def _bedrock(body: Iterable[bytes]) -> Steps:
    asked = json.dumps({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}).encode()
    target, host = "/model/m/converse-stream", "bedrock-runtime.us-east-1.amazonaws.com"
    yield Direction.WRITE, http_request(target, asked, host=host)
    yield (
        Direction.READ,
        b"".join(_response(body, "Content-Type: application/vnd.amazon.eventstream")),
    )


def _without_end(begin: bytes) -> Iterator[bytes]:
    yield begin
    for _ in range(80):
        yield b"a" * MIB


def _vast_message() -> bytes:
    prelude = struct.pack(">II", 0xFFFFFFF0, 0)
    return prelude + struct.pack(">I", zlib.crc32(prelude))


# HTTP/2

_REQUEST = [
    (":method", "POST"),
    (":path", "/v1/messages"),
    (":scheme", "https"),
    (":authority", "api.anthropic.com"),
]


def _http2(frames_read: Iterable[bytes], frames_written: Iterable[bytes] = ()) -> Steps:
    """A call on stream 1, and what follows."""
    body = ask([user("a")], stream=True).partition(b"\r\n\r\n")[2]
    head = hpack.Encoder().encode(_REQUEST)
    settings = _frame(4, 0, 0, b"")
    begin = PREFACE + settings + _frame(1, 4, 1, head) + _frame(0, 1, 1, body)
    yield Direction.WRITE, b"".join([begin, *frames_written])
    yield Direction.READ, b"".join([settings, *frames_read])


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


def _references() -> Iterator[bytes]:
    """A field of 4 kB, and a million fields of one byte that refer to it."""
    field = b"\x40\x01a\x7f" + _hpack_length(4000) + b"b" * 4000
    yield _frame(1, 0, 1, b"\x88" + field)
    for _ in range(64):
        yield _frame(9, 0, 1, b"\xbe" * FRAME_BYTES)
    yield _frame(9, 4, 1, b"\xbe")
    yield _frame(0, 1, 1, b"{}")


def _hpack_length(size: int) -> bytes:
    size -= 127
    return bytes([size & 0x7F | 0x80, size >> 7])


def _continuations() -> Iterator[bytes]:
    yield _frame(1, 0, 1, b"\x88")
    for _ in range(40 * 64):
        yield _frame(9, 0, 1, b"\x00\x01a\x7f" + _hpack_length(4000) + b"b" * 4000)


def _many_streams() -> Iterator[bytes]:
    """Each begins a body of another call."""
    head = hpack.Encoder().encode(_REQUEST)
    for number in range(3, 10_001, 2):
        yield _frame(1, 4, number, head)


# WebSockets

_UPGRADE = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")


def _web_socket(messages: Iterable[bytes]) -> Steps:
    host = "api.openai.com"
    yield Direction.WRITE, http_request("/v1/responses", b"", _UPGRADE, "GET", host)
    extension = "Sec-WebSocket-Extensions: permessage-deflate"
    switching = ["HTTP/1.1 101 Switching Protocols", *_UPGRADE[:2], extension, "", ""]
    yield Direction.READ, "\r\n".join(switching).encode()
    asked = {"type": "response.create", "model": "gpt-5", "input": "hi"}
    yield Direction.WRITE, _message(json.dumps(asked).encode(), mask=True)
    yield Direction.READ, b"".join(messages)


def _message(payload: bytes, first: int = 0x81, *, mask: bool = False) -> bytes:
    head = bytes([first, mask << 7 | 127]) + len(payload).to_bytes(8, "big")
    return head + (bytes(4) if mask else b"") + payload


def _fragments() -> Iterator[bytes]:
    yield _message(b'{"type": "', 0x01)
    for _ in range(80):
        yield _message(b"a" * MIB, 0x00)


def _messages_api(response: Iterable[bytes]) -> Steps:
    yield Direction.WRITE, ask([user("a")], stream=True)
    yield Direction.READ, b"".join(response)


def _asks(request: bytes) -> Steps:
    yield Direction.WRITE, request
    yield Direction.READ, answer(text("b"))


INCOMPLETE: dict[str, Callable[[], Steps]] = {
    "gzip": lambda: _messages_api(_coded(_gzip(), "gzip")),
    "deflate": lambda: _messages_api(_coded(_deflated(b"\x78\x9c"), "deflate")),
    "br": lambda: _messages_api(_coded(_brotli(), "br")),
    "zstd": lambda: _messages_api(_coded(_zstd(), "zstd")),
    "gzip in gzip": lambda: _messages_api(_coded(_twice(_gzip()), "gzip, gzip")),
    "zstd in gzip": lambda: _messages_api(_coded(_twice(_zstd()), "zstd, gzip")),
    "an event without end": lambda: _messages_api(_response(_endless_event(), *_stream())),
    "an event of many lines": lambda: _messages_api(_response(_many_lines(), *_stream())),
    "nested events": lambda: _messages_api(
        _response(
            [b"data: ", _deep(b"[", b"]"), b"\n\ndata: ", _deep(b'{"a":', b"}"), b"\n\n"],
            *_stream(),
        )
    ),
    "nested tool arguments": lambda: _messages_api(_response(_tool_arguments(), *_stream())),
    "nested JSON": lambda: _messages_api([_whole(b'{"content": ' + _deep(b"[", b"]") + b"}")]),
    "a header without end": lambda: _messages_api(_endless_header()),
    "a chunk line without end": lambda: _messages_api(_endless_chunk_line()),
    "an array's element without end": lambda: _gemini(_without_end(b'[{"candidates": "')),
    "a nested array": lambda: _gemini([b"[", _deep(b"[", b"]"), b"]"]),
    "a line without end": lambda: _ollama(_without_end(b'{"message": "')),
    "an event stream's vast message": lambda: _bedrock(_without_end(_vast_message())),
    "HPACK references": lambda: _http2(_references()),
    "continuations without end": lambda: _http2(_continuations()),
    "a WebSocket's message that inflates": lambda: _web_socket(
        [_message(b"".join(_deflated(b"")), 0xC1)]
    ),
    "a WebSocket's message without end": lambda: _web_socket(_fragments()),
    "a WebSocket's vast frame": lambda: _web_socket(
        [b"\x81\x7f" + (1 << 62).to_bytes(8, "big"), *_without_end(b"")]
    ),
}
COMPLETE: dict[str, Callable[[], Steps]] = {
    "a request nested as deep as parsers go": lambda: _asks(
        _nested_request(b"[%s]" % _deep(b"[", b"]", 1000))
    ),
}
MORE: dict[str, Callable[[], Steps]] = {
    "a request nested deeper": lambda: _asks(_nested_request(_deep(b"[", b"]"))),
    "streams without end": lambda: _http2((), _many_streams()),
}


def detonate(name: str) -> Outcome:
    """Run one bomb, then an ordinary call beside it."""
    wire = Wire()
    for direction, data in {**INCOMPLETE, **COMPLETE, **MORE}[name]():
        cuts = range(FRAME_BYTES, len(data), FRAME_BYTES)
        (wire.sends if direction == Direction.WRITE else wire.receives)(data, cuts)
    wire.closes()
    other = Wire(wire.key._replace(epoch=2), at=wire.at)
    other.sends(ask([user("c")])).receives(answer(text("d"))).closes()
    return run([*wire.frames, *other.frames])


def run(captured: list[bytes]) -> Outcome:
    """Frames through redaction and pipeline, measured."""
    redactor = Redactor(SALT, bodies=False)
    pipeline = Pipeline(INFO, redactor.redact_text)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    batches = []
    for number, one in enumerate(captured):
        pipeline.feed(redactor.frame(one))
        if number % 100 == 0:
            batches.append(pipeline.take())
    batches.append(pipeline.finish())
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    rows = final_rows(batches)
    calls = sorted(rows["calls"].values(), key=lambda row: row.started_ns)  # type: ignore[attr-defined]
    return Outcome(
        seconds,
        peak << 10,
        sum(len(one) - frames.PLAIN_DATA_OFFSET for one in captured),
        [row.status for row in calls],  # type: ignore[attr-defined]
        [row.complete for row in calls],  # type: ignore[attr-defined]
        dict(pipeline._http.undecoded_bytes),
    )


def main() -> None:
    """Run the bombs that are named, each in a fork, whose memory begins as it was."""
    for name in sys.argv[1:]:
        child = os.fork()
        if not child:
            print(json.dumps([name, asdict(detonate(name))]), flush=True)
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
