"""Two texts compared line by line, and changed lines word by word.

In: two texts. Out: `DiffLine`s, with what did not change left out but for a few lines around.
Work is bounded: texts that are too long are said to differ, and how long they are. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

Sign = Literal[" ", "-", "+", "…"]
Span = tuple[str, bool]
"""Text, and whether it is what changed within its line."""

MAX_LINES = 1_500
MAX_CHARS = 200_000
_CONTEXT = 2
_WORDS_IN = 400  # characters of a line that is compared word by word
_LONGEST = 2_000  # characters of a line that are shown
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line. `-` stands in the first text, `+` in the second, ` ` in both; `…` tells of lines
    that are left out."""

    sign: Sign
    spans: tuple[Span, ...]

    @property
    def text(self) -> str:
        """The whole line."""
        return "".join(text for text, _ in self.spans)


def text_diff(before: str, after: str) -> tuple[DiffLine, ...]:
    """What changed from one text to the other; nothing when they are equal."""
    if before == after:
        return ()
    if max(len(before), len(after)) > MAX_CHARS:
        return (_told(f"too long to compare: {len(before):,} and {len(after):,} characters"),)
    first, second = before.split("\n"), after.split("\n")
    head = _common(first, second)
    tail = _common(first[head:][::-1], second[head:][::-1])
    one, other = first[head : len(first) - tail], second[head : len(second) - tail]
    if max(len(one), len(other)) > MAX_LINES:
        return (_told(f"too much to compare: {len(one):,} lines became {len(other):,}"),)
    found = [DiffLine(" ", ((line, False),)) for line in first[:head]]
    for tag, i, i_end, j, j_end in SequenceMatcher(None, one, other).get_opcodes():
        if tag == "equal":
            found += [DiffLine(" ", ((line, False),)) for line in one[i:i_end]]
        else:
            found += _changed(one[i:i_end], other[j:j_end])
    found += [DiffLine(" ", ((line, False),)) for line in first[len(first) - tail :]]
    return tuple(_shortened(found))


def _told(text: str) -> DiffLine:
    return DiffLine("…", ((text, False),))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines both begin with."""
    number = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        number += 1
    return number


def _changed(gone: list[str], new: list[str]) -> list[DiffLine]:
    """Lines in place of others; as many of them are compared word by word."""
    if len(gone) == len(new) and all(len(line) <= _WORDS_IN for line in (*gone, *new)):
        pairs = [_words(a, b) for a, b in zip(gone, new, strict=True)]
        return [
            *(DiffLine("-", before) for before, _ in pairs),
            *(DiffLine("+", after) for _, after in pairs),
        ]
    return [
        *(DiffLine("-", ((line, False),)) for line in gone),
        *(DiffLine("+", ((line, False),)) for line in new),
    ]


def _words(before: str, after: str) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    one, other = _WORDS.findall(before), _WORDS.findall(after)
    left: list[Span] = []
    right: list[Span] = []
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        changed = tag != "equal"
        if i < i_end:
            left.append(("".join(one[i:i_end]), changed))
        if j < j_end:
            right.append(("".join(other[j:j_end]), changed))
    if matcher.ratio() < 0.3:  # rather another line than a changed one
        return ((before, False),), ((after, False),)
    return tuple(left), tuple(right)


def _shortened(lines: list[DiffLine]) -> Iterator[DiffLine]:
    """Without what is far from any change, and without the rest of endless lines."""
    near = bytearray(len(lines))
    for at, line in enumerate(lines):
        if line.sign != " ":
            for place in range(max(0, at - _CONTEXT), min(len(lines), at + _CONTEXT + 1)):
                near[place] = 1
    left_out = 0
    for at, line in enumerate(lines):
        if not near[at]:
            left_out += 1
            continue
        if left_out:
            yield _told(f"{left_out:,} {'line' if left_out == 1 else 'lines'} unchanged")
            left_out = 0
        if len(line.text) > _LONGEST:
            cut = f"{line.text[:_LONGEST]}… ({len(line.text) - _LONGEST:,} more characters)"
            line = DiffLine(line.sign, ((cut, False),))
        yield line
    if left_out:
        yield _told(f"{left_out:,} {'line' if left_out == 1 else 'lines'} unchanged")
