"""Masks for the compressed messages of one direction of a WebSocket (RFC 7692).

In: their payloads, unmasked, in the parts that reads brought. Out: bytes of equal lengths that
decompress to the redacted messages, to `collector.websocket_redaction`.

What a message says stands for later ones to refer to, so a redacted one is compressed anew on the
window that a reader of the recording has, and filled up with empty blocks; every later message is
tried on that window too, until it is the sender's again. Where that does not fit, or the message
began in an earlier read, the rest of it is blanked: filled with what a decoder refuses. Then
nothing more of the direction can be known when messages share a window, and all of it is blanked.
"""

from __future__ import annotations

import re
import zlib
from collections import deque
from collections.abc import Iterator

from collector.header_masks import Secrets
from collector.http.websocket_frames import MESSAGE_LIMIT_BYTES

_TAIL = b"\x00\x00\xff\xff"  # of an empty stored block, which senders leave out (7.2.1)
_WINDOW_BYTES = 32 << 10
_PROBE = b"\x4a\x04\x00"  # a block that says `a`, readable where a message may begin
_PIECE_BYTES = 1 << 20
_MARK = re.compile(rb"\[redacted:[0-9a-f]{8}\]")
_STRATEGIES = ((9, zlib.Z_DEFAULT_STRATEGY), (9, zlib.Z_FIXED), (6, zlib.Z_FILTERED))
_NEAR_BYTES = 64  # what another way of compressing may save
_FIXED = (2).to_bytes(2, "little")  # an empty fixed block, and the head of a stored one
_END = b"\0"  # behind a message: no key goes on over it


class _Unreadable(Exception):
    """No message, or one that is too long."""


class _Window:
    """The end of what was said, as the recording has it."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = 0

    def add(self, data: bytes) -> None:
        self._pieces.append(data[-_WINDOW_BYTES:])
        self._size += len(self._pieces[-1])
        while self._size - len(self._pieces[0]) >= _WINDOW_BYTES:
            self._size -= len(self._pieces.popleft())

    def clear(self) -> None:
        self._pieces.clear()
        self._size = 0

    def joined(self) -> bytes:
        data = b"".join(self._pieces)[-_WINDOW_BYTES:]
        self.clear()
        self.add(data)
        return data


class DeflateMasker:
    """`takeover`: do messages refer back to earlier ones? None: not known."""

    def __init__(self, secrets: Secrets, *, takeover: bool | None) -> None:
        self._secrets = secrets
        self._takeover = takeover
        self._said = zlib.decompressobj(-zlib.MAX_WBITS)
        self._window = _Window()
        self._differs_bytes = 0  # so much further the sender's window is another than the reader's
        self._recorded: zlib._Decompress | None = None  # a reader in the middle of a message
        self._open = False
        self._hidden = False  # what comes of the open message is blanked
        self._blind = False  # nothing more can be read
        self._tail = b""
        self._message_bytes = 0
        self.blanked_bytes = 0

    def agree(self, *, takeover: bool) -> None:
        """What was not known before."""
        if self._takeover is None:
            self._takeover = takeover

    def lose(self) -> None:
        """A compressed message, or a part of it, is missing or cannot be read."""
        if self._takeover:
            self._blind = True
        self._takeover = bool(self._takeover)
        self._hidden = True
        self._open = False

    def part(self, data: bytes, *, final: bool) -> bytes:
        """The next part of a message. `final`: it ends here."""
        first, self._open = not self._open, not final
        if first:
            self._begin()
        if self._blind or self._hidden:
            return self._filled(len(data), final=final)
        try:
            if first and final and not data:  # not even the empty block
                raise _Unreadable
            plain = self._inflated(data, final=final)
            masked, self._tail = self._secrets.in_body(self._tail, plain + _END * final)
        except (zlib.error, _Unreadable):
            return self._lost(len(data), final=final)
        if final:
            masked = masked[:-1]
        if self._differs_bytes <= 0 and masked == plain:
            if not final:
                self._recorded = self._said.copy()
        else:
            recoded = self._recoded(data, plain, masked, whole=first and final, final=final)
            if recoded is None:
                return self._lost(len(data), final=final)
            data, masked = recoded
        self._remember(plain, masked)
        if self._said.eof:
            self._renew(plain, masked, whole=first and final)
        return data

    def _begin(self) -> None:
        self._hidden, self._tail, self._message_bytes = False, b"", 0
        self._recorded = None
        if self._takeover is False:
            self._said = zlib.decompressobj(-zlib.MAX_WBITS)
            self._window.clear()
            self._differs_bytes = 0

    def _inflated(self, data: bytes, *, final: bool) -> bytes:
        said, pieces = self._said, []
        while True:
            piece = said.decompress(data, _PIECE_BYTES)
            pieces.append(piece)
            self._message_bytes += len(piece)
            if self._message_bytes > MESSAGE_LIMIT_BYTES:
                raise _Unreadable
            data = said.unconsumed_tail
            if said.eof or (not data and len(piece) < _PIECE_BYTES):
                break
        if said.eof:
            if not final or said.unused_data not in (b"", b"\0"):
                raise _Unreadable
        elif final and said.decompress(_TAIL, 1):
            raise _Unreadable
        return b"".join(pieces)

    def _remember(self, plain: bytes, masked: bytes) -> None:
        if masked != plain:
            self._differs_bytes = _WINDOW_BYTES
        else:
            self._differs_bytes -= min(len(plain), self._differs_bytes)
        if self._takeover is not False:
            self._window.add(masked)

    def _renew(self, plain: bytes, masked: bytes, *, whole: bool) -> None:
        """A message ended the deflate stream (7.2.3.4); the next one may refer back to it."""
        if not whole:
            self.lose()
            return
        self._said = zlib.decompressobj(-zlib.MAX_WBITS, zdict=plain[-_WINDOW_BYTES:])
        self._window.clear()
        self._window.add(masked)

    # Other bytes for a message

    def _reader(self) -> zlib._Decompress:
        """What a reader of the recording has, as this part begins."""
        if self._recorded is not None:
            return self._recorded.copy()
        return zlib.decompressobj(-zlib.MAX_WBITS, zdict=self._window.joined())

    def _recoded(
        self, data: bytes, plain: bytes, masked: bytes, *, whole: bool, final: bool
    ) -> tuple[bytes, bytes] | None:
        """Bytes that are read as the masked message, and what they are read as."""
        reader = self._reader()
        if _reads_as(reader, data, masked, final=final):
            self._recorded = None if final else reader
            return data, masked
        if not whole:
            return None
        window = self._window.joined() if self._takeover else b""
        for text in (masked, _in_stars(plain, masked)):
            for found in _compressed(text, len(data), window):
                alone = self._takeover is not None or _reads_as(
                    zlib.decompressobj(-zlib.MAX_WBITS), found, text, final=True
                )
                if alone and _reads_as(self._reader(), found, text, final=True):
                    return found, text
        return None

    # Blanks

    def _lost(self, size: int, *, final: bool) -> bytes:
        if self._recorded is None and not self._blind:
            self._recorded = self._reader()
        self.lose()
        self._open = not final
        return self._filled(size, final=final)

    def _filled(self, size: int, *, final: bool) -> bytes:
        """Zeros, or another byte, so that the message can be taken for none."""
        self.blanked_bytes += size
        reader = self._recorded
        if final:
            self._recorded = None
        if reader is None or not size:
            return bytes(size)
        for value in range(256):
            filling = bytes([value]) * size
            if _refused(reader.copy(), filling):
                break
        try:
            _pass(reader, filling)
        except zlib.error:
            self._recorded = None  # it is refused, whatever follows
        return filling


def _reads_as(reader: zlib._Decompress, data: bytes, text: bytes, *, final: bool) -> bool:
    try:
        if reader.decompress(data, len(text) + 1) != text:
            return False
        if reader.eof:
            return final and reader.unused_data in (b"", b"\0")
        return not final or reader.decompress(_TAIL + _PROBE, 2) == b"a"
    except zlib.error:
        return False


def _refused(reader: zlib._Decompress, data: bytes) -> bool:
    """Is a message that ends so none, to `collector.http.websocket_deflate`?"""
    try:
        _pass(reader, data)
        if reader.eof:
            return reader.unused_data not in (b"", b"\0")
        return bool(reader.decompress(_TAIL, 1))
    except zlib.error:
        return True


def _pass(reader: zlib._Decompress, data: bytes) -> None:
    passed = 0
    while True:
        size = len(reader.decompress(data, _PIECE_BYTES))
        data = reader.unconsumed_tail
        passed += size
        if passed > MESSAGE_LIMIT_BYTES:
            raise zlib.error("too long")
        if reader.eof or (not data and size < _PIECE_BYTES):
            return


def _in_stars(plain: bytes, masked: bytes) -> bytes:
    """Without the fingerprints that were not there before: they take more room than stars."""

    def stars(match: re.Match[bytes]) -> bytes:
        start, end = match.span()
        return match[0] if plain[start:end] == match[0] else b"*" * (end - start)

    return _MARK.sub(stars, masked)


def _compressed(text: bytes, size: int, window: bytes) -> Iterator[bytes]:
    """The text in exactly so many bytes, in each way that is found."""
    end = text.rfind(b"*") + 1 or len(text)
    for level, strategy in _STRATEGIES:
        for split in (0, end - 1, end - 2, end - 3):  # other tokens, some bits more
            stream = zlib.compressobj(
                level, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL + 1, strategy, window
            )
            parts = []
            if split > 0:
                parts += [stream.compress(text[:split]), stream.flush(zlib.Z_PARTIAL_FLUSH)]
            parts += [stream.compress(text[max(split, 0) :]), stream.flush(zlib.Z_SYNC_FLUSH)]
            found = b"".join(parts).removesuffix(_TAIL)
            padding = _padding(size - len(found))
            if padding is not None:
                yield found + padding
            elif size > len(found):
                yield from _shifted(found, size)
            elif len(found) > size + _NEAR_BYTES:
                return
            else:
                break


def _shifted(message: bytes, size: int) -> Iterator[bytes]:
    """The message behind empty fixed blocks, where that may be so long: its end tells."""
    bits = int.from_bytes(message, "little")
    for count in range(1, 8 * size // 10 - 8 * len(message) // 10 + 2):
        shifted = bits << 10 * count | _fixed_blocks(count)
        if shifted.bit_length() <= 8 * size:
            yield shifted.to_bytes(size, "little")


def _fixed_blocks(count: int) -> int:
    """Empty fixed blocks (RFC 1951, 3.2.6), of ten bits each."""
    return sum(2 << 10 * number for number in range(count))


def _padding(size: int) -> bytes | None:
    """So many bytes of empty blocks, to stand behind a message. None: there are none such.

    They begin with the end of the message's own last block. A stored block takes five bytes;
    fixed ones, of ten bits each, make the difference.
    """
    stored = max(0, (size - 20) // 5)
    rest = size - 5 * stored
    if not rest:
        return b""
    for first, head in ((0, b""), (5, _TAIL + b"\0"), (6, _TAIL + _FIXED)):
        left = rest - first - len(_TAIL)
        if left < 1:
            continue
        count = (8 * left - 3) // 10  # fixed blocks, and the three bits of the stored one
        if (10 * count + 3 + 7) // 8 == left:
            tail = _TAIL + _fixed_blocks(count).to_bytes(left, "little")
            return (_TAIL + b"\0") * stored + head + tail
    return None
