"""Throughput of the HTTP decoders, one table: `python -m benchmarks.http_decoders`.

Each case is fed from memory as TLS calls would deliver it, best of several rounds. The figures
are of one core and leave out what comes before (probes) and after (LLM decoding, store).
"""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable, Iterable

from collector.http.codings import ContentDecoder
from collector.http.events import BodyData
from collector.http.http1 import RequestReader, ResponseReader
from collector.http.sse import SseDecoder

ROUNDS = 5
DELTAS = 20_000
DELTA = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":" the next few"}}\n\n'
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


def heads() -> tuple[Run, int]:
    fields = b"".join(b"x-header-%d: some value of a header\r\n" % i for i in range(20))
    request = b"GET /v1/models HTTP/1.1\r\nhost: a\r\n" + fields + b"\r\n"

    def run() -> int:
        reader = RequestReader()
        return sum(len(reader.feed(request, 0)) // 2 for _ in range(2000))

    return run, 2000 * len(request)


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
        ("request heads of 20 fields", heads()),
        ("bytes that are not HTTP", garbage()),
        ("gzip, sync flush per event (out)", gzip_sse()),
        ("gzip (out)", coding("gzip")),
        ("br (out)", coding("br")),
        ("zstd (out)", coding("zstd")),
    ]
    print(f"{'case':<36}{'MB/s':>10}{'items/s':>13}{'µs/item':>10}")
    for label, (run, size_bytes) in cases:
        best_s, items = float("inf"), 0
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            items = run()
            best_s = min(best_s, time.perf_counter() - begin)
        rate = items / best_s
        print(f"{label:<36}{size_bytes / best_s / 1e6:>10.1f}{rate:>13,.0f}{1e6 / rate:>10.2f}")


if __name__ == "__main__":
    main()
