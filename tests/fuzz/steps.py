"""How an input is dealt out to a decoder: its choices, and the pieces and gaps they make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

MAX_CHOICES = 31
MAX_PIECES = 2000
_GAP_OF = 8  # of so many values one is a gap


class Input(NamedTuple):
    """One input, taken apart."""

    choices: bytes
    data: bytes

    def choice(self, at: int) -> int:
        """A choice of 0 to 255; 0 where none was made."""
        return self.choices[at] if at < len(self.choices) else 0


class Step(NamedTuple):
    """Bytes that come, or as many that are lost (`data` is None)."""

    direction: int
    data: bytes | None
    lost: int = 0


def parsed(raw: bytes) -> Input:
    """The input in `raw`."""
    count = raw[0] & MAX_CHOICES if raw else 0
    return Input(raw[1 : 1 + count], raw[1 + count :])


def packed(data: bytes, choices: bytes = b"") -> bytes:
    """The opposite of `parsed`."""
    assert len(choices) <= MAX_CHOICES
    return bytes([len(choices)]) + choices + data


def pieces(data: bytes, choices: bytes) -> list[bytes]:
    """The data cut as the choices say, used again and again: below 128 a piece of so many bytes,
    from there on of 64 times as many; 0 is all that is left."""
    result = []
    at = turn = 0
    while at < len(data):
        size = choices[turn % len(choices)] if choices else 0
        turn += 1
        if size >= 128:
            size = (size - 127) * 64
        if not size or turn >= MAX_PIECES:
            size = len(data) - at
        result.append(data[at : at + size])
        at += size
    return result


def with_gaps(data: bytes, choices: bytes) -> Iterator[Step]:
    """Pieces of one direction; some choices take a piece away."""
    for number, piece in enumerate(pieces(data, choices)):
        choice = choices[number % len(choices)] if choices else 0
        if choice % _GAP_OF == _GAP_OF - 1:
            yield Step(0, None, len(piece))
        else:
            yield Step(0, piece)


def both_directions(source: Input) -> Iterator[Step]:
    """Two bytes of choices a step: direction, whether it is lost, and a size of 14 bits. What is
    left then comes in the last direction."""
    choices, data = source
    at = direction = 0
    for number in range(0, len(choices) - 1, 2):
        word = choices[number] << 8 | choices[number + 1]
        direction, size = word >> 15, word & 0x3FFF
        piece = data[at : at + size]
        at += size
        if word & 0x4000:
            yield Step(direction, None, len(piece) or size)
        elif piece:
            yield Step(direction, piece)
    if at < len(data):
        yield Step(direction, data[at:])


def dealt(*steps: tuple[int, bytes]) -> bytes:
    """An input that `both_directions` turns into these steps; 15 at most."""
    choices = b"".join((way << 15 | len(data)).to_bytes(2, "big") for way, data in steps)
    return packed(b"".join(data for _, data in steps), choices)
