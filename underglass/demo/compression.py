"""Content codings of responses: which one a client takes, and incremental compressors.

In: an Accept-Encoding header, body bytes. Out: compressed bytes, flushed piece by piece so that
a stream stays a stream.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable


def accepted_coding(coding: str | None, headers: dict[str, str]) -> str | None:
    """The turn's content coding, if the client takes it."""
    accepted = [
        item.split(";")[0].strip() for item in headers.get("accept-encoding", "").split(",")
    ]
    return coding if coding in accepted else None


Compress = Callable[[bytes, bool], bytes]
"""Compresses (data, is it the last): all of it comes out, flushed."""


def compressor(coding: str) -> Compress:
    """An incremental compressor for gzip, br or zstd."""
    if coding == "gzip":
        gzip = zlib.compressobj(wbits=31)

        def with_gzip(data: bytes, last: bool) -> bytes:
            return gzip.compress(data) + gzip.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)

        return with_gzip
    if coding == "br":
        import brotli  # type: ignore[import-untyped]

        br = brotli.Compressor(quality=4)

        def with_br(data: bytes, last: bool) -> bytes:
            out: bytes = br.process(data) + (br.finish() if last else br.flush())
            return out

        return with_br
    import zstandard

    zstd = zstandard.ZstdCompressor().compressobj()

    def with_zstd(data: bytes, last: bool) -> bytes:
        flush = zstandard.COMPRESSOBJ_FLUSH_FINISH if last else zstandard.COMPRESSOBJ_FLUSH_BLOCK
        return zstd.compress(data) + zstd.flush(flush)

    return with_zstd
