"""What prompt caches saved, in US dollars.

In: tokens that caches read and wrote, by what sets their price (`queries/spend_cache.sql`). Out:
what they would have cost without a cache, less what they cost: reads save, writes mostly cost
extra. Prices are those of `collector.pricing` on the day; writes count at the rate of the shorter
lifetime, as the longer one's share is not stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collector.pricing import Override

SIZES = (32_000, 100_000, 128_000, 200_000, 256_000, 272_000, 512_000)
"""Input tokens from which on the price tables have other rates for some models."""
_DAY_S = 86_400

Key = tuple[str | None, str | None]
KnownRates = MutableMapping[str, tuple[float, float] | None]
"""Dollars saved by a token that was read and by one that was written, by what sets the price (JSON
of a list: provider, model, requested, host, tier, size class, day); None: no price is known. Those
of one version of the price tables, without the user's own prices."""


class _Priced(NamedTuple):
    """What sets a price, beside the day. `size_class`: how many of `SIZES` the input is beyond."""

    provider: str
    model: str | None
    requested: str | None
    host: str | None
    tier: str | None
    size_class: int


class _Row(NamedTuple):
    """One row of the query."""

    key: str | None
    label: str | None
    provider: str
    model: str | None
    requested: str | None
    host: str | None
    tier: str | None
    day: int
    size_class: int
    read_tokens: int | None
    write_tokens: int | None

    @property
    def priced(self) -> _Priced:
        """What sets its price."""
        about = (self.provider, self.model, self.requested, self.host, self.tier)
        return _Priced(*about, self.size_class)


class _Saved(NamedTuple):
    """US dollars saved by a token."""

    read: float
    written: float


def cache_savings(
    rows: Iterable[tuple[Any, ...]],
    overrides: tuple[Override, ...] = (),
    known: KnownRates | None = None,
) -> dict[Key, float]:
    """Savings by key and label of the rows; those without any known price are left out.

    Rates in `known` are taken from there, and others put into it: the price tables take longer to
    load than a million calls to sum up.
    """
    every = [_Row(*row) for row in rows]
    days: dict[_Priced, set[int]] = {}
    for row in every:
        days.setdefault(row.priced, set()).add(row.day)
    known = {} if known is None or overrides else known
    rates = {about: _rates(about, of_model, overrides, known) for about, of_model in days.items()}
    saved: dict[Key, float] = {}
    for row in every:
        rate = rates[row.priced][row.day]
        if rate is not None:
            usd = (row.read_tokens or 0) * rate.read + (row.write_tokens or 0) * rate.written
            saved[row.key, row.label] = saved.get((row.key, row.label), 0.0) + usd
    return saved


def _rates(
    about: _Priced, days: set[int], overrides: tuple[Override, ...], known: KnownRates
) -> dict[int, _Saved | None]:
    """By day. A price that is the same on the first and the last day was so in between."""

    def of(day: int) -> _Saved | None:
        key = json.dumps([*about, day])
        if key not in known:
            known[key] = _saved(about, day, overrides)
        rate = known[key]
        return None if rate is None else _Saved(*rate)

    first, last = min(days), max(days)
    found = {day: of(day) for day in {first, last}}
    for day in days - {first, last}:
        same = found[first] == found[last]
        found[day] = found[first] if same else of(day)
    return found


def _saved(about: _Priced, day: int, overrides: tuple[Override, ...]) -> _Saved | None:
    from collector.llm.model import Usage
    from collector.pricing import billed_model, price

    size = SIZES[about.size_class - 1] + 1 if about.size_class else 1000
    model = billed_model(about.model, about.requested, about.provider, about.host)

    def cost(**cached: int) -> float | None:
        return price(
            Usage(input_tokens=size, output_tokens=0, **cached),
            model,
            about.provider,
            about.host,
            (day + 1) * _DAY_S - 1,
            overrides,
            tier=about.tier,
        ).cost_usd

    plain = cost()
    read = cost(cache_read_tokens=size)
    written = cost(cache_write_tokens=size)
    if plain is None or read is None or written is None:
        return None
    return _Saved((plain - read) / size, (plain - written) / size)
