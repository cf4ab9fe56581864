"""The Huffman code of HTTP header strings (RFC 7541 section 5.2 and appendix B).

In: coded bytes of header strings. Out: the text, to `collector.http.hpack_fields`, and the codes,
to `collector.huffman_mask`.

The code is canonical: a symbol's code follows from the lengths of all codes, so that these
lengths are all the data there is.
"""

from __future__ import annotations

from functools import cache

EOS = 256
LENGTHS = (
    *(13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28),
    *(28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28),
    *(6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6),
    *(5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10),
    *(13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7),
    *(7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6),
    *(15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5),
    *(6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28),
    *(20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23),
    *(24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24),
    *(22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23),
    *(21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23),
    *(26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25),
    *(19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27),
    *(20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23),
    *(26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26),
    30,  # end of string, never sent whole
)
"""Bits of the code of each byte, and of EOS."""

_LENGTH_OF = bytes(LENGTHS[:EOS])
_PADDING_BITS = 7  # at most


class HuffmanError(ValueError):
    """The bytes are no Huffman-coded text."""


def coded_bits(text: bytes) -> int:
    """How many bits the code of a text has, without padding."""
    return sum(text.translate(_LENGTH_OF))


def encode(text: bytes) -> int:
    """The code of a text, as a number of `coded_bits(text)` bits, the first one highest."""
    return int("".join(map(_digits().__getitem__, text)) or "0", 2)


def decode(data: bytes | bytearray, *, cut: bool = False) -> bytes:
    """The text of coded bytes. `cut`: more bytes follow, so that the last symbol may be partial.

    Raises HuffmanError on EOS, and on padding that is too long or is not all ones.
    """
    steps, padding = _steps()
    text = bytearray()
    node = 0
    for byte in data:
        node, symbol = steps[node << 4 | byte >> 4]
        if symbol >= 0:
            text.append(symbol)
        elif node < 0:
            break
        node, symbol = steps[node << 4 | byte & 15]
        if symbol >= 0:
            text.append(symbol)
        elif node < 0:
            break
    if node < 0:
        raise HuffmanError("end of string inside a string")
    if not cut and node not in padding:
        raise HuffmanError("padding that is not the beginning of EOS")
    return bytes(text)


@cache
def symbol_codes() -> tuple[int, ...]:
    """The code of each byte, and of EOS."""
    codes = [0] * len(LENGTHS)
    code = length = 0
    for symbol in sorted(range(len(LENGTHS)), key=lambda symbol: (LENGTHS[symbol], symbol)):
        code <<= LENGTHS[symbol] - length
        length = LENGTHS[symbol]
        codes[symbol] = code
        code += 1
    return tuple(codes)


@cache
def _digits() -> tuple[str, ...]:
    return tuple(
        format(code, f"0{length}b") for code, length in zip(symbol_codes(), LENGTHS, strict=True)
    )


@cache
def _steps() -> tuple[list[tuple[int, int]], frozenset[int]]:
    """What four more bits do at a node of the code's tree: (next node, symbol or -1) by
    `node << 4 | bits`, next node -1 at EOS. And the nodes at which a string may end."""
    children: list[list[int]] = [[0, 0]]  # a node; a symbol as -1 - symbol
    for symbol, code in enumerate(symbol_codes()):
        node = 0
        for shift in range(LENGTHS[symbol] - 1, 0, -1):
            bit = code >> shift & 1
            if not children[node][bit]:
                children.append([0, 0])
                children[node][bit] = len(children) - 1
            node = children[node][bit]
        children[node][code & 1] = -1 - symbol
    steps = []
    for start in range(len(children)):
        for bits in range(16):
            node, found = start, -1
            for shift in (3, 2, 1, 0):
                node = children[node][bits >> shift & 1]
                if node < 0:
                    found, node = -1 - node, 0
                    if found == EOS:
                        found, node = -1, -1
                        break
            steps.append((node, found))
    ends, node = [0], 0
    for _ in range(_PADDING_BITS):
        node = children[node][1]
        ends.append(node)
    return steps, frozenset(ends)
