"""Addresses in an answer of the Domain Name System (RFC 1035 section 4, RFC 3596).

In: a datagram from port 53, whole or cut. Out: the name that was asked for and the addresses it
has, through any chain of CNAMEs, to `collector.network_events`. Every length and every pointer is
checked; of a message that is cut or contradicts itself, what came before that counts.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

_A, _CNAME, _AAAA = 1, 5, 28
_IN = 1
_RESPONSE = 0x8000
_RCODE = 0x000F
_HEADER_BYTES = 12
_POINTER = 0xC0
_MAX_NAME_BYTES = 253
_MAX_LABELS = 127
_MAX_RECORDS = 256
_MAX_ALIASES = 16
_NAME = re.compile(rb"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """The host name of a question, in lower case, and its addresses in text."""

    name: str
    addresses: tuple[str, ...]


class _CutError(Exception):
    """The message ends before the field does, or a name in it never ends."""


def dns_answer(message: bytes) -> DnsAnswer | None:
    """What the message answers; None when it is no answer with a host name in its question.

    An answer that tells an error has no addresses.
    """
    try:
        flags, questions, answers = (_number(message, at, 2) for at in (2, 4, 6))
        if not flags & _RESPONSE or questions != 1:
            return None
        asked, at = _name(message, _HEADER_BYTES)
        if asked is None or _number(message, at + 2, 2) != _IN:
            return None
    except _CutError:
        return None
    if flags & _RCODE:
        answers = 0
    found, alias_of = _records(message, at + 4, min(answers, _MAX_RECORDS))
    names = {asked}
    for _ in range(_MAX_ALIASES):
        beyond = {alias for name, alias in alias_of if name in names} - names
        if not beyond:
            break
        names |= beyond
    addresses = tuple(dict.fromkeys(address for name, address in found if name in names))
    return DnsAnswer(asked.decode("ascii"), addresses)


_Pairs = list[tuple[bytes | None, bytes]]


def _records(message: bytes, at: int, count: int) -> tuple[list[tuple[bytes | None, str]], _Pairs]:
    """(owner, address) and (owner, alias) of the answers, as far as they can be read."""
    addresses: list[tuple[bytes | None, str]] = []
    aliases: _Pairs = []
    try:
        for _ in range(count):
            owner, at = _name(message, at)
            kind, kind_of_net = _number(message, at, 2), _number(message, at + 2, 2)
            size = _number(message, at + 8, 2)
            data, at = at + 10, at + 10 + size
            if at > len(message):
                break
            if kind_of_net != _IN:
                continue
            if kind == _A and size == 4:
                addresses.append((owner, socket.inet_ntop(socket.AF_INET, message[data:at])))
            elif kind == _AAAA and size == 16:
                addresses.append((owner, socket.inet_ntop(socket.AF_INET6, message[data:at])))
            elif kind == _CNAME:
                alias, _ = _name(message, data)
                if alias is not None:
                    aliases.append((owner, alias))
    except _CutError:
        pass
    return addresses, aliases


def _number(message: bytes, at: int, size: int) -> int:
    if at + size > len(message):
        raise _CutError
    return int.from_bytes(message[at : at + size], "big")


def _name(message: bytes, at: int) -> tuple[bytes | None, int]:
    """A name in lower case and where the next field begins. None: it is no host name.

    Pointers must lead backwards (RFC 1035 section 4.1.4), so that every name ends.
    """
    labels: list[bytes] = []
    after: int | None = None
    lowest, pointers = at, 0
    while True:
        size = _number(message, at, 1)
        if size >= _POINTER:
            target = _number(message, at, 2) & 0x3FFF
            after = at + 2 if after is None else after
            pointers += 1
            if target >= lowest or pointers > _MAX_LABELS:
                raise _CutError
            at = lowest = target
            continue
        if size > 63:  # 0x40 and 0x80 are not in use
            raise _CutError
        at += 1
        if not size:
            break
        if at + size > len(message) or len(labels) == _MAX_LABELS:
            raise _CutError
        labels.append(message[at : at + size])
        at += size
    name = b".".join(labels).lower()
    known = len(name) <= _MAX_NAME_BYTES and _NAME.fullmatch(name) is not None
    known = known and name.count(b".") == len(labels) - 1  # no label holds a dot
    return name if known else None, at if after is None else after
