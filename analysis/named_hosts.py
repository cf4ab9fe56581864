"""Does a text name the host that a connection went to?

In: texts (arguments, results, what users said) and connections. Out: yes or no. A host is named by
its name, the domain that it belongs to, or its address; where its port is not one of the web's,
the text must give that, too, since many services share a machine.
"""

from __future__ import annotations

import re
from functools import lru_cache

from analysis.steps import ConnectionStep

LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1", "localhost")
_WEB_PORTS = frozenset({None, 80, 443})
_LEAST_LABELS = 2  # a domain of one label (`com`) names no host


def is_loopback(address: str) -> bool:
    """Is it an address of the machine itself?"""
    return address in LOOPBACK or address.startswith(("127.", "::ffff:127."))


def names_host(text: str, connection: ConnectionStep) -> bool:
    """Does the text name the host, and the port where it is no web server's?"""
    pattern = _pattern(connection.name, connection.address, connection.port)
    return pattern.search(text) is not None


@lru_cache(maxsize=1024)
def _pattern(name: str | None, address: str, port: int | None) -> re.Pattern[str]:
    hosts = [re.escape(address), *(map(re.escape, _domains(name)) if name else ())]
    if is_loopback(address):
        hosts += map(re.escape, LOOPBACK)
    host = rf"(?:{'|'.join(hosts)})"
    if port in _WEB_PORTS and not is_loopback(address):
        return re.compile(rf"(?<![\w-]){host}(?![\w-])", re.IGNORECASE)
    return re.compile(rf"(?<![\w-]){host}\]?(?::|[\s/]|\s+-p\s*){port}(?!\d)", re.IGNORECASE)


def _domains(name: str) -> list[str]:
    """The name and the domains above it, longest first."""
    labels = name.split(".")
    last = max(1, len(labels) - _LEAST_LABELS + 1)
    return [".".join(labels[at:]) for at in range(last)]
