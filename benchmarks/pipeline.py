"""Throughput of the whole pipeline on one core: `python -m benchmarks.pipeline [--profile CASE]`.

Each case is a capture of one connection as frames, taken from memory through the splitter, the
redactor and every stage up to rows: the best of several rounds, in processor time. The store is
left out.
Targets: request bodies at 200 MB/s, server-sent events of 200 B at 60,000 a second.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable, Iterator, Mapping

import orjson

from collector.capture_info import CaptureInfo
from collector.pipeline import Pipeline
from collector.redaction import Redactor
from probes import frames
from probes.events import Direction, Source
from probes.frames import FrameSplitter

ROUNDS = 5
FRAME_BYTES = 16 * 1024  # what the probe puts into one frame at most
DELTAS = 5_000
BODIES = 40
BODY_BYTES = 500_000
READ_BYTES = 64 * 1024  # what the collector takes from the probe's socket at once
READS_PER_BATCH = 4

_INFO = CaptureInfo("c0", "boot", "6.8", "0", "benchmark", 0, 0, 0)


class Recorded:
    """Frames of one connection, in order."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.positions = [0, 0]
        self.at = 1

    def add(self, direction: Direction, data: bytes) -> None:
        """What one call of the TLS library delivered."""
        for at in range(0, len(data), FRAME_BYTES):
            part = data[at : at + FRAME_BYTES]
            head = frames.PLAIN_DATA_HEAD.pack(
                1, 2, 1, self.positions[direction], 7, 7, len(part), direction, Source.OPENSSL, 0
            )
            size = frames.HEADER.size + len(head) + len(part)
            self.at += 1_000_000
            self.frames.append(
                frames.HEADER.pack(size, frames.PLAIN_DATA, frames.VERSION, 0, self.at)
                + head
                + part
            )
            self.positions[direction] += len(part)

    def reads(self) -> list[bytes]:
        """The frames as the collector reads them from the probe."""
        stream = b"".join(self.frames)
        return [stream[at : at + READ_BYTES] for at in range(0, len(stream), READ_BYTES)]

    def ask(self, body: bytes) -> None:
        """A request of Anthropic's API."""
        head = (
            b"POST /v1/messages HTTP/1.1\r\nhost: api.anthropic.com\r\n"
            b"x-api-key: sk-ant-api03-0123456789abcdef\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n" % len(body)
        )
        self.add(Direction.WRITE, head + body)


def _sse(payload: Mapping[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(payload["type"]).encode(), orjson.dumps(payload))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _delta(text: str) -> bytes:
    delta = {"type": "text_delta", "text": text}
    return _sse({"type": "content_block_delta", "index": 0, "delta": delta})


_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
_USAGE = {"input_tokens": 10, "output_tokens": 1}


def _answer(deltas: int) -> Iterator[bytes]:
    """The events of one answer, with so many deltas of 200 bytes."""
    message = {"id": "msg_1", "model": "claude-sonnet-4-5", "usage": _USAGE}
    yield _sse({"type": "message_start", "message": message})
    block = {"type": "text", "text": ""}
    yield _sse({"type": "content_block_start", "index": 0, "content_block": block})
    delta = _delta("x" * (200 - len(_delta(""))))
    for _ in range(deltas):
        yield delta
    yield _sse({"type": "content_block_stop", "index": 0})
    ended = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": _USAGE}
    yield _sse(ended)
    yield _sse({"type": "message_stop"})


def _respond(recorded: Recorded, deltas: int) -> None:
    recorded.add(Direction.READ, _STREAM_HEAD)
    for event in _answer(deltas):
        recorded.add(Direction.READ, _chunk(event))
    recorded.add(Direction.READ, b"0\r\n\r\n")


def deltas() -> tuple[Recorded, int, int, int]:
    """One answer of many small events, a frame each."""
    recorded = Recorded()
    recorded.ask(b'{"model":"claude-sonnet-4-5","max_tokens":1,"messages":[],"stream":true}')
    _respond(recorded, DELTAS)
    return recorded, 1, DELTAS, sum(recorded.positions)


def bodies() -> tuple[Recorded, int, int, int]:
    """A conversation that is resent with every turn and grows."""
    recorded = Recorded()
    messages = list(_history(BODY_BYTES))
    for turn in range(BODIES):
        messages.append({"role": "user", "content": f"turn {turn}: go on"})
        request = {
            "model": "claude-sonnet-4-5",
            "max_tokens": 1000,
            "stream": True,
            "system": "You are an agent. " * 100,
            "messages": messages,
        }
        recorded.ask(orjson.dumps(request))
        _respond(recorded, 1)
        messages.append({"role": "assistant", "content": f"answer {turn}"})
    return recorded, BODIES, BODIES, recorded.positions[Direction.WRITE]


def _history(size_bytes: int) -> Iterator[dict[str, object]]:
    """Turns of tool calls and results, of the sizes that agents have."""
    made, number = 0, 0
    while made < size_bytes:
        number += 1
        line = f"src/module_{number}.py:{number}: def function_{number}(argument): return 'x'\n"
        result = line * 50
        use = {
            "type": "tool_use",
            "id": f"toolu_{number:06}",
            "name": "bash",
            "input": {"command": f"grep -n def src/module_{number}.py", "timeout": 10},
        }
        yield {"role": "assistant", "content": [{"type": "text", "text": "Let me look."}, use]}
        answer = {"type": "tool_result", "tool_use_id": f"toolu_{number:06}", "content": result}
        yield {"role": "user", "content": [answer]}
        made += len(result) + 300


def http2_deltas() -> tuple[Recorded, int, int, int]:
    """The same answer over HTTP/2, a DATA frame each."""
    recorded = Recorded()
    host, key = b"api.anthropic.com", b"sk-ant-api03-0123456789abcdef"
    asked = _fields((b":method", b"POST"), (b":path", b"/v1/messages"), (b":authority", host))
    asked += _fields((b"content-type", b"application/json"), (b"x-api-key", key))
    body = b'{"model":"claude-sonnet-4-5","max_tokens":1,"messages":[],"stream":true}'
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b"")
    head = _frame(1, 4, 1, asked)
    recorded.add(Direction.WRITE, preface + head + _frame(0, 1, 1, body))
    answer = _fields((b":status", b"200"), (b"content-type", b"text/event-stream"))
    recorded.add(Direction.READ, _frame(4, 0, 0, b"") + _frame(1, 4, 1, answer))
    for event in _answer(DELTAS):
        recorded.add(Direction.READ, _frame(0, 0, 1, event))
    recorded.add(Direction.READ, _frame(0, 1, 1, b""))
    return recorded, 1, DELTAS, sum(recorded.positions)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def _fields(*fields: tuple[bytes, bytes]) -> bytes:
    """Literal fields without indexing (RFC 7541 section 6.2.2)."""
    texts = [b"".join(bytes([len(text)]) + text for text in field) for field in fields]
    return b"".join(b"\0" + text for text in texts)


def websocket_deltas() -> tuple[Recorded, int, int, int]:
    """An answer of the Responses API over a WebSocket, a message each, not compressed."""
    recorded = Recorded()
    recorded.add(
        Direction.WRITE,
        b"GET /v1/responses HTTP/1.1\r\nhost: api.openai.com\r\nupgrade: websocket\r\n"
        b"connection: upgrade\r\n\r\n",
    )
    recorded.add(
        Direction.READ,
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
    )
    ask = {"type": "response.create", "model": "gpt-5", "input": "Hello", "stream": True}
    recorded.add(Direction.WRITE, _message(orjson.dumps(ask), mask=b"\x01\x02\x03\x04"))
    response = {"id": "resp_1", "model": "gpt-5", "status": "in_progress", "output": []}
    created = {"type": "response.created", "response": response}
    recorded.add(Direction.READ, _message(orjson.dumps(created)))
    delta = {
        "type": "response.output_text.delta",
        "item_id": "msg_1",
        "output_index": 0,
        "content_index": 0,
        "delta": "",
    }
    delta["delta"] = "x" * (200 - len(orjson.dumps(delta)))
    message = _message(orjson.dumps(delta))
    for _ in range(DELTAS):
        recorded.add(Direction.READ, message)
    usage = {"input_tokens": 10, "output_tokens": 10}
    ended = {**response, "status": "completed", "usage": usage}
    completed = {"type": "response.completed", "response": ended}
    recorded.add(Direction.READ, _message(orjson.dumps(completed)))
    return recorded, 1, DELTAS, sum(recorded.positions)


def _message(payload: bytes, mask: bytes = b"") -> bytes:
    """One unfragmented text message (RFC 6455 section 5.2)."""
    masked = 0x80 if mask else 0
    if len(payload) < 126:
        head = bytes([0x81, masked | len(payload)])
    else:
        head = bytes([0x81, masked | 126]) + len(payload).to_bytes(2, "big")
    if mask:
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return head + mask + payload


CASES: dict[str, tuple[Callable[[], tuple[Recorded, int, int, int]], str]] = {
    "deltas": (deltas, "server-sent events of 200 B"),
    "http2": (http2_deltas, "the same over HTTP/2"),
    "websocket": (websocket_deltas, "WebSocket messages of 200 B"),
    "bodies": (bodies, "request bodies of 500 KB"),
}


def run(reads: list[bytes], calls: int) -> None:
    """All frames through redaction and every stage."""
    redactor = Redactor(b"salt of the benchmark, 32 bytes!", bodies=False)
    pipeline = Pipeline(_INFO, redactor.redact_text)
    splitter = FrameSplitter()
    ended: list[str] = []
    redact, feed = redactor.frame, pipeline.feed
    for number, read in enumerate(reads):
        for frame in splitter.feed(read):
            feed(redact(frame))
        if number % READS_PER_BATCH == 0:
            ended += [call.status for call in pipeline.take().calls]
    ended += [call.status for call in pipeline.finish().calls]
    assert ended.count("ok") == calls, ended


def main() -> None:
    """Print the table, or where the time of one case goes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--profile", choices=sorted(CASES))
    arguments = parser.parse_args()
    if arguments.profile:
        recorded, calls, _, _ = CASES[arguments.profile][0]()
        reads = recorded.reads()
        run(reads, calls)
        profile = cProfile.Profile()
        profile.runcall(run, reads, calls)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        return
    print(f"{'case':<34}{'MB/s':>10}{'items/s':>12}{'µs/item':>10}")
    for make, label in CASES.values():
        recorded, calls, items, size_bytes = make()
        reads, best_s = recorded.reads(), float("inf")
        for _ in range(ROUNDS):
            begin = time.process_time()
            run(reads, calls)
            best_s = min(best_s, time.process_time() - begin)
        print(
            f"{label:<34}{size_bytes / best_s / 1e6:>10.1f}{items / best_s:>12,.0f}"
            f"{1e6 * best_s / items:>10.2f}"
        )


if __name__ == "__main__":
    main()
