"""Recordings: a capture's frames in a file, compressed, checked and complete up to a torn tail.

In: redacted frames. Out: the same frames. Layout: magic, u32 length and CaptureInfo as JSON, then
blocks of u32 compressed size, u32 plain size, u32 CRC-32 of the plain bytes, and zstd data that
holds whole frames. A block is written at least once a second, so a crash loses at most that.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import zstandard

from collector.capture_info import CaptureInfo
from probes.errors import UnderglassError
from probes.frames import FrameSplitter

MAGIC = b"UGLASS01"
_BLOCK = struct.Struct("<III")
_LENGTH = struct.Struct("<I")
BLOCK_BYTES = 1 << 20
MAX_BLOCK_BYTES = 64 << 20
_LEVEL = 3


class NotARecording(UnderglassError):
    """The file is not a recording, or one of a format that this version does not know."""


class RecordingFull(UnderglassError):
    """The next block would take a recording beyond its limit."""


class RecordingWriter:
    """Appends frames to a new file of mode 0600, of at most `limit_bytes` (None: any size).

    Raises UnderglassError when it cannot write, `RecordingFull` at the limit; what was written
    before stays readable. `written_bytes` is the size of the file, `kept_bytes` that of the
    frames in its whole blocks.
    """

    def __init__(self, path: Path, info: CaptureInfo, limit_bytes: int | None = None) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self.written_bytes = 0
        self.kept_bytes = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):  # a device keeps its mode
                os.fchmod(descriptor, 0o600)
        except OSError as error:
            raise UnderglassError(
                f"cannot write {path}: {error.strerror}", hint="give another file"
            ) from error
        self._file = open(descriptor, "wb", buffering=0)
        head = info.to_json()
        self._write(MAGIC + _LENGTH.pack(len(head)) + head)

    def add(self, frame: bytes) -> None:
        """Take one frame."""
        self._pending.append(frame)
        self._pending_bytes += len(frame)
        if self._pending_bytes >= BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is pending as a block."""
        if not self._pending:
            return
        plain = b"".join(self._pending)
        self._pending, self._pending_bytes = [], 0
        packed = self._compressor.compress(plain)
        self._write(_BLOCK.pack(len(packed), len(plain), zlib.crc32(plain)) + packed)
        self.kept_bytes += len(plain)

    def _write(self, data: bytes) -> None:
        if self._limit_bytes is not None and self.written_bytes + len(data) > self._limit_bytes:
            raise RecordingFull(
                f"{self._path} has reached its limit of {self._limit_bytes:,} bytes",
                hint="what was recorded so far stays readable",
            )
        view = memoryview(data)
        try:
            while view:
                taken = self._file.write(view)
                self.written_bytes += taken
                view = view[taken:]
        except OSError as error:
            raise UnderglassError(
                f"cannot write {self._path}: {error.strerror}",
                hint="free disk space; what was recorded so far stays readable",
            ) from error

    def close(self) -> None:
        """Write what is pending and close."""
        self.flush()
        self._file.close()


class RecordingReader:
    """Reads a recording. `damage` tells, after the last frame, what could not be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.damage: str | None = None
        try:
            self._file = open(path, "rb")
            self.size_bytes = os.fstat(self._file.fileno()).st_size
            self._left_bytes = self.size_bytes
        except OSError as error:
            raise UnderglassError(f"cannot read {path}: {error.strerror}") from error
        magic = self._read(len(MAGIC))
        length = self._read(_LENGTH.size)
        if magic != MAGIC or len(length) < _LENGTH.size:
            raise NotARecording(
                f"{path} is not a recording", hint="make one: underglass record FILE -- CMD"
            )
        size = _LENGTH.unpack(length)[0]
        try:
            self.info = CaptureInfo.from_json(self._read(min(size, 1 << 20)))
        except ValueError as error:
            raise NotARecording(
                f"{path} has a head that this version cannot read: {error}",
                hint="replay it with the version of underglass that recorded it",
            ) from error

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._left_bytes -= len(data)
        return data

    @property
    def read_bytes(self) -> int:
        """How far into the file it has read."""
        return self.size_bytes - self._left_bytes

    def frames(self) -> Iterator[bytes]:
        """Whole frames in the order of capture, up to the first damage."""
        splitter = FrameSplitter()
        decompressor = zstandard.ZstdDecompressor()
        while head := self._read(_BLOCK.size):
            if len(head) < _BLOCK.size:
                self.damage = "the last block is cut off"
                return
            packed_size, plain_size, checksum = _BLOCK.unpack(head)
            if packed_size > self._left_bytes:
                self.damage = "the last block is cut off"
                return
            if plain_size > MAX_BLOCK_BYTES:
                self.damage = "a block claims an impossible size"
                return
            packed = self._read(packed_size)
            try:
                # What the data claims would be allocated, whatever `max_output_size` says.
                if zstandard.frame_content_size(packed) != plain_size:
                    raise ValueError("size")
                plain = decompressor.decompress(packed, max_output_size=plain_size)
                if len(plain) != plain_size or zlib.crc32(plain) != checksum:
                    raise ValueError("checksum")
                yield from splitter.feed(plain)
            except (zstandard.ZstdError, ValueError):
                self.damage = "a block is damaged; what follows it was not read"
                return
        if splitter.pending_bytes:
            self.damage = "the last frame is cut off"

    def close(self) -> None:
        """Close the file."""
        self._file.close()
