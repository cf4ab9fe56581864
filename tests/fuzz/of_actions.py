"""Harnesses of what processes do: answers of name servers, secrets in paths, fingerprints."""

from __future__ import annotations

import re
from ipaddress import ip_address
from itertools import pairwise

from collector.dns_answers import dns_answer
from collector.path_masks import secrets_in
from collector.redaction import Redactor
from probes import frames
from probes.action_frames import CONNECTED, TOUCHED
from probes.events import Connected, FileOperation, FileTouched
from tests.collector.test_fingerprints import known, read
from tests.frames import AGENT, API_KEY, SALT, STARTED_NS, frame
from tests.fuzz.steps import parsed, pieces

_NAME = re.compile(r"[a-z0-9_.-]{1,253}")
_CUTS_TRIED = 24
_ADDRESS_BYTES = 112
_MOST_READS = 200  # a file that is read in more is told line by line
_LARGE = 40  # times the data: lines are longer than a block then


def dns(raw: bytes) -> None:
    """A datagram, and its beginnings, which say the same or less."""
    message = parsed(raw).data
    whole = dns_answer(message)
    if whole is not None:
        assert _NAME.fullmatch(whole.name)
        assert len(set(whole.addresses)) == len(whole.addresses)
        assert [str(ip_address(one)) for one in whole.addresses] == [
            str(ip_address(one)) for one in dict.fromkeys(whole.addresses)
        ]
    for end in range(0, len(message), max(1, len(message) // _CUTS_TRIED)):
        cut = dns_answer(message[:end])
        if cut is not None:
            assert whole is not None
            assert cut.name == whole.name
            assert set(cut.addresses) <= set(whole.addresses)


def path_masks(raw: bytes) -> None:
    """The data as the four names of a file event and as a socket's path, with a key as one more
    name: masked in place, once, and nothing else."""
    choices, data = parsed(raw)
    cuts = [*sorted(choice * 16 for choice in choices[1:4]), len(data)]
    names = [data[start:end] for start, end in pairwise([0, *cuts])]
    key = b"\0" + API_KEY
    forms = choices[4] if len(choices) > 4 else 0
    for tail in (b"", key):
        sizes = [len(one) for one in names] + [0] * (4 - len(names))
        sizes[3] += len(tail)
        head = TOUCHED.pack(
            *(STARTED_NS, 3, 0, 0, 0, AGENT, AGENT, *sizes),
            *(FileOperation.RENAME, forms & 7, forms >> 3 & 7),
        )
        captured = frame(frames.FILE_TOUCHED, head + b"".join(names) + tail)
        _masked(captured, FileTouched, frames.HEADER.size + TOUCHED.size, tail or None)
    address = (b"\1\0" + data)[: _ADDRESS_BYTES - len(key)] + key
    packed = CONNECTED.pack(
        STARTED_NS, 1, 0, AGENT, AGENT, 5, 1, 0, len(address), address.ljust(_ADDRESS_BYTES, b"\0")
    )
    captured = frame(frames.CONNECTED, packed)
    _masked(captured, Connected, len(captured) - _ADDRESS_BYTES + 2, key)
    _masked(frame(choices[0] if choices else 0, data), None, frames.HEADER.size, None)


def _masked(captured: bytes, kind: type | None, begin: int, tail: bytes | None) -> None:
    """`kind`: of the event, if the frame is one for certain; `tail`: a key that it ends with."""
    spans = secrets_in(captured)
    assert all(begin <= start < end <= len(captured) for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    if kind is None:
        return
    redactor = Redactor(SALT)
    result = redactor.frame(captured)
    assert len(result) == len(captured)
    assert result[:begin] == captured[:begin]
    assert tail is None or not result.rstrip(b"\0").endswith(tail)
    assert Redactor(SALT).frame(result) == result
    assert isinstance(frames.decode(result), kind)


def fingerprints(raw: bytes) -> None:
    """A file, read at once and in pieces."""
    source = parsed(raw)
    data = source.data * (_LARGE if source.choice(0) == 255 else 1)
    parts = pieces(data, source.choices[1:])
    if len(parts) > _MOST_READS:
        parts = [*parts[:_MOST_READS], b"".join(parts[_MOST_READS:])]
    whole, split = read([data]), read(parts or [data])
    assert known(split) == known(whole)
    told = [one for event in split for one in event.fingerprints]
    assert len(set(told)) == len(told)
    assert (split[-1].skipped, split[-1].skipped_bytes) == (0, 0)
