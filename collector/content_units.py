"""What of a text can be recognised when it appears elsewhere: its lines, values and secrets.

In: bytes of a file or of what was sent. Out: units, the same for both, each with whether it tells
on its own where it comes from. Kinds of units:

- lines, without blanks around them, an enumeration before or a comma behind them; comments are left
  out, and what is short or says next to nothing;
- values of assignments (`name=value`, `"name": "value"`), without quotes;
- words that look drawn by lot: keys, tokens, hashes; also between slashes;
- what redaction would mask as a key.

Only words and values of the last two kinds are strong. Two files of accounts, or a configuration
and its manual, share lines without either being taken from the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from collector import secret_shapes

LINE_BYTES = 12  # shorter lines are no units
LONGEST_BYTES = 16 << 10  # neither are longer ones
VALUE_BYTES = 8
WORD_BYTES = 16
_PASSWORD_BYTES = 10
_DISTINCT_BYTES = 6  # of a line or value: a rule of dashes says nothing
_DISTINCT_LETTERS = 8  # of a word
_UNITS_LIMIT = 200_000  # of one text

_BREAK = re.compile(rb"[\r\n\0]+")
_NUMBERED = re.compile(rb"\d{1,7}(?:\t|\xe2\x86\x92|: |:|\| )")  # of `cat -n`, `grep -n`, agents
_COMMENT = re.compile(rb"(?:#|//|;|--(?!-))")
_ASSIGNMENT = re.compile(
    rb"(?:export[ \t]+)?[\"']?[A-Za-z_][\w.\-/:]{0,63}?[\"']?[ \t]*(?:=|:(?=[ \t\"']))[ \t]*(.+)"
)
_WORD = re.compile(rb"[A-Za-z0-9+/_.~-]{%d,}" % _PASSWORD_BYTES)
_EDGE = b"./-~_+"
_UUID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ODD = frozenset(b"!#%&*?")
_PASSWORD_IN_URL = re.compile(rb"://[^\s:/@]{1,64}:([^\s/@]{8,128})@")
_CLASS = bytes(
    1 if 48 <= c <= 57 else 2 if 65 <= c <= 90 else 3 if 97 <= c <= 122 else 0 for c in range(256)
)
_CHANGE = re.compile(rb"\x01(?=[\x02\x03])|\x02(?=[\x01\x03])|\x03(?=[\x01\x02])")

MASK = re.compile(rb"\[redacted:([0-9a-f]{8})\]\**")


def is_strong(unit: bytes) -> bool:
    """Does it look drawn by lot, so that it is nowhere else by chance?

    Counted are changes between digits, capitals and small letters; names have few.
    """
    size = len(unit)
    if size < _PASSWORD_BYTES or size > LONGEST_BYTES or b" " in unit or b"\t" in unit:
        return False
    classes = unit.translate(_CLASS)
    letters = classes.replace(b"\0", b"")
    kinds = len(set(letters))
    if kinds >= 2 and not _ODD.isdisjoint(unit):  # a password
        return b"/" not in unit and len(set(unit)) >= _DISTINCT_LETTERS
    if size < WORD_BYTES or kinds < 2 or len(set(unit)) < _DISTINCT_LETTERS:
        return False
    if b"\1" not in letters and size < 2 * WORD_BYTES:
        return False  # CamelCase
    if len(_CHANGE.findall(letters)) * 4 < len(letters):
        return False
    return _UUID.fullmatch(unit) is None


def units_of(text: bytes, known: set[bytes] | None = None) -> Iterator[bytes]:
    """Units of a text, in order, with repeats; at most so many that memory is bounded.

    Lines that are `known` are passed over, and what is not becomes so: a text that differs from
    an earlier one in a few lines costs little.
    """
    left = _UNITS_LIMIT
    for unit in _all_units(text, set() if known is None else known):
        yield unit
        left -= 1
        if left == 0:
            return


def _all_units(text: bytes, known: set[bytes]) -> Iterator[bytes]:
    for line in _BREAK.split(text):
        line = line.strip()
        if len(line) < VALUE_BYTES or line in known:
            continue
        known.add(line)
        numbered = _NUMBERED.match(line)
        if numbered is not None:
            line = line[numbered.end() :].strip()
        line = line.rstrip(b",;")
        if not _COMMENT.match(line):
            if LINE_BYTES <= len(line) <= LONGEST_BYTES and len(set(line)) >= _DISTINCT_BYTES:
                yield line
            yield from _values(line)
        yield from _words(line)
    if secret_shapes.may_hold_key(text):
        for start, end in secret_shapes.keys(text):
            yield text[start:end]


def _values(line: bytes) -> Iterator[bytes]:
    found = _ASSIGNMENT.match(line.lstrip(b"{[ \t"))
    if found is not None:
        value = found.group(1).strip(b"\"' \t")
        if VALUE_BYTES <= len(value) <= LONGEST_BYTES and len(set(value)) >= _DISTINCT_BYTES:
            yield value
    for inner in _PASSWORD_IN_URL.finditer(line):
        yield inner.group(1)


def _words(line: bytes) -> Iterator[bytes]:
    for found in _WORD.finditer(line):
        word = found.group().strip(_EDGE)
        if is_strong(word):
            yield word
        if b"/" in word:
            yield from (part for part in word.split(b"/") if is_strong(part))


def may_hold_keys(text: bytes) -> bool:
    """May redaction mask something in the text, or has it?"""
    return secret_shapes.may_hold_key(text) or b"[redacted:" in text


def key_spans(unit: bytes) -> list[tuple[int, int]]:
    """Where redaction would mask a key in a unit."""
    return secret_shapes.keys(unit) if secret_shapes.may_hold_key(unit) else []
