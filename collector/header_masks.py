"""Masks for the header blocks of one direction of an HTTP/2 connection.

In: fragments of blocks, with their places in a read. Out: what to write over them, to
`collector.http2_redaction`. Masked blocks decode as before: each literal keeps its length, coded
and decoded, so that both dynamic tables stay alike.

What came of a block when a read ends is masked then, a value in parts. Where a block cannot be
read (bytes of it are missing, or it is not HPACK) the rest of it is zeroed. Blocks after that are
read on: values whose names stand in the lost part of the table are masked like credentials.
"""

from __future__ import annotations

from typing import Protocol

from collector.http.hpack_fields import CutField, Field, HpackDecoder, Literal, MalformedField
from collector.huffman_mask import Edit, HuffmanValue

Span = tuple[int, int]
Overwrite = tuple[int, bytes]  # where in a read, and with what

_REREAD_BYTES = 1 << 20  # of one field that many reads cut


class Secrets(Protocol):
    """What is secret, and what stands for it."""

    def in_header(self, name: bytes | None, value: bytes, *, cut: bool) -> list[Span]:
        """Secret parts of a header's value, in order and apart; those masked already too.

        `cut`: more of the value follows. A name of None is not known.
        """

    def in_body(self, tail: bytes, data: bytes) -> tuple[bytes, bytes]:
        """Body bytes, masked, and the next `tail`, given the one after those before."""

    def mask(self, secret: bytes) -> bytes:
        """Bytes as long as the secret; the secret itself where it is a mask already."""

    def mark(self, secret: bytes) -> bytes:
        """What a mask of the secret begins with when it has room for that."""


class HeaderMasker:
    """`complete`: the direction was seen from its first block on."""

    def __init__(self, secrets: Secrets, *, complete: bool) -> None:
        self._secrets = secrets
        self._hpack = HpackDecoder(complete=complete)
        self._buffer = bytearray()  # of the open block, from its cut field on
        self._places: list[tuple[int, int, int]] = []  # in the buffer, in the read, bytes
        self._passed = 0  # bytes in the buffer that earlier reads brought
        self._value = HuffmanValue()
        self._reread_bytes = 0
        self._broken = False  # the rest of the open block cannot be read
        self.blanked_bytes = 0

    def begin(self) -> None:
        """A block begins."""
        self._clear()
        self._broken = False

    def fragment(self, data: bytes, start: int, end: int) -> list[Overwrite]:
        """Take the part of the open block at `start` to `end` of a read."""
        if self._broken:
            return [(start, self._blank(end - start))]
        self._places.append((len(self._buffer), start, end - start))
        self._buffer += data[start:end]
        return []

    def lose(self) -> None:
        """Bytes are missing here, of the open block and maybe of others."""
        self._hpack.forget()
        self._clear()
        self._broken = True

    def settle(self, *, cut: bool) -> list[Overwrite]:
        """What to write over the fragments of this read. `cut`: the block goes on."""
        if not self._places:
            if not cut and self._buffer:
                self.lose()  # it ended inside a field
            return []
        buffer, places = self._buffer, self._places
        masked = bytearray(buffer)
        open_from = len(buffer)
        for item in self._hpack.read(buffer, cut=cut):
            if isinstance(item, Field) and item.value_literal is not None:
                self._mask(masked, item.name, item.value_literal)
            elif isinstance(item, CutField):
                open_from = item.start
                if item.value_literal is not None:
                    self._mask(masked, item.name, item.value_literal)
            elif isinstance(item, MalformedField):
                begin = max(item.start, self._passed)
                masked[begin:] = self._blank(len(masked) - begin)
                self._broken = True
        self._keep(open_from)
        return [
            (place, bytes(masked[at : at + size]))
            for at, place, size in places
            if masked[at : at + size] != buffer[at : at + size]
        ]

    def _keep(self, open_from: int) -> None:
        left = self._buffer[open_from:]
        reread = self._reread_bytes + len(left) if open_from == 0 else 0
        value = self._value
        self._clear()
        if left and not self._broken:
            self._buffer, self._passed, self._reread_bytes = left, len(left), reread
            self._value = value
            if reread > _REREAD_BYTES:
                self.lose()

    def _clear(self) -> None:
        self._buffer, self._places, self._passed = bytearray(), [], 0
        self._value, self._reread_bytes = HuffmanValue(), 0

    def _blank(self, size: int) -> bytes:
        self.blanked_bytes += size
        return bytes(size)

    def _mask(self, masked: bytearray, name: bytes | None, literal: Literal) -> None:
        start, end, text = literal.start, min(literal.end, len(masked)), literal.text
        passed = max(0, self._passed - start)
        if end <= start + passed:
            return
        cut = literal.end > end
        spans = self._secrets.in_header(name, text, cut=cut)
        if literal.huffman:
            edits: list[Edit] = []
            for first, behind in spans:
                whole = not (cut and behind == len(text))
                mark = self._secrets.mark(text[first:behind]) if whole else b""
                edits.append((first, behind, mark))
            if edits or cut or passed:
                coded = bytes(self._buffer[start:end])
                masked[start + passed : end] = self._value.overwrite(
                    coded, text, passed, edits, cut=cut
                )
        else:
            for first, behind in spans:
                whole = first >= passed and not (cut and behind == len(text))
                first = max(first, passed)
                secret = text[first:behind]
                mask = self._secrets.mask(secret) if whole else b"*" * len(secret)
                masked[start + first : start + behind] = mask
        if not cut:
            self._value = HuffmanValue()
