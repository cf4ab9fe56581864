"""Rates of cached tokens, remembered from one `underglass spend` to the next.

In: the file `cache-rates.json` in the user's XDG cache directory. Out: `KnownRates` of
`analysis.cache_savings`. The price tables take a quarter of a second to load, more than a million
calls to sum up; a rate of one version of the tables never changes. The file may be deleted at any
time, and holds no more than models' names, days and prices.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from underglass.paths import cache_directory, invoker, make_private

if TYPE_CHECKING:
    from analysis.cache_savings import KnownRates

_MOST = 5000  # rates; more are looked up again


@contextmanager
def remembered_rates() -> Iterator[KnownRates]:
    """The rates that are known; what is added is kept. Files that cannot be used are ignored."""
    path = cache_directory() / "cache-rates.json"
    tables = f"genai-prices/{version('genai-prices')}"
    known = _read(path, tables)
    before = len(known)
    yield known
    if before < len(known) <= _MOST and not invoker().under_sudo:
        with suppress(OSError):
            _write(path, tables, known)


def _read(path: Path, tables: str) -> KnownRates:
    try:
        stored = json.loads(path.read_bytes())
        if stored["tables"] != tables:
            return {}
        return {
            str(key): None if rate is None else (float(rate[0]), float(rate[1]))
            for key, rate in stored["rates"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        return {}


def _write(path: Path, tables: str, known: KnownRates) -> None:
    make_private(path.parent)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump({"tables": tables, "rates": dict(known)}, file)
    new.replace(path)
