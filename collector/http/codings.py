"""Undoes content codings as bytes arrive (RFC 9110 section 8.4, RFC 8878 for zstd).

In: the body bytes of one message and its Content-Encoding. Out: what they encode, as soon as it
can be decoded, to `collector.exchange`. Each coding is a `_Stage` that pushes decoded pieces to
the next one; the last pushes to the result. Every stage decodes in pieces of bounded size and
counts them against the limit, so that a decompression bomb, also a nested one, costs a bounded
amount of memory and time: decoding stops for good at the limit.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable

MAX_CODINGS = 4  # longer lists than a peer would undo are refused as unknown

_SLICE_BYTES = 16 * 1024  # of input, decoded or counted as undecoded in one piece
_PIECE_BYTES = 64 * 1024  # of output
_MAX_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024  # RFC 9659: HTTP encoders must not need more
_GZIP_WBITS = zlib.MAX_WBITS | 16
_GZIP_MAGIC = 0x1F
_ZSTD_SLICE_BYTES = 64  # a block of 4 bytes may hold 128 KiB, and output cannot be limited

Push = Callable[[bytes], None]  # takes a piece of output


class _CorruptError(Exception):
    """The input is not what the coding says."""


class _LimitReachedError(Exception):
    """The output limit is reached."""


class _Stage(ABC):
    """Undoes one coding. `extra_bytes` counts input behind the coding's end."""

    def __init__(self, push: Push) -> None:
        self._push = push
        self._begun = False
        self.extra_bytes = 0

    def feed(self, data: bytes) -> None:
        """Decode some input and push what comes out."""
        self._begun = True
        self._decode(data)

    def is_whole(self) -> bool:
        """May the input end here? So may one that never began."""
        return not self._begun or self._ended()

    @abstractmethod
    def _decode(self, data: bytes) -> None: ...

    @abstractmethod
    def _ended(self) -> bool: ...


class _Gzip(_Stage):
    """Any number of gzip members (RFC 1952)."""

    def __init__(self, push: Push) -> None:
        super().__init__(push)
        self._member = zlib.decompressobj(_GZIP_WBITS)

    def _decode(self, data: bytes) -> None:
        while data:
            if self._member.eof:
                if self.extra_bytes or data[0] != _GZIP_MAGIC:  # garbage, which peers pass over
                    self.extra_bytes += len(data)
                    return
                self._member = zlib.decompressobj(_GZIP_WBITS)
            _inflate(self._member, data, self._push)
            data = self._member.unused_data

    def _ended(self) -> bool:
        return self._member.eof


class _Deflate(_Stage):
    """Deflate in a zlib wrapper, or raw as some servers send it."""

    def __init__(self, push: Push) -> None:
        super().__init__(push)
        self._first = b""  # the first byte, alone: two tell whether there is a wrapper
        self._stream: zlib._Decompress | None = None

    def _decode(self, data: bytes) -> None:
        if self._stream is None:
            data = self._first + data
            if len(data) < 2:
                self._first = data
                return
            wrapped = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
        elif self._stream.eof:
            self.extra_bytes += len(data)
            return
        _inflate(self._stream, data, self._push)
        self.extra_bytes += len(self._stream.unused_data)

    def _ended(self) -> bool:
        return self._stream is not None and self._stream.eof


class _Brotli(_Stage):
    """Brotli (RFC 7932)."""

    def __init__(self, push: Push) -> None:
        super().__init__(push)
        import brotli  # type: ignore[import-untyped]

        self._error = brotli.error
        self._stream = brotli.Decompressor()

    def _decode(self, data: bytes) -> None:
        if self._stream.is_finished():
            self.extra_bytes += len(data)
            return
        while True:
            try:
                piece = self._stream.process(data, output_buffer_limit=_PIECE_BYTES)
            except self._error as error:
                raise _CorruptError from error
            if piece:
                self._push(piece)
            if len(piece) < _PIECE_BYTES and self._stream.can_accept_more_data():
                return  # a full piece may leave output behind, also when all input was taken
            data = b""

    def _ended(self) -> bool:
        return bool(self._stream.is_finished())


class _Zstd(_Stage):
    """Any number of zstd frames (RFC 8878)."""

    def __init__(self, push: Push) -> None:
        super().__init__(push)
        import zstandard

        self._error = zstandard.ZstdError
        self._zstd = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW_BYTES)
        self._frame = self._zstd.decompressobj(write_size=_PIECE_BYTES)

    def _decode(self, data: bytes) -> None:
        for at in range(0, len(data), _ZSTD_SLICE_BYTES):
            rest = data[at : at + _ZSTD_SLICE_BYTES]
            while rest:
                if self._frame.eof:
                    self._frame = self._zstd.decompressobj(write_size=_PIECE_BYTES)
                try:
                    piece = self._frame.decompress(rest)
                except self._error as error:
                    raise _CorruptError from error
                if piece:
                    self._push(piece)
                rest = self._frame.unused_data

    def _ended(self) -> bool:
        return self._frame.eof


def _inflate(stream: zlib._Decompress, data: bytes, push: Push) -> None:
    """Push all that `data` inflates to, up to the end of the stream."""
    while True:
        try:
            piece = stream.decompress(data, _PIECE_BYTES)
        except zlib.error as error:
            raise _CorruptError from error
        if piece:
            push(piece)
        data = stream.unconsumed_tail
        if stream.eof or (not data and len(piece) < _PIECE_BYTES):
            return


def _limited(push: Push, limit_bytes: int) -> Push:
    """The same, until more than `limit_bytes` were pushed."""
    room = limit_bytes

    def limited(piece: bytes) -> None:
        nonlocal room
        room -= len(piece)
        if room < 0:
            raise _LimitReachedError
        push(piece)

    return limited


def _drop(_piece: bytes) -> None:
    """Where output goes while nobody has asked for any."""


_STAGES: dict[str, type[_Stage]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}


class ContentDecoder:
    """Decodes one body; `limit_bytes` bounds the output of each coding.

    `failed` says why decoding stopped or was never begun (`unknown_coding`, `corrupt`), or that
    the body ended too soon (`truncated`); what came out before is good. `capped` says that there
    is more output than the limit. `undecoded_bytes` counts input that was not decoded whole, in
    slices as it was fed (at most 16 KiB each), and bytes behind the end of the coding.
    """

    def __init__(self, content_encoding: str | None, limit_bytes: int) -> None:
        self.failed: str | None = None
        self.capped = False
        self._undecoded_bytes = 0
        self._room_bytes = limit_bytes  # for output
        self._take: Push = _drop
        self._stages: list[_Stage] = []
        names = [name.strip().lower() for name in (content_encoding or "").split(",")]
        names = [name for name in names if name not in ("", "identity")]
        if len(names) > MAX_CODINGS or any(name not in _STAGES for name in names):
            self.failed = "unknown_coding"
            return
        push: Push = self._emit
        for name in names:  # the coding applied first is undone last
            stage = _STAGES[name](push)
            self._stages.append(stage)
            push = _limited(stage.feed, 2 * limit_bytes + _PIECE_BYTES)

    @property
    def undecoded_bytes(self) -> int:
        """Input bytes that were not decoded, see above."""
        extra = self._stages[-1].extra_bytes if self._stages else 0
        return self._undecoded_bytes + extra

    def feed(self, data: bytes) -> bytes:
        """Take body bytes and return what they decode to, which may be as much as the limit."""
        output: list[bytes] = []
        self.feed_to(output.append, data)
        return output[0] if len(output) == 1 else b"".join(output)

    def feed_to(self, take: Push, data: bytes) -> None:
        """Take body bytes and push what they decode to, in pieces."""
        if self.failed or self.capped:
            self._undecoded_bytes += len(data)
            return
        if not self._stages:
            plain = data[: self._room_bytes]
            self._room_bytes -= len(plain)
            self._undecoded_bytes += len(data) - len(plain)
            self.capped = len(plain) < len(data)
            if plain:
                take(plain)
            return
        self._take = take
        for at in range(0, len(data), _SLICE_BYTES):
            try:
                self._stages[-1].feed(data[at : at + _SLICE_BYTES])
            except _LimitReachedError:
                self.capped = True
            except _CorruptError:
                self.failed = "corrupt"
            if self.failed or self.capped:
                self._undecoded_bytes += len(data) - at
                break

    def finish(self) -> bytes:
        """Note the end of the body. Nothing is held back, so nothing more comes out."""
        ended = self.failed or self.capped  # before the end; the stages are of no more use
        if not ended and not all(stage.is_whole() for stage in self._stages):
            self.failed = "truncated"
        return b""

    def _emit(self, piece: bytes) -> None:
        """Take a piece of the final output; what is beyond the limit is dropped."""
        room = self._room_bytes
        self._room_bytes = max(0, room - len(piece))
        if len(piece) > room:
            if room:
                self._take(piece[:room])
            raise _LimitReachedError
        self._take(piece)
