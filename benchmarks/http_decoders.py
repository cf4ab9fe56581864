"""Throughput of the HTTP decoders, one table: `python -m benchmarks.http_decoders`.

Each case is fed from memory as TLS calls would deliver it, best of several rounds. The figures
are of one core and leave out what comes before (probes) and after (LLM decoding, store).
"""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable, Iterable

from collector.exchange import Exchange, HttpCounters, SocketMessage
from collector.http.codings import ContentDecoder
from collector.http.events import BodyData
from collector.http.http1 import RequestReader, ResponseReader
from collector.http.http2 import Http2Reader
from collector.http.http2_frames import PREFACE
from collector.http.sse import SseDecoder
from collector.http.websocket_deflate import Inflater
from collector.http.websocket_frames import MESSAGE_LIMIT_BYTES, FrameReader, unmask
from collector.http2_exchanges import Http2Exchanges
from probes.events import ConnectionKey, Direction

ROUNDS = 5
DELTAS = 20_000
DELTA = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":" the next few"}}\n\n'
)
EVENT = (
    b'{"type":"response.output_text.delta","item_id":"msg_0123456789abcdef","output_index":0,'
    b'"content_index":0,"delta":" the next few","logprobs":[],"sequence_number":17,'
    b'"obfuscation":"0123456789abc"}'
)
SOCKET_BODY = b'{"type":"response.create","input":[%b]}' % b",".join(
    b'{"role":"user","content":"message %d of %x"}' % (n, n * 2654435761) for n in range(8_500)
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
TLS_RECORD_BYTES = 16 * 1024

Run = Callable[[], int]  # does all the work and returns how many items it saw


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunked_stream(per_feed: int) -> tuple[Run, int]:
    feed = chunk(DELTA) * per_feed
    feeds = DELTAS // per_feed

    def run() -> int:
        reader = ResponseReader(lambda: "POST")
        reader.feed(HEAD, 0)
        return sum(len(reader.feed(feed, at)) for at in range(feeds)) * per_feed

    return run, feeds * len(feed)


def chunked_split() -> tuple[Run, int]:
    whole = chunk(DELTA)
    parts = (whole[:4], whole[4:-2], whole[-2:])

    def run() -> int:
        reader = ResponseReader(lambda: "POST")
        reader.feed(HEAD, 0)
        for at in range(DELTAS):
            for part in parts:
                reader.feed(part, at)
        return DELTAS

    return run, DELTAS * len(whole)


def chunked_sse() -> tuple[Run, int]:
    feed = chunk(DELTA)

    def run() -> int:
        reader, decoder = ResponseReader(lambda: "POST"), SseDecoder(1 << 20)
        reader.feed(HEAD, 0)
        events = 0
        for at in range(DELTAS):
            for event in reader.feed(feed, at):
                if isinstance(event, BodyData):
                    events += len(decoder.feed(event.data))
        return events

    return run, DELTAS * len(feed)


def sse_only(feeds: list[bytes]) -> tuple[Run, int]:
    def run() -> int:
        decoder = SseDecoder(1 << 20)
        return sum(len(decoder.feed(data)) for data in feeds)

    return run, sum(map(len, feeds))


def request_bodies() -> tuple[Run, int]:
    body = b"x" * 500_000
    head = b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body)
    records = list(split(head + body, TLS_RECORD_BYTES))

    def run() -> int:
        reader = RequestReader()
        for _ in range(20):
            for record in records:
                reader.feed(record, 0)
        return 20

    return run, 20 * sum(map(len, records))


def socket_frame(payload: bytes, *, masked: bool = False, compressed: bool = False) -> bytes:
    size = len(payload)
    head = bytes([0xC1 if compressed else 0x81])
    if size < 126:
        head += bytes([masked << 7 | size])
    elif size < 1 << 16:
        head += bytes([masked << 7 | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([masked << 7 | 127]) + size.to_bytes(8, "big")
    mask = b"\x37\xfa\x21\x3d" if masked else b""
    return head + mask + (unmask(payload, mask) if masked else payload)


def sockets(
    message: bytes, count: int, *, masked: bool = False, takeover: bool | None = None
) -> tuple[Run, int]:
    """Messages in TLS records; `takeover`: None is uncompressed. Bytes are those of messages."""
    frames = []
    deflater = zlib.compressobj(wbits=-15)
    for _ in range(count):
        payload = message
        if takeover is not None:
            if not takeover:
                deflater = zlib.compressobj(wbits=-15)
            payload = (deflater.compress(message) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
        frames.append(socket_frame(payload, masked=masked, compressed=takeover is not None))
    feeds = [record for frame in frames for record in split(frame, TLS_RECORD_BYTES)]

    def run() -> int:
        inflater = None
        if takeover is not None:
            inflater = Inflater(takeover=takeover, limit_bytes=MESSAGE_LIMIT_BYTES)
        reader = FrameReader(inflater)
        return sum(len(reader.feed(data, 0)) for data in feeds)

    return run, count * len(message)


def heads() -> tuple[Run, int]:
    fields = b"".join(b"x-header-%d: some value of a header\r\n" % i for i in range(20))
    request = b"GET /v1/models HTTP/1.1\r\nhost: a\r\n" + fields + b"\r\n"

    def run() -> int:
        reader = RequestReader()
        return sum(len(reader.feed(request, 0)) // 2 for _ in range(2000))

    return run, 2000 * len(request)


def http2_head(fields: list[tuple[bytes, bytes]], stream: int = 1) -> bytes:
    block = b"".join(
        b"\0%c%b\x7f%c%b" % (len(name), name, len(value) - 127, value)
        if len(value) >= 127
        else b"\0%c%b%c%b" % (len(name), name, len(value), value)
        for name, value in fields
    )
    return http2_frame(1, block, flags=4, stream=stream)


def http2_frame(kind: int, payload: bytes, *, flags: int = 0, stream: int = 1) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def http2_reader(*, requests: bool) -> Http2Reader:
    reader = Http2Reader(requests=requests, mask=lambda _name, value: value)
    settings = http2_frame(4, b"", stream=0)
    reader.feed(PREFACE + settings if requests else settings, 0)
    return reader


def http2_stream(per_feed: int) -> tuple[Run, int]:
    """DATA frames of one delta each, padded to 200 bytes."""
    feed = http2_frame(0, DELTA.ljust(200)) * per_feed
    feeds = DELTAS // per_feed

    def run() -> int:
        reader = http2_reader(requests=False)
        reader.feed(http2_head([(b":status", b"200")]), 0)
        return sum(len(reader.feed(feed, at)) > 0 for at in range(feeds)) * per_feed

    return run, feeds * len(feed)


def http2_sse(streams: int) -> tuple[Run, int]:
    """The same through both directions' exchanges and the events' decoder."""
    frames = [http2_frame(0, DELTA.ljust(200), stream=2 * number + 1) for number in range(streams)]

    def run() -> int:
        watcher = Watcher()
        exchanges = Http2Exchanges(ConnectionKey(1, 1, 1, 1), watcher, HttpCounters())
        exchanges.chunk(Direction.WRITE, PREFACE + http2_frame(4, b"", stream=0), 0)
        exchanges.chunk(Direction.READ, http2_frame(4, b"", stream=0), 0)
        for number in range(streams):
            asked = [(b":method", b"POST"), (b":path", b"/v1/messages")]
            exchanges.chunk(Direction.WRITE, http2_head(asked, 2 * number + 1), 0)
            answered = [(b":status", b"200")]
            exchanges.chunk(Direction.READ, http2_head(answered, 2 * number + 1), 0)
        for at in range(DELTAS):
            exchanges.chunk(Direction.READ, frames[at % streams], at)
        return watcher.events

    return run, DELTAS * len(frames[0])


def http2_bodies() -> tuple[Run, int]:
    body = b"x" * 500_000
    asked = [(b":method", b"POST"), (b":path", b"/v1/messages")]

    def request(stream: int) -> bytes:
        frames = [http2_frame(0, part, stream=stream) for part in split(body, 16 * 1024)]
        return b"".join((http2_head(asked, stream), *frames, http2_frame(0, b"", flags=1)))

    requests = [list(split(request(2 * number + 1), TLS_RECORD_BYTES)) for number in range(20)]

    def run() -> int:
        reader = http2_reader(requests=True)
        for records in requests:
            for record in records:
                reader.feed(record, 0)
        return 20

    return run, sum(len(record) for records in requests for record in records)


def http2_heads() -> tuple[Run, int]:
    fields = [(b"x-header-%d" % at, b"some value of a header") for at in range(20)]
    asked = [(b":method", b"GET"), (b":path", b"/v1/models"), *fields]
    heads = [http2_head(asked, 2 * number + 1) for number in range(2000)]

    def run() -> int:
        reader = http2_reader(requests=True)
        return sum(len(reader.feed(head, 0)) for head in heads)

    return run, sum(map(len, heads))


class Watcher:
    """Decodes the events of every answer."""

    def __init__(self) -> None:
        self.events = 0

    def request_started(self, exchange: Exchange) -> None:
        exchange.state = SseDecoder(1 << 20)

    def request_body(self, exchange: Exchange, data: bytes) -> None: ...

    def request_ended(self, exchange: Exchange) -> None: ...

    def response_started(self, exchange: Exchange) -> None: ...

    def response_body(self, exchange: Exchange, data: bytes, ktime_ns: int) -> None:
        self.events += len(exchange.state.feed(data))

    def exchange_ended(self, exchange: Exchange, ktime_ns: int) -> None: ...

    def socket_message(self, exchange: Exchange, message: SocketMessage) -> None: ...

    def socket_closed(self, exchange: Exchange, ktime_ns: int) -> None: ...


def garbage() -> tuple[Run, int]:
    block = bytes(range(256)) * 64

    def run() -> int:
        reader = RequestReader()
        return sum(len(reader.feed(block, 0)) for _ in range(200))

    return run, 200 * len(block)


def gzip_sse() -> tuple[Run, int]:
    encoder = zlib.compressobj(wbits=31)
    feeds = [encoder.compress(DELTA) + encoder.flush(zlib.Z_SYNC_FLUSH) for _ in range(DELTAS)]

    def run() -> int:
        decoder = ContentDecoder("gzip", 1 << 30)
        for data in feeds:
            decoder.feed(data)
        return len(feeds)

    return run, DELTAS * len(DELTA)


def coding(name: str) -> tuple[Run, int]:
    import brotli  # type: ignore[import-untyped]
    import zstandard

    plain = b"".join(b"%d,%b" % (i * i, DELTA) for i in range(20_000))
    encode: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "br": lambda data: bytes(brotli.compress(data, quality=5)),
        "zstd": zstandard.compress,
    }
    feeds = list(split(encode[name](plain), TLS_RECORD_BYTES))

    def run() -> int:
        decoder = ContentDecoder(name, 1 << 30)
        return sum(1 for data in feeds if decoder.feed(data))

    return run, len(plain)


def split(data: bytes, size: int) -> Iterable[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def main() -> None:
    cases = [
        ("chunked, 1 small chunk a feed", chunked_stream(1)),
        ("chunked, 8 small chunks a feed", chunked_stream(8)),
        ("chunked, chunk in 3 feeds", chunked_split()),
        ("chunked + SSE, 1 event a feed", chunked_sse()),
        ("SSE, 1 event a feed", sse_only([DELTA] * DELTAS)),
        ("SSE, 16 KiB feeds", sse_only(list(split(DELTA * DELTAS, TLS_RECORD_BYTES)))),
        ("SSE, CR LF, 1 event a feed", sse_only([DELTA.replace(b"\n", b"\r\n")] * DELTAS)),
        ("request bodies of 500 KB", request_bodies()),
        ("WebSocket, 200 B", sockets(EVENT, DELTAS)),
        ("WebSocket, 200 B, masked", sockets(EVENT, DELTAS, masked=True)),
        ("WebSocket, 200 B, deflated", sockets(EVENT, DELTAS, takeover=True)),
        ("WebSocket, 200 B, each alone", sockets(EVENT, DELTAS, takeover=False)),
        ("WebSocket, 500 KB", sockets(SOCKET_BODY, 20)),
        ("WebSocket, 500 KB, masked", sockets(SOCKET_BODY, 20, masked=True)),
        (
            "WebSocket, 500 KB, deflated, masked",
            sockets(SOCKET_BODY, 20, masked=True, takeover=True),
        ),
        ("request heads of 20 fields", heads()),
        ("HTTP/2, 1 DATA frame of 200 B a feed", http2_stream(1)),
        ("HTTP/2, 8 DATA frames a feed", http2_stream(8)),
        ("HTTP/2 exchanges + SSE, 1 stream", http2_sse(1)),
        ("HTTP/2 exchanges + SSE, 50 streams", http2_sse(50)),
        ("HTTP/2 bodies of 500 KB, 16 KiB DATA", http2_bodies()),
        ("HTTP/2 heads of 20 fields", http2_heads()),
        ("bytes that are not HTTP", garbage()),
        ("gzip, sync flush per event (out)", gzip_sse()),
        ("gzip (out)", coding("gzip")),
        ("br (out)", coding("br")),
        ("zstd (out)", coding("zstd")),
    ]
    print(f"{'case':<38}{'MB/s':>10}{'items/s':>13}{'µs/item':>10}")
    for label, (run, size_bytes) in cases:
        best_s, items = float("inf"), 0
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            items = run()
            best_s = min(best_s, time.perf_counter() - begin)
        rate = items / best_s
        print(f"{label:<38}{size_bytes / best_s / 1e6:>10.1f}{rate:>13,.0f}{1e6 / rate:>10.2f}")


if __name__ == "__main__":
    main()
