"""By which names addresses are known: what processes were told by the Domain Name System.

In: answers, each with the process that received it. Out: the name by which a process knew an
address at some time, to `collector.network_events`. What the process itself was told goes first,
then what its tree was told, then what anybody in scope was; in each the newest answer.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

KNOWN_ADDRESSES = 1 << 14
_MAPPED = "::ffff:"
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\Z")


@dataclass(frozen=True, slots=True)
class HostName:
    """A name. `own`: the process that is asked about was told so itself."""

    name: str
    own: bool


class HostNames:
    """Names by scope and address; of more than `KNOWN_ADDRESSES` those told longest ago go."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], tuple[str, int]] = {}

    def answered(
        self, scopes: Sequence[str], name: str, addresses: Sequence[str], ktime_ns: int
    ) -> None:
        """A process was told addresses. `scopes`: what it belongs to, itself first."""
        for address in addresses:
            for scope in scopes:
                key = (scope, plain_address(address))
                before = self._told.pop(key, None)
                same = before is not None and before[0] == name
                self._told[key] = before if before and same else (name, ktime_ns)
        while len(self._told) > KNOWN_ADDRESSES:
            del self._told[next(iter(self._told))]

    def name(self, scopes: Sequence[str], address: str, ktime_ns: int) -> HostName | None:
        """The name that an address had at some time, as far as it was told until then."""
        address = plain_address(address)
        for scope in scopes:
            told = self._told.get((scope, address))
            if told is not None and told[1] <= ktime_ns:
                return HostName(told[0], scope == scopes[0])
        return None


def plain_address(address: str) -> str:
    """The address, as IPv4 where IPv6 only wraps it (RFC 4291 section 2.5.5.2)."""
    return address[len(_MAPPED) :] if address.startswith(_MAPPED) and "." in address else address


def as_host_name(text: str | None) -> str | None:
    """The text in lower case if it is a host's name; None for an address and all else."""
    if not text:
        return None
    name = text.lower().rstrip(".")
    if not _HOST.match(name):
        return None
    try:
        socket.inet_aton(name)  # also `127.1` and `2130706433`
    except OSError:
        return name
    return None
