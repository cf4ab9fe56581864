"""Inputs to begin with: what real encoders make, and the samples of the tests.

In: the name of a target. Out: inputs (`steps.packed`), and words for the fuzzer's dictionary.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from inspect import getsource
from typing import Any

import brotli  # type: ignore[import-untyped]
import hpack
import zstandard
from hyperframe.frame import DataFrame, HeadersFrame, SettingsFrame, WindowUpdateFrame

from collector.llm.api import Api, SocketApi
from collector.llm.registry import APIS, SOCKETS
from probes import frames
from probes.events import Counters, Direction, LibrarySeen, ProbeState, ProcessSeen
from tests.collector import agent_traffic
from tests.collector.http import http2_traffic, test_event_stream, websockets
from tests.collector.http.test_http1_properties import ODD_MESSAGES
from tests.collector.llm.wire import sse
from tests.frames import (
    AGENT,
    API_KEY,
    Wire,
    answer,
    ask,
    chunked_response,
    closed,
    executed,
    forked,
    hello,
    http_request,
    http_response,
    opened,
    overloaded,
    path,
    streamed_answer,
    text,
    tool_use,
    user,
)
from tests.fuzz import of_exchanges, seeds_of_actions
from tests.fuzz.of_llm import API_NAMES, MEDIA_TYPES, of_api
from tests.fuzz.steps import dealt, packed, parsed

WRITE, READ = Direction.WRITE, Direction.READ
_WORD = re.compile(rb'"([A-Za-z0-9_.:/\[\]-]{2,40})"')
_MAX_WORDS = 400
_MAX_SEED_BYTES = 3000
_FIELD = re.compile(r'"([a-z][A-Za-z0-9_.]{1,30})"')
_MAX_FIELDS = 80
_PARTS = 10
_CUTS = b"\x07\x20\x01\x81"


def of_target(name: str) -> list[bytes]:
    """Inputs for a target; an empty one where none are known."""
    make = _SEEDS.get(name)
    return [*make()] if make is not None else [b""]


def words(seeds: list[bytes]) -> list[bytes]:
    """Short strings that stand in the seeds."""
    found = dict.fromkeys(match[1] for seed in seeds for match in _WORD.finditer(seed))
    return [*found][:_MAX_WORDS]


# LLM APIs


def _samples(api: str) -> Iterator[Any]:
    """JSON and bytes that the test module of an API holds."""
    return _samples_of(next(one for one in APIS if one.name == api))


def _samples_of(api: Api | SocketApi) -> Iterator[Any]:
    name = f"tests.collector.llm.test_{type(api).__module__.rpartition('.')[2]}"
    if find_spec(name) is None:
        return
    for key, value in vars(import_module(name)).items():
        if key.strip("_").isupper() and isinstance(value, dict | list | tuple | bytes):
            yield value


def _fields(api: str) -> list[str]:
    """Words in quotes in the modules of an API: the fields that it looks for among them."""
    module = import_module(type(next(one for one in APIS if one.name == api)).__module__)
    used = {getattr(value, "__module__", "") for value in vars(module).values()}
    names = sorted(name for name in {module.__name__, *used} if name.startswith("collector.llm"))
    found = (_FIELD.findall(getsource(import_module(name))) for name in names)
    return [*dict.fromkeys(word for words in found for word in words)][:_MAX_FIELDS]


def _documents(api: str) -> Iterator[dict[str, Any]]:
    """Objects that have every field, with values of several shapes."""
    fields = _fields(api)
    shapes: list[Any] = ["text", 3, ["a", {"type": "text", "text": "b"}], {"text": "b"}]
    for value in shapes:
        yield dict.fromkeys(fields, value)
    size = max(1, len(fields) // _PARTS)
    for at in range(0, len(fields), size):
        part = fields[at : at + size]
        inner: dict[str, Any] = dict.fromkeys(part, "text")
        yield dict.fromkeys(part, inner)
        yield {key: [inner] for key in part}


def _requests(api: str) -> Iterator[bytes]:
    yield from (packed(_json(one)) for one in _documents(api))
    for sample in _samples(api):
        for one in sample if isinstance(sample, list | tuple) else [sample]:
            if isinstance(one, dict):
                yield packed(_json(one))
    yield packed(ask([user("hi")], stream=True).partition(b"\r\n\r\n")[2])


def _responses(api: str) -> Iterator[bytes]:
    for one in _documents(api):
        yield packed(_json(one), b"\x01\x00" + _CUTS)
        yield packed(sse([one]), b"\x00\x00" + _CUTS)
    for sample in _samples(api):
        if isinstance(sample, bytes):
            for media in range(len(MEDIA_TYPES)):
                yield packed(sample, bytes([media, 0]) + _CUTS)
        elif isinstance(sample, dict):
            yield packed(_json(sample), b"\x01\x00" + _CUTS)
            yield packed(_json({"error": sample}), b"\x01\x01")
        else:
            yield from _streamed([*sample])
    yield packed(streamed_answer(["a", "b"]).partition(b"\r\n\r\n")[2])


def _streamed(events: list[Any]) -> Iterator[bytes]:
    documents = [_json(event) for event in events if isinstance(event, dict | list)]
    if documents:
        yield packed(sse(events), b"\x00\x00" + _CUTS)
        yield packed(sse(events, named=False) + b"data: [DONE]\n\n", b"\x00\x00")
        yield packed(b"\n".join([*documents, b""]), b"\x03\x00" + _CUTS)
        yield packed(b"[" + b",\n".join(documents) + b"]", b"\x01\x00" + _CUTS)
        yield packed(b"".join(b"\x1e%s\n" % one for one in documents), b"\x05\x00" + _CUTS)


def _json(value: Any) -> bytes:
    return json.dumps(value, default=str).encode()


def _of_apis(make: Callable[[str], Iterator[bytes]]) -> Iterator[bytes]:
    for name in API_NAMES:
        yield from (of_api(name, raw) for raw in make(name))


# Whole exchanges


def _whole() -> Iterator[bytes]:
    places = {target: number for number, (_, target, _) in enumerate(of_exchanges.ENDPOINTS)}
    types = [media_type.partition(";")[0] for media_type in MEDIA_TYPES]
    for api in agent_traffic.APIS:
        one = api(1)
        if one.target in places and one.content_type in types and not one.coding:
            media = types.index(one.content_type)
            yield _exchange(places[one.target], media, one.request, b"".join(one.parts))
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "ls"}}
    result = {"jsonrpc": "2.0", "id": 1, "result": {"content": [], "isError": True}}
    listed = {"object": "list", "data": [{"id": "gpt-5", "object": "model"}]}
    batch = {"id": "msgbatch_1", "type": "message_batch", "processing_status": "ended"}
    card = {"name": "a", "url": "https://agent.example", "skills": [], "capabilities": {}}
    sent = {"message": {"role": "user", "messageId": "m", "parts": [{"text": "hi"}]}}
    yield _exchange(places["/mcp"], 1, _json(call), _json(result))
    yield _exchange(places["/mcp"], 0, _json(call), sse([result]))
    yield _exchange(places["/sse"], 0, b"", b"event: endpoint\ndata: /m?s=1\n\n" + sse([result]))
    yield _exchange(places["/.well-known/agent-card.json"], 1, b"", _json(card))
    yield _exchange(places["/v1/message:stream"], 0, _json(sent), sse([{"message": sent}]))
    yield _exchange(places["/v1/models"], 1, b"", _json(listed))
    yield _exchange(places["/v1/messages/batches"], 1, _json({"requests": [{}]}), _json(batch))
    lines = b"\n".join(_json({"custom_id": name, "result": {}}) for name in "abc")
    yield _exchange(places["/v1/messages/batches/msgbatch_1/results"], 3, b"", lines)
    tokens = _json({"model": "m", "messages": []}), _json({"input_tokens": 3})
    yield _exchange(places["/v1/messages/count_tokens"], 1, *tokens)
    form = parsed(next(_form())).data
    yield _exchange(places["/v1/audio/transcriptions"], 17, form, _json({"text": "words"}))
    yield _exchange(places["/v1/files"], 17, form, _json({"id": "file-1", "object": "file"}))


def _exchange(place: int, media: int, asked: bytes, said: bytes) -> bytes:
    return packed(asked + of_exchanges.BETWEEN + said, bytes([place, media, 0, 60]))


def _socket_messages() -> Iterator[bytes]:
    for event in agent_traffic.response_events(1):
        yield packed(_json(event))
    yield packed(_json({"type": "response.create", "model": "gpt-5", "input": "hi"}))
    for socket in SOCKETS:
        for sample in _samples_of(socket):
            for one in sample if isinstance(sample, list | tuple) else [sample]:
                if isinstance(one, dict):
                    yield packed(_json(one))


def _provider_requests() -> Iterator[bytes]:
    for raw in _whole():
        asked, _, said = parsed(raw).data.partition(of_exchanges.BETWEEN)
        yield packed((asked or b"{}") + of_exchanges.BETWEEN + said)


# Bytes of one direction


def _http(begin: bytes) -> Iterator[bytes]:
    yield from (
        packed(one, _CUTS) for one in ODD_MESSAGES if one.startswith(b"HTTP/") == bool(begin)
    )
    for one in _exchanges() if begin else _asked():
        yield packed(one)
        yield packed(one + one, b"\x40\x07\x90")


def _asked() -> list[bytes]:
    chunks = http_request(headers=["Transfer-Encoding: chunked"], method="GET") + _CHUNKS
    return [ask([user("hi")]), http_request("/v1/models", method="GET"), chunks]


def _exchanges() -> list[bytes]:
    return [
        answer(text("yes"), tool_use("toolu_1", "ls")),
        streamed_answer(["one ", "two"]),
        overloaded(),
        http_response(gzip.compress(b"{}"), headers=["Content-Encoding: gzip"]),
        chunked_response([gzip.compress(b"{}")], headers=["Content-Encoding: gzip"]),
        b"HTTP/1.1 100 Continue\r\n\r\n" + http_response(b"{}"),
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x02hi",
    ]


_CHUNKS = b"5\r\nhello\r\n6;x=1\r\n world\r\n0\r\nt: 1\r\n\r\n"


def _chunked() -> Iterator[bytes]:
    yield packed(_CHUNKS, _CUTS)
    yield packed(b"A\n0123456789\n0\n\n", b"\x01")
    yield packed(b"10 \t\r\n0123456789abcdef\r\n0;a\r\n\r\nHTTP/1.1", b"\x03")


def _codings() -> Iterator[bytes]:
    plain = json.dumps({"words": ["one", "two"] * 40}).encode()
    raw = zlib.compressobj(wbits=-15)
    coded = [
        (0, gzip.compress(plain, mtime=0)),
        (0, gzip.compress(b"a", mtime=0) + gzip.compress(b"b", mtime=0) + bytes(4)),
        (0, gzip.compress(bytes(300_000), mtime=0)),
        (1, zlib.compress(plain)),
        (1, raw.compress(plain) + raw.flush()),
        (2, brotli.compress(plain)),
        (2, brotli.compress(bytes(300_000))),
        (3, zstandard.compress(plain)),
        (3, zstandard.compress(b"a") + zstandard.compress(bytes(200_000))),
        (4, brotli.compress(gzip.compress(plain, mtime=0))),
        (5, gzip.compress(zstandard.compress(plain), mtime=0)),
        (7, plain),
    ]
    for coding, data in coded:
        for limit in range(5):
            yield packed(data, bytes([coding, limit]) + _CUTS)


def _sse() -> Iterator[bytes]:
    stream = streamed_answer(["one", "two"]).partition(b"\r\n\r\n")[2]
    yield packed(stream, b"\0" + _CUTS)
    yield packed(
        b"\xef\xbb\xbf: c\r\nid: 1\revent: a\n\ndata\ndata: b\r\rretry: 5\nid\n\n", b"\x02\x01"
    )
    yield packed(sse([{"type": "a"}, "[DONE]"]) * 3, b"\x01\x05")


def _rpc() -> Iterator[bytes]:
    one = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "ls"}}
    two = {"jsonrpc": "2.0", "id": 1, "result": {"isError": False, "content": []}}
    lines = b"".join(_json(each) + b"\n" for each in (one, two, [one, two]))
    body = _json(two)
    framed = b"Content-Length: %d\r\nContent-Type: x\r\n\r\n%s" % (len(body), body)
    for limit in range(3):
        yield packed(b"log line\n" + lines, bytes([limit]) + _CUTS)
        yield packed(framed * 3 + lines, bytes([limit]) + _CUTS)


_HEADERS = [
    (":method", "POST"),
    (":path", "/v1/messages?key=pQ5rS6tU7vW8xY9zA0bC1dD2"),
    (":authority", "api.example"),
    ("authorization", f"Bearer {API_KEY.decode()}"),
    ("x-count", "1"),
]


def _hpack() -> Iterator[bytes]:
    encoder = hpack.Encoder()
    blocks = [encoder.encode(_HEADERS, huffman=huffman) for huffman in (True, False, True)]
    encoder.header_table_size = 100
    blocks.append(encoder.encode([("a", "b" * 50), ("a", "c" * 50)]))
    for block in blocks:
        yield packed(block, b"\x05")
    yield packed(b"".join(blocks), bytes([9, *map(len, blocks)]))


def _http2() -> Iterator[bytes]:
    encoder = hpack.Encoder()
    settings = SettingsFrame(0, {SettingsFrame.INITIAL_WINDOW_SIZE: 1 << 20}).serialize()
    window = WindowUpdateFrame(0, window_increment=100).serialize()
    stream = settings + window
    for number, huffman in ((1, True), (3, False)):
        block = HeadersFrame(number, encoder.encode(_HEADERS, huffman=huffman))
        block.flags.add("END_HEADERS")
        data = DataFrame(number, b'{"key": "%s"}' % API_KEY)
        data.flags.add("END_STREAM")
        stream += block.serialize() + data.serialize()
    yield packed(stream)
    yield packed(stream, b"\x30\x47\x18")
    yield packed(stream, b"\x90\x09\x0f")


def _http2_messages(direction: Direction) -> Iterator[bytes]:
    for number in range(8):
        stream = http2_traffic.traffic(number, streams=3).sent(direction)
        stream = stream.removeprefix(http2_traffic.PREFACE)
        if len(stream) < _MAX_SEED_BYTES:
            yield packed(stream, b"\x30\x47\x18\x09"[: number % 4])


def _web_sockets() -> Iterator[bytes]:
    deflater = websockets.Deflater()
    text = _json({"type": "response.create", "words": ["one"] * 30})
    plain = [
        websockets.frame(text, mask=websockets.MASK),
        websockets.frame(b"ab", fin=False) + websockets.frame(b"", 9) + websockets.frame(b"c", 0),
        websockets.frame(b"x" * 200, 2) + websockets.frame(b"\x03\xe8bye", 8),
    ]
    deflated = [deflater.frame(text), deflater.frame(text, websockets.MASK), deflater.frame(b"")]
    for agreed in (0, 1, 3, 4):
        yield packed(b"".join(plain), bytes([agreed, 0]) + _CUTS)
        yield packed(b"".join(deflated), bytes([agreed, 0]) + _CUTS)


def _sockets_with_keys() -> Iterator[bytes]:
    text = b'{"a": "%s b"}' % API_KEY
    for choice in range(8):
        mask = websockets.MASK if choice & 4 else b""
        deflater = websockets.Deflater(takeover=choice % 4 != 2)
        plain = websockets.frame(text, mask=mask) + websockets.frame(
            text[:20], fin=False, mask=mask
        )
        plain += websockets.frame(API_KEY, 9, mask=mask) + websockets.frame(text[20:], 0, mask=mask)
        packets = b"".join(deflater.frame(one, mask) for one in (text, b"{}", text * 2))
        for cuts in (b"", b"\x19", b"\x30\x47\x18\x09"):
            yield packed(plain, bytes([choice]) + cuts)
            yield packed(packets, bytes([choice]) + cuts)


_DOCUMENTS = [_json({"a": [1, {"b": ']}\\" ,'}], "c": None}), b"1.5e3", b'"x"', b"[]", b"true"]


def _values(begin: bytes, between: bytes, end: bytes) -> Iterator[bytes]:
    for limit in range(4):
        yield packed(begin + between.join(_DOCUMENTS) + end, bytes([limit]) + _CUTS)


def _event_stream() -> Iterator[bytes]:
    for limit in range(4):
        yield packed(test_event_stream.STREAM, bytes([limit, 0]) + _CUTS)
    header = b"\x0b:event-type\x07\x00\x05chunk"
    yield packed(bytes([len(header), 2]) + header + b"{}" + b"\0\3abc", b"\0\1" + _CUTS)


def _form() -> Iterator[bytes]:
    parts = (
        b'Content-Disposition: form-data; name="model"\r\n\r\nwhisper-1',
        b'Content-Disposition: form-data; name="file"; filename="a\\"b.wav"\r\n'
        b"Content-Type: audio/wav\r\n\r\n\r\n--b-1x" + bytes(40),
    )
    body = b"".join(b"--b-1\r\n%s\r\n" % part for part in parts) + b"--b-1--\r\n"
    for limits in (0, 1, 5, 10):
        yield packed(body, bytes([limits, 100]) + _CUTS)
        yield packed(b"preamble\n" + body.replace(b"\r\n", b"\n"), bytes([limits, 30]) + _CUTS)


# Captures


_UPGRADING = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
_SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
_ANSWER = websockets.frame(b'{"type": "response.completed", "response": {}}')


def _both() -> list[bytes]:
    first, turns = _asked(), _exchanges()
    found = [dealt((WRITE, first[0]), (READ, one)) for one in turns]
    found.append(dealt((WRITE, first[2]), (READ, turns[1]), (WRITE, first[1]), (READ, turns[0])))
    found.append(dealt((READ, turns[1][90:]), (WRITE, first[0]), (READ, turns[0])))
    calls = (http2_traffic.traffic(number, streams=2).calls for number in range(20))
    found += [dealt(*one) for one in calls if len(one) < 15 and _bytes(one) < _MAX_SEED_BYTES]
    opening = http_request("/v1/responses", method="GET", headers=_UPGRADING)
    frames = (websockets.frame(b'{"type": "response.create"}', mask=websockets.MASK), _ANSWER)
    found.append(dealt((WRITE, opening), (READ, _SWITCHED), (WRITE, frames[0]), (READ, frames[1])))
    return found


def _bytes(calls: list[tuple[Direction, bytes]]) -> int:
    return sum(len(data) for _, data in calls)


def _with_origin() -> Iterator[bytes]:
    """Inputs of targets whose first choice is something else than a step."""
    for number, raw in enumerate(_both()):
        yield bytes([raw[0] + 1, number % 4]) + raw[1:]


def _frames() -> list[bytes]:
    wire = Wire().sends(ask([user("hi")])).receives(answer(text("yes"))).closes()
    return [
        executed(AGENT, 1, [b"agent", b"--api-key", API_KEY]),
        opened(),
        *wire.frames,
        forked(5000, AGENT),
        path(5000, [b"usr", b"bin", b"ls"]),
        hello(b"\x16\x03\x01"),
        closed(1, 2),
        frames.encode(
            LibrarySeen(1, "/lib/s.so", "ab", "openssl", "hooked", "symbols", "ok", (1,))
        ),
        frames.encode(Counters(2, {"openssl.bytes": 12345})),
        frames.encode(ProbeState(3, "ready", "", None, 14)),
        frames.encode(ProcessSeen(1, 5, 1, 2, "sh", "/bin/sh", ("sh", "-c"), "/", 0)),
        *seeds_of_actions.action_frames(),
    ]


def _one_frame() -> Iterator[bytes]:
    for one in _frames():
        yield packed(one[frames.HEADER.size :], one[4:5])
    yield packed(b"".join(_frames()), _CUTS)


_SEEDS: dict[str, Callable[[], Iterator[bytes]]] = {
    "http1_requests": lambda: _http(b""),
    "http1_responses": lambda: _http(b"HTTP/"),
    "chunked": _chunked,
    "codings": _codings,
    "sse": _sse,
    "json_rpc": _rpc,
    "hpack_fields": _hpack,
    "http2_redaction": _http2,
    "http2_requests": lambda: _http2_messages(WRITE),
    "http2_responses": lambda: _http2_messages(READ),
    "websocket_frames": _web_sockets,
    "websocket_redaction": _sockets_with_keys,
    "json_lines": lambda: _values(b"", b"\n", b"\r\n"),
    "json_array": lambda: _values(b"[", b",\n", b"]"),
    "json_sequence": lambda: _values(b"\x1e", b"\n\x1e", b"\n"),
    "event_stream": _event_stream,
    "multipart": _form,
    "redaction": lambda: iter(_both()),
    "redacted_text": lambda: iter([packed(b"the key is %s." % API_KEY)]),
    "llm_requests": lambda: _of_apis(_requests),
    "llm_responses": lambda: _of_apis(_responses),
    "exchange": _whole,
    "socket_messages": _socket_messages,
    "provider_requests": _provider_requests,
    "connection": _with_origin,
    "pipeline": _with_origin,
    "frames": _one_frame,
    "recording": _one_frame,
    "captured_frames": lambda: iter([packed(one) for one in (*_frames(), b"".join(_frames()))]),
    **seeds_of_actions.SEEDS,
}
