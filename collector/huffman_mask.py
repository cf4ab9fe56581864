"""Masks for Huffman-coded header values.

In: a coded value, or what came of it, and which of its characters are secret. Out: coded bytes of
the same length that decode to text of the same length, to `collector.header_masks`.

A mask is made from two figures alone, the secret's length in characters and in bits, so that it
tells nothing else: not which characters have short codes, nor where. The characters of the mask
are those of `FILLERS`, the short codes first. Where two reads cut a character's code, its first
bits are replaced too, unless they leave open how long it is: such bits stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from collector.http import huffman
from collector.http.huffman import EOS, LENGTHS

# One character for each length of a code; such that stand in text where there are any.
FILLERS = {length: symbol for symbol, length in enumerate(LENGTHS[:EOS])} | {
    LENGTHS[symbol]: symbol for symbol in b"o-x*!+#~^`"
}
_LONGEST_FIRST = sorted(FILLERS, reverse=True)
_SHORTEST, _LONGEST = _LONGEST_FIRST[-1], _LONGEST_FIRST[0]
_MARK = re.compile(rb"\[redacted:[0-9a-f]{8}\]")
_TEXT_BITS = 8  # most bits of the codes that common characters have
_NONE = (0, 0)

Edit = tuple[int, int, bytes]  # first character, the one behind the last, what a mask begins with
_Bits = tuple[int, int]  # how many, and their value


def filler(count: int, bits: int) -> bytes:
    """The mask for all texts of `count` characters and `bits` bits. There must be one."""
    if not count:
        return b""
    mean, longer = divmod(bits, count)
    if mean + (longer > 0) <= _TEXT_BITS:  # there are codes of all such lengths
        return (
            bytes([FILLERS[mean]]) * (count - longer) + bytes([FILLERS.get(mean + 1, 0)]) * longer
        )
    text = bytearray()
    while count:
        for length in _LONGEST_FIRST:
            if length * count <= bits and _possible(count - 1, bits - length):
                break
        else:
            raise ValueError("no text has that length")
        text.append(FILLERS[length])
        count -= 1
        bits -= length
    return bytes(text)


def _possible(count: int, bits: int) -> bool:
    """Does any text of `count` characters have `bits` bits?"""
    if count < 2:
        return bits in FILLERS if count else bits == 0
    return _SHORTEST * count <= bits <= _LONGEST * count and bits != _LONGEST * count - 1


def mask_text(secret: bytes, mark: bytes = b"") -> bytes:
    """Text as long as the secret in characters and bits, with `mark` first where it fits.

    A secret that is such a text already, with whatever mark, stays.
    """
    count, bits = len(secret), huffman.coded_bits(secret)
    marked = _MARK.match(secret)
    if mark and marked and secret == _marked(marked[0], count, bits):
        return secret
    return _marked(mark, count, bits)


def is_mask(text: bytes) -> bool:
    """Could the text be what `mask_text` gave?"""
    marked = _MARK.match(text)
    mark = marked[0] if marked else b""
    return len(text) > 0 and text == _marked(mark, len(text), huffman.coded_bits(text))


def _marked(mark: bytes, count: int, bits: int) -> bytes:
    count_left, bits_left = count - len(mark), bits - huffman.coded_bits(mark)
    if mark and count_left >= 0 and _possible(count_left, bits_left):
        return mark + filler(count_left, bits_left)
    return filler(count, bits)


class HuffmanValue:
    """One coded value, in as many parts as reads brought it."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: _Bits = _NONE  # of the character that the last read's end cut: as passed on

    def overwrite(
        self, coded: bytes, text: bytes, passed: int, edits: Sequence[Edit], *, cut: bool
    ) -> bytes:
        """What to pass on in place of `coded[passed:]`; to be called once for each part.

        `coded` is the value from its first byte on, `text` what it decodes to; `passed` bytes of
        it were passed on before. `edits` stand apart; the mark of one that begins in an earlier
        part is left out. `cut`: more follows; an edit that ends with the text goes on then.
        """
        first, cut_bits = _reached(text, 8 * passed)
        characters = bytearray(text)
        for start, end, mark in edits:
            begin = max(start, first + (cut_bits > 0))
            if begin < end:
                secret = text[begin:end]
                characters[begin:end] = mask_text(secret, mark if begin == start else b"")
        under = self._open if cut_bits else _NONE
        if cut_bits and first < len(text):
            hidden = any(start <= first < end for start, end, _ in edits)
            characters[first] = _completed(text[first], under, hidden=hidden)
            under = _NONE
        rest_bits = 8 * len(coded) - huffman.coded_bits(text)
        rest = int.from_bytes(coded[-8:], "big") & (1 << rest_bits) - 1
        if cut and rest_bits:
            hidden = any(end == len(text) for _, end, _ in edits)
            rest = _begun((rest_bits, rest), under, hidden=hidden)
        self._open = (rest_bits, rest) if cut and rest_bits else _NONE
        whole = huffman.encode(bytes(characters)) << rest_bits | rest
        return whole.to_bytes(len(coded), "big")[passed:]


def _reached(text: bytes, bits: int) -> tuple[int, int]:
    """The character that comes `bits` bits into a text's code, and how many of those are its."""
    for at, symbol in enumerate(text):
        if bits < LENGTHS[symbol]:
            return at, bits
        bits -= LENGTHS[symbol]
    return len(text), bits


def _completed(symbol: int, begun: _Bits, *, hidden: bool) -> int:
    """The symbol to pass on where the first bits of its code were passed on as `begun`."""
    length = LENGTHS[symbol]
    count, value = begun
    if not hidden and huffman.symbol_codes()[symbol] >> length - count == value:
        return symbol
    return _symbols()[length, _lowest(length, length, begun)]


def _begun(bits: _Bits, under: _Bits, *, hidden: bool) -> int:
    """The bits to pass on for those that began a code, of which the first went as `under`."""
    count, value = bits
    if not hidden and value >> count - under[0] == under[1]:
        return value
    length = _length_at(value << _LONGEST - count)
    if length != _length_at((value + 1 << _LONGEST - count) - 1):
        return value
    return _lowest(count, length, under)


def _lowest(count: int, length: int, under: _Bits) -> int:
    """The lowest `count` bits that only codes of `length` begin with, and that begin as told."""
    first = -(-_first_codes()[length] >> length - count)
    return max(under[1] << count - under[0], first)


def _length_at(bits: int) -> int:
    """How long the code is that these bits begin with; the longest codes are such bits."""
    for length in reversed(_LONGEST_FIRST):
        if bits >> _LONGEST - length < _first_codes()[length] + LENGTHS.count(length):
            return length
    return _LONGEST


@cache
def _first_codes() -> dict[int, int]:
    return {
        length: min(
            code
            for code, other in zip(huffman.symbol_codes(), LENGTHS, strict=True)
            if other == length
        )
        for length in FILLERS
    }


@cache
def _symbols() -> dict[tuple[int, int], int]:
    return {
        (LENGTHS[symbol], code): symbol for symbol, code in enumerate(huffman.symbol_codes()[:EOS])
    }
