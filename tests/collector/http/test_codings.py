from __future__ import annotations

import gzip
import random
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from collector.http.codings import MAX_CODINGS, ContentDecoder

from .transcripts import pieces

MIB = 1024 * 1024
TEXT = b"".join(b'data: {"n": %d}\n\n' % (n * n) for n in range(5000))
LONG_TEXT = random.Random(7).randbytes(400_000).hex().encode()  # of many blocks in any coding


def raw_deflate(data: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(data) + encoder.flush()


def brotli_encode(data: bytes) -> bytes:
    return bytes(brotli.compress(data, quality=4))


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZip": gzip.compress,
    "deflate": zlib.compress,
    " deflate ": raw_deflate,
    "br": brotli_encode,
    "zstd": zstandard.compress,
    "identity": bytes,
    "gzip, br": lambda data: brotli_encode(gzip.compress(data)),
    "br,identity,zstd": lambda data: zstandard.compress(brotli_encode(data)),
    "zstd, deflate, gzip": lambda data: gzip.compress(zlib.compress(zstandard.compress(data))),
}
codings = pytest.mark.parametrize("coding", ENCODERS)
any_coding = st.sampled_from(sorted(ENCODERS))
compressing = pytest.mark.parametrize("coding", ["gzip", "deflate", " deflate ", "br", "zstd"])


State = tuple[str | None, bool, int]


def decode(coding: str | None, feeds: Iterable[bytes], limit: int = MIB) -> tuple[bytes, State]:
    """The output, and (failed, capped, undecoded_bytes)."""
    decoder = ContentDecoder(coding, limit)
    output = b"".join([*(decoder.feed(data) for data in feeds), decoder.finish()])
    return output, (decoder.failed, decoder.capped, decoder.undecoded_bytes)


GOOD: State = (None, False, 0)


@codings
def test_decodes_what_the_libraries_encode(coding: str) -> None:
    wire = ENCODERS[coding](TEXT)
    assert decode(coding, [wire]) == (TEXT, GOOD)
    assert decode(coding, (wire[at : at + 1] for at in range(len(wire)))) == (TEXT, GOOD)


@given(coding=any_coding, data=st.binary(max_size=3000), cuts=st.lists(st.integers(0, 3000)))
def test_any_split_gives_the_same_output(coding: str, data: bytes, cuts: list[int]) -> None:
    assert decode(coding, pieces(ENCODERS[coding](data), cuts)) == (data, GOOD)


@given(coding=any_coding, wire=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200)))
def test_arbitrary_bytes_never_raise(coding: str, wire: bytes, cuts: list[int]) -> None:
    decode(coding, pieces(wire, cuts))


@given(coding=any_coding, at=st.integers(0, 10**6), patch=st.binary(min_size=1, max_size=9))
def test_mutated_bytes_never_raise(coding: str, at: int, patch: bytes) -> None:
    wire = ENCODERS[coding](TEXT)
    at %= len(wire)
    output, _ = decode(coding, [wire[:at] + patch + wire[at + len(patch) :]], limit=2 * len(TEXT))
    assert len(output) <= 2 * len(TEXT)


@pytest.mark.parametrize("coding", ENCODERS)
@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 131_072, 300_000, MIB])
def test_output_that_one_last_byte_brings_comes_out_whole(coding: str, size: int) -> None:
    wire = ENCODERS[coding](bytes(size))
    decoder = ContentDecoder(coding, MIB)
    assert len(decoder.feed(wire)) == size
    decoder.finish()
    assert (decoder.failed, decoder.capped) == (None, False)


def test_bytes_come_out_at_each_flush() -> None:
    deflater = zlib.compressobj(wbits=31)
    zstd = zstandard.ZstdCompressor().compressobj()
    br = brotli.Compressor()
    flush: dict[str, Callable[[bytes], bytes]] = {
        "gzip": lambda data: deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH),
        "zstd": lambda data: zstd.compress(data) + zstd.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK),
        "br": lambda data: br.process(data) + br.flush(),
    }
    for coding, encode in flush.items():
        decoder = ContentDecoder(coding, MIB)
        for n in range(50):
            event = b"data: %d\n\n" % n
            assert decoder.feed(encode(event)) == event


@pytest.mark.parametrize(
    ("coding", "encode"), [("gzip", gzip.compress), ("zstd", zstandard.compress)]
)
def test_members_and_frames_join(coding: str, encode: Callable[[bytes], bytes]) -> None:
    wire = encode(b"one ") + encode(b"") + encode(b"two")
    assert decode(coding, [wire]) == (b"one two", GOOD)
    assert decode(coding, (wire[at : at + 1] for at in range(len(wire)))) == (b"one two", GOOD)


def test_bytes_behind_the_end_are_counted() -> None:
    padded = gzip.compress(b"one") + b"\0" * 9
    assert decode("gzip", [padded, b"\0"]) == (b"one", (None, False, 10))
    assert decode("gzip", [padded, b"\x1f\x8b"]) == (b"one", (None, False, 11))
    assert decode("deflate", [zlib.compress(b"one") + b"more", b"."]) == (b"one", (None, False, 5))
    assert decode("br", [brotli_encode(b"one"), b"more"]) == (b"one", (None, False, 4))


@compressing
def test_a_cut_body_is_truncated(coding: str) -> None:
    wire = ENCODERS[coding](LONG_TEXT)
    output, state = decode(coding, [wire[:-10]])
    assert state == ("truncated", False, 0)
    assert LONG_TEXT.startswith(output)
    assert len(output) > len(LONG_TEXT) // 2
    assert decode(coding, [wire[:1]]) == (b"", ("truncated", False, 0))


@compressing
def test_no_body_is_whole(coding: str) -> None:
    assert decode(coding, []) == (b"", GOOD)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])  # raw deflate cannot tell
def test_a_corrupt_body_stops_and_is_counted(coding: str) -> None:
    encode = zstandard.ZstdCompressor(write_checksum=True).compress
    wire = (encode if coding == "zstd" else ENCODERS[coding])(LONG_TEXT)
    at = len(wire) * 3 // 4
    feeds = pieces(wire[:at] + b"\xff" * 600 + wire[at + 600 :], range(0, len(wire), 5000))
    output, (failed, capped, undecoded) = decode(coding, feeds)
    assert (failed, capped) == ("corrupt", False)
    assert output[: len(LONG_TEXT) // 2] == LONG_TEXT[: len(LONG_TEXT) // 2]
    assert 0 < undecoded <= len(wire) - at + 5000


@pytest.mark.parametrize(
    "coding", ["snappy", "gzip, aws-chunked", ", ".join(["gzip"] * (MAX_CODINGS + 1)), "br;q=1"]
)
def test_an_unknown_coding(coding: str) -> None:
    assert decode(coding, [b"abc", b"de"]) == (b"", ("unknown_coding", False, 5))


@pytest.mark.parametrize("coding", [None, "", "identity", " , Identity"])
def test_identity(coding: str | None) -> None:
    assert decode(coding, [b"abc", b"de"], limit=5) == (b"abcde", GOOD)
    assert decode(coding, [b"abc", b"de", b"f"], limit=4) == (b"abcd", (None, True, 2))


@compressing
def test_the_limit_is_exact(coding: str) -> None:
    wire = ENCODERS[coding](TEXT)
    assert decode(coding, [wire], limit=len(TEXT)) == (TEXT, GOOD)
    output, state = decode(coding, [wire, b"more"], limit=len(TEXT) - 1)
    assert output == TEXT[:-1]
    failed, capped, undecoded = state
    assert (failed, capped) == (None, True)
    assert undecoded >= 4


def zeros(coding: str, size: int) -> bytes:
    if coding == "zstd":
        return zstandard.compress(bytes(size))
    if coding == "br":
        return brotli_encode(bytes(size))
    return ENCODERS[coding](bytes(size))


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_bomb_costs_bounded_memory_and_time(coding: str) -> None:
    bomb = zeros(coding, 200 * MIB)
    decoder = ContentDecoder(coding, MIB)
    tracemalloc.start()
    begin = time.process_time()
    outputs = [decoder.feed(bomb) for _ in range(50)]
    seconds = time.process_time() - begin
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert outputs == [bytes(MIB)] + [b""] * 49
    assert decoder.capped
    assert peak < 8 * MIB
    assert seconds < 1
    assert decoder.undecoded_bytes > 49 * len(bomb)


def test_a_bomb_in_a_bomb_is_bounded_between_the_stages() -> None:
    """The inner stage yields nothing from endless empty blocks that the outer one unpacks."""
    inner = zlib.compressobj(wbits=-15)
    empty = inner.flush(zlib.Z_SYNC_FLUSH)  # five bytes for no output
    assert zlib.decompressobj(-15).decompress(empty * 3) == b""
    bomb = gzip.compress(empty * (20 * MIB))
    decoder = ContentDecoder("deflate, gzip", MIB)
    begin = time.process_time()
    assert decoder.feed(bomb) == b""
    assert time.process_time() - begin < 1
    assert decoder.capped


def test_a_zstd_window_beyond_that_of_http_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    encoder = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    wire = encoder.compress(b"x" * 1000) + encoder.flush()
    assert decode("zstd", [wire]) == (b"", ("corrupt", False, len(wire)))


def test_libraries_load_when_a_body_needs_them() -> None:
    script = (
        "import sys, collector.http.codings as c\n"
        "c.ContentDecoder('gzip', 9).feed(b'')\n"
        "print(sorted({'brotli', 'zstandard'} & set(sys.modules)))\n"
        "c.ContentDecoder('br', 9); print('brotli' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\nTrue\n"
