"""Lines of styled text, and how long ones are broken.

In: text with words of style. Out: lines that fit a width in cells. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len, get_character_cell_size

Part = tuple[str, str]
"""Printable text without line breaks, and a word of style; "" is none."""
Line = tuple[Part, ...]


def line_length(line: Iterable[Part]) -> int:
    """How many cells a line takes."""
    return sum(cell_len(text) for text, _ in line)


def wrapped(parts: Sequence[Part], width: int, indent: Line = (), then: Line = ()) -> list[Line]:
    """Parts as lines of at most `width` cells, broken at blanks where there are any. The first
    line begins with `indent`, those that follow with `then`."""
    room = max(8, width - max(line_length(indent), line_length(then)))
    text = "".join(text for text, _ in parts)
    lines: list[Line] = []
    number = offset = 0  # the part that a line begins in, and where that begins
    for begin, end in _breaks(text, room):
        line = list(then if lines else indent)
        while number < len(parts):
            words, word = parts[number]
            piece = words[max(0, begin - offset) : end - offset]
            if piece:
                line.append((piece, word))
            if offset + len(words) > end:
                break
            offset += len(words)
            number += 1
        lines.append(tuple(line))
    return lines


def _breaks(text: str, width: int) -> Iterator[tuple[int, int]]:
    """Where each line begins and ends."""
    if len(text) <= width and (text.isascii() or cell_len(text) <= width):
        yield 0, len(text)
        return
    ascii_only = text.isascii()
    at, length = 0, len(text)
    while at < length:
        end = at + width if ascii_only else _fits(text, at, width)
        if end >= length:
            yield at, length
            return
        blank = text.rfind(" ", at + 1, end + 1)
        if blank > at + width // 3:
            yield at, blank
            at = blank + 1
        else:
            yield at, end
            at = end


def _fits(text: str, at: int, width: int) -> int:
    """The end of what fits; at least one character."""
    cells = 0
    for end in range(at, len(text)):
        cells += get_character_cell_size(text[end])
        if cells > width:
            return max(end, at + 1)
    return len(text)
