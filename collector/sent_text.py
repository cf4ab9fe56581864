"""What bytes that were sent say, however they were wrapped.

In: a body, a header's value, a URL's query, or the strings of a JSON document. Out: to
`collector.content_sightings`, the texts that may be in it, each with how it was encoded: as it is,
unescaped from JSON, percent-encoded, base64 (also URL-safe, wrapped, unpadded, beginning anywhere
in a run), hexadecimal, gzip. Encodings may lie in each other, `NESTED` deep. Work and memory are
bounded by `LIMIT_BYTES`, over all that is decoded.
"""

from __future__ import annotations

import binascii
import re
import zlib
from collections import deque
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

LIMIT_BYTES = 8 << 20
NESTED = 3
PLAIN = "plain"

_RUN_BYTES = 16  # shorter runs of base64 or hex say nothing
_READABLE = 0.85  # of the bytes of a text
_GZIP = (b"\x1f\x8b", b"\x78\x01", b"\x78\x9c", b"\x78\xda")
_GUESSED_BITS = zlib.MAX_WBITS | 32  # gzip or zlib, as its head says
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{%d,}" % _RUN_BYTES)
_WRAPPED = re.compile(
    rb"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{40,}+(?:\r?\n[ \t]*[A-Za-z0-9+/]++={0,2})++"
)
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){%d,}(?:\r?\n(?:[0-9a-fA-F]{2})+)*" % _RUN_BYTES)
_PERCENT = re.compile(rb"%[0-9a-fA-F]{2}")
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
_STANDARD = bytes.maketrans(b"-_", b"+/")
_UNREADABLE = bytes(c for c in range(128) if (c < 32 and c not in b"\t\n\r\0") or c == 127)
_BLANKS = b" \t\r\n"


def readings(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(encoding, text) of what was sent, the text itself first. Encodings in each other are
    joined by `+`, the outer one first."""
    left = LIMIT_BYTES
    waiting: deque[tuple[tuple[str, ...], bytes]] = deque([((), data[:LIMIT_BYTES])])
    while waiting:
        chain, text = waiting.popleft()
        left -= len(text)
        if left < 0:
            return
        yield "+".join(chain) or PLAIN, text
        if len(chain) < NESTED:
            for encoding, inner in _inner(text):
                waiting.append(((*chain, encoding) if encoding else chain, inner))


def strings_of(value: Any) -> list[str]:
    """The strings of a JSON value, keys left out, at any depth."""
    found: list[str] = []
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, dict):
            left += reversed(one.values())
        elif isinstance(one, list):
            left += reversed(one)
    return found


def _inner(text: bytes) -> Iterator[tuple[str, bytes]]:
    """What may be in a text; without an encoding: the same, taken apart."""
    if text.startswith(_GZIP):
        inflated = _inflated(text)
        if inflated:
            yield "gzip", inflated
        return
    apart = _apart(text)
    if apart is not None:
        yield "", apart
        return
    if b"&" in text and b"=" in text:
        yield "", text.replace(b"&", b"\n")
        return
    if b"%" in text and _PERCENT.search(text):
        yield "percent", unquote_to_bytes(text.replace(b"+", b" "))
    yield from _told("base64", _base64_in(text))
    yield from _told("hex", _hex_in(text))


def _told(encoding: str, pieces: Iterator[bytes]) -> Iterator[tuple[str, bytes]]:
    """Texts together, line by line, as there may be many; what is compressed each for itself."""
    texts = []
    for piece in pieces:
        if piece.startswith(_GZIP[0]):
            yield encoding, piece
        else:
            texts.append(piece)
    if texts:
        yield encoding, b"\n".join(texts)


def _base64_in(text: bytes) -> Iterator[bytes]:
    for found in _WRAPPED.finditer(text):
        yield from _base64(found.group().translate(None, b"=" + _BLANKS))
    for found in _BASE64.finditer(text):
        run = found.group().translate(_STANDARD)
        yield from _base64(run)
        if b"/" in run:
            for part in run.split(b"/"):
                if len(part) >= _RUN_BYTES:
                    yield from _base64(part)


def _hex_in(text: bytes) -> Iterator[bytes]:
    for found in _HEX.finditer(text):
        plain = binascii.unhexlify(found.group().translate(None, _BLANKS))
        if _is_text(plain):
            yield plain


def _apart(text: bytes) -> bytes | None:
    """JSON as its strings, line by line, or what is escaped as JSON does it; None: neither."""
    if text.lstrip(_BLANKS)[:1] in (b"{", b"["):
        try:
            strings = strings_of(orjson.loads(text))
        except orjson.JSONDecodeError:
            strings = []
        if strings:
            return "\n".join(strings).encode("utf-8", "replace")
    if b"\\" not in text:
        return None
    plain = _ESCAPE.sub(_unescaped, text)
    return plain if plain != text else None


def _unescaped(found: re.Match[bytes]) -> bytes:
    code, character = found.groups()
    if code is not None:
        return chr(int(code, 16)).encode("utf-8", "replace")
    return _ESCAPED.get(character, character)


def _base64(run: bytes) -> Iterator[bytes]:
    """What a run of base64 characters encodes, if that is text; it may begin behind others."""
    for offset in range(4):
        part = run[offset:]
        part = part[: len(part) - (len(part) % 4 == 1)]
        plain = binascii.a2b_base64(part + b"=" * (-len(part) % 4))
        if _is_text(plain) or plain.startswith(_GZIP[0]):
            yield plain
            return


def _is_text(data: bytes) -> bool:
    """Is nearly all of it readable as UTF-8?"""
    if not data:
        return False
    bad = len(data) - len(data.translate(None, _UNREADABLE))
    if bad * 20 > len(data):
        return False
    return (bad == 0 and data.isascii()) or len(data.decode("utf-8", "ignore").encode()) - bad >= (
        _READABLE * len(data)
    )


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(_GUESSED_BITS).decompress(data, LIMIT_BYTES)
    except zlib.error:
        return b""
