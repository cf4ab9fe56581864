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

from collector.header_masks import Secrets
from collector.http.websocket_frames import MESSAGE_LIMIT_BYTES

_TAIL = b"\x00\x00\xff\xff"  # of an empty stored block, which senders leave out (7.2.1)
_WINDOW_BYTES = 32 << 10
_PIECE_BYTES = 1 << 20
_MARK = re.compile(rb"\[redacted:[0-9a-f]{8}\]")
_STRATEGIES = ((9, zlib.Z_DEFAULT_STRATEGY), (9, zlib.Z_FIXED), (6, zlib.Z_FILTERED))
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
        if self._blind:
            return self._filled(len(data), final=final)
        if self._hidden:
            return self._filled(len(data), final=final)
        try:
            plain = self._inflated(data, final=final)
            masked, self._tail = self._secrets.in_body(self._tail, plain + _END * final)
        except (zlib.error, _Unreadable):
            return self._lost(len(data), final=final)
        if final:
            masked = masked[:-1]
        if self._differs_bytes <= 0 and masked == plain:
            if not final:
                self._recorded = self._said.copy()
            result: bytes | None = data
        else:
            result = self._recoded(data, plain, masked, whole=first and final, final=final)
        if result is None:
            return self._lost(len(data), final=final)
        self._remember(plain, masked)
        if self._said.eof:
            self._renew(plain, masked, whole=first and final)
        return result

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
    ) -> bytes | None:
        reader = self._reader()
        if _reads_as(reader, data, masked, final=final):
            self._recorded = None if final else reader
            return data
        if not whole:
            return None
        window = self._window.joined() if self._takeover else b""
        for text in (masked, _in_stars(plain, masked)):
            for found in _compressed(text, len(data), window):
                alone = self._takeover is not None or _reads_as(
                    zlib.decompressobj(-zlib.MAX_WBITS), found, text, final=True
                )
                if alone and _reads_as(self._reader(), found, text, final=True):
                    return found if text == masked else self._in_place(found, text)
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
        if reader is None or not size:
            return bytes(size)
        if not final:
            try:
                _pass(reader, bytes(size))
            except zlib.error:
                self._recorded = None
            return bytes(size)
        self._recorded = None
        for value in range(256):
            filling = bytes([value]) * size
            if _refused(reader.copy(), filling):
                return filling
        return bytes(size)
