"""Fingerprints of what is read from sensitive files: they recognise it and do not tell it.

In: `FileContent`, the reads of a file as the kernel saw them, before anything is stored. Out:
`ContentFingerprints`. A fingerprint is the beginning of a keyed hash (HMAC with BLAKE2b) of one
unit (`collector.content_units`); its first half is what masks carry (`collector.redaction`), so
that a masked key is recognised, too. Reads that follow each other are one text: a line that two
of them share counts once it is whole, and as far as it has come stands apart, as `open`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Iterable

from collector.content_units import MASK, is_strong, key_spans, units_of
from probes.events import ContentFingerprints, FileContent

READ_LIMIT_BYTES = 1 << 20  # of one file, from where its reading began
FINGERPRINTS_LIMIT = 4096  # of one file
JOINED_BYTES = 16 << 10  # of a file, where it is looked at without its line breaks
BLOCK_BYTES = 64 << 10  # longer lines are cut
OPEN_READS = 256  # files that are remembered, the least recent ones go

_BREAKS = b"\r\n\0"
_JOINED_READS = 256  # after so many, only with whole lines
_BEGIN_KEY = b"PRIVATE KEY-----"
_END_KEY = b"-----END"
_ESCAPED = ((b"\n", b"\\n"), (b"\r\n", b"\\r\\n"))


class Fingerprinter:
    """Makes fingerprints that depend on `salt` alone."""

    __slots__ = ("_keyed",)

    def __init__(self, salt: bytes) -> None:
        self._keyed = hmac.new(salt, digestmod=hashlib.blake2b)

    def of(self, secret: bytes) -> int:
        """64 bits; the upper 32 are the fingerprint in masks."""
        keyed = self._keyed.copy()
        keyed.update(secret)
        return int.from_bytes(keyed.digest()[:8], "big")

    def of_unit(self, unit: bytes, *, keys: bool = True) -> int:
        """That of a unit, whether keys in it were masked or not; the last bit: is it strong?

        `keys`: false when it is known that there are none.
        """
        spans = key_spans(unit) if keys else []
        if keys and spans != [(0, len(unit))]:
            for start, end in reversed(spans):
                mark = b"[redacted:%08x]" % (self.of(unit[start:end]) >> 32)
                unit = unit[:start] + mark + unit[end:]
            if b"[redacted:" in unit:
                unit = MASK.sub(rb"[redacted:\1]", unit)
        return self.of(unit) & ~1 | (is_strong(unit) or b"\n" in unit)


class _Read:
    """One file that one process reads, from some position on."""

    __slots__ = (
        *("joined", "joined_units", "left", "next_position", "reads"),
        *("seen", "size_bytes", "skipped", "skipped_bytes"),
    )

    def __init__(self) -> None:
        self.left = b""  # read, and not yet known whole
        self.joined: bytes | None = b""  # all that was read, without line breaks; None: too much
        self.joined_units: tuple[int, ...] = ()
        self.reads = 0
        self.next_position = 0
        self.size_bytes = 0
        self.seen: dict[int, None] = {}
        self.skipped = self.skipped_bytes = 0


class ContentReads:
    """Turns each read into fingerprints; remembers what was cut between reads."""

    def __init__(self, fingerprinter: Fingerprinter) -> None:
        self._fingerprinter = fingerprinter
        self._reads: OrderedDict[tuple[int, int, int, int], _Read] = OrderedDict()

    @property
    def held_bytes(self) -> int:
        """Content that is kept until the rest of a line comes."""
        return sum(len(read.left) + len(read.joined or b"") for read in self._reads.values())

    def fingerprints(self, event: FileContent) -> ContentFingerprints:
        """Those that are new with this read."""
        key = (event.pid, event.start_ns, event.device, event.inode)
        read = self._reads.get(key)
        begins = read is None or event.position == 0
        if read is None or begins:
            read = self._reads[key] = _Read()
        elif read.next_position != event.position:
            read.left = b""  # a line of which the rest was not read
            read.joined = None
        self._reads.move_to_end(key)
        if len(self._reads) > OPEN_READS:
            self._reads.popitem(last=False)
        read.next_position = event.position + len(event.data)
        taken = event.data[: max(0, READ_LIMIT_BYTES - read.size_bytes)]
        read.size_bytes += len(taken)
        read.skipped_bytes += len(event.data) - len(taken)
        blocks, read.left = _blocks(read.left + taken)
        fresh = [one for one in self._of(blocks) if one not in read.seen]
        room = max(0, FINGERPRINTS_LIMIT - len(read.seen))
        fresh = list(dict.fromkeys(fresh))
        read.skipped += max(0, len(fresh) - room)
        read.seen.update(dict.fromkeys(fresh[:room]))
        opened = [one for one in dict.fromkeys(self._of([read.left])) if one not in read.seen]
        room = max(0, FINGERPRINTS_LIMIT - len(read.seen))
        return ContentFingerprints(
            ktime_ns=event.ktime_ns,
            pid=event.pid,
            start_ns=event.start_ns,
            device=event.device,
            inode=event.inode,
            fingerprints=tuple(one for one in fresh if one in read.seen),
            open=tuple(opened[:room]),
            joined=self._joined(read, taken),
            begins=begins,
            skipped=read.skipped,
            skipped_bytes=read.skipped_bytes,
        )

    def _joined(self, read: _Read, taken: bytes) -> tuple[int, ...]:
        read.reads += 1
        if read.joined is None:
            return ()
        read.joined += taken.translate(None, _BREAKS)
        if len(read.joined) > JOINED_BYTES:
            read.joined = None
            return ()
        if read.reads <= _JOINED_READS or taken.endswith(b"\n"):
            units = dict.fromkeys(units_of(read.joined))
            of_unit = self._fingerprinter.of_unit
            line = read.joined.strip().rstrip(b",;")
            read.joined_units = tuple(
                of_unit(unit) for unit in units if unit == line or is_strong(unit)
            )
        return read.joined_units

    def ended(self, pid: int) -> None:
        """A process ended: it reads no more."""
        for key in [key for key in self._reads if key[0] == pid]:
            del self._reads[key]

    def _of(self, blocks: Iterable[bytes]) -> Iterable[int]:
        for block in blocks:
            for unit in units_of(block):
                yield self._fingerprinter.of_unit(unit)
                if b"\n" in unit:  # a private key, which masks hide whole, as JSON writes it
                    for plain, escaped in _ESCAPED:
                        yield self._fingerprinter.of(unit.replace(plain, escaped)) | 1


def _blocks(text: bytes) -> tuple[list[bytes], bytes]:
    """Whole lines, a private key as one, and what is left; the same however the text came."""
    blocks, at = [], 0
    while at < len(text):
        limit = at + BLOCK_BYTES
        end = _end_of_line(text, at, limit)
        if end and _BEGIN_KEY in text[at:end]:
            last = text.find(_END_KEY, at, limit)
            if last >= 0:
                end = _end_of_line(text, last, limit)
            elif len(text) < limit:
                end = 0
        if not end:
            break
        blocks.append(text[at:end])
        at = end
    return blocks, text[at:]


def _end_of_line(text: bytes, at: int, limit: int) -> int:
    """Behind the line break, or at the limit; 0 when that has not come."""
    found = text.find(b"\n", at, limit)
    if found >= 0:
        return found + 1
    return limit if len(text) >= limit else 0
