"""Tokens and money: by model, session, agent or day; what caches saved; what was wasted; how fast.

In: a `Reader`, and which part of the store is asked about. Out: `SpendReport`, which
`underglass spend` prints. All of it is summed up by the database. None: not known.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from analysis.reading import Reader, query
from analysis.result import ResultSet

if TYPE_CHECKING:
    from analysis.cache_savings import KnownRates
    from collector.pricing import Override

By = Literal["model", "session", "agent", "day"]
BURN_WINDOW_MINUTES = 60
MOST_ROWS = 1000
_NS = 1_000_000_000
_LEAST_BURN_NS = 60 * _NS  # no rate over less than a minute
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class Spent:
    """What some calls took. `label`: of a model its provider, of a session its agent.

    `cost_usd` is over the priced calls; `failed_calls` counts those that failed or were cut.
    `cache_hit_rate`: share of the input tokens that caches read, over calls that say it.
    `cache_savings_usd`: what cached tokens would have cost more, less what writing them cost
    extra; None: no price is known. `wasted_usd`: of calls that failed, were cut or repeated.
    """

    key: str | None
    label: str | None
    calls: int
    failed_calls: int
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cache_hit_rate: float | None
    cost_usd: float | None
    unpriced_calls: int
    estimated_calls: int
    wasted_usd: float | None
    cache_savings_usd: float | None
    first_at: datetime.datetime | None
    last_at: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class Waste:
    """Cost for nothing, by cause: `failed`, `cut` and `retried` calls, `loops` and `compactions`
    as found. A call that went round in a loop and failed counts in both."""

    cause: str
    count: int
    tokens: int | None
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Burn:
    """US dollars an hour: over the last `recent_minutes` before the last call, and from the first
    call to the end of the last. None: no cost is known, or less than a minute passed."""

    recent_minutes: int
    recent_usd_per_hour: float | None
    usd_per_hour: float | None


@dataclass(frozen=True, slots=True)
class SpendReport:
    """`rows` are the dearest, dearest first; `left_out` says how many more there are. `total` is
    over all calls."""

    by: By
    total: Spent
    rows: tuple[Spent, ...]
    left_out: int
    waste: tuple[Waste, ...]
    burn: Burn


def spend(
    reader: Reader,
    by: By = "model",
    since_ns: int | None = None,
    session: str | None = None,
    *,
    where: str = "",
    most: int | None = None,
    overrides: tuple[Override, ...] = (),
    known_rates: KnownRates | None = None,
) -> SpendReport:
    """Calls that started at or after `since_ns`, of one session or all. Days are UTC's.

    `where`: a filter on calls (`analysis.where`); what findings say was wasted is then left out,
    as it is not by call. At most `most` rows, else MOST_ROWS. `overrides` are the user's own
    prices, for what caches saved; `known_rates` are remembered from before. Raises `QueryFailed`,
    BadFilter.
    """
    calls = _Calls.chosen(reader, since_ns, session, where)
    found = calls.rows("spend", by=by, most=MOST_ROWS if most is None else most)
    whole, *records = [dict(zip(found.columns, row, strict=True)) for row in found]
    saved = _savings(calls, by, whole, records, overrides, known_rates)
    return SpendReport(
        by=by,
        total=_spent(whole, sum(saved.values()) if saved else None),
        rows=tuple(
            _spent(
                {**record, "key": day_named(record["key"])} if by == "day" else record,
                saved.get((record["key"], record["label"])),
            )
            for record in records
        ),
        left_out=whole["groups"] - len(records),
        waste=_waste(calls, whole),
        burn=_burn(calls, whole),
    )


@dataclass(frozen=True, slots=True)
class _Calls:
    """The calls that are summed up. `where` is SQL, `filtered` whether it leaves any out."""

    reader: Reader
    about: Mapping[str, Any]
    where: str
    given: Mapping[str, Any]
    filtered: bool

    @classmethod
    def chosen(
        cls, reader: Reader, since_ns: int | None, session: str | None, where: str
    ) -> _Calls:
        about = {"since_ns": since_ns, "session": session}
        if not where.strip():
            return cls(reader, about, "TRUE", {}, False)
        from analysis.columns import CALLS
        from analysis.listed import Narrowed, chosen_sql

        rows, given = chosen_sql(reader, CALLS, Narrowed(since_ns, session, where))
        return cls(reader, about, f"call_id IN (SELECT call_id {rows})", given, True)

    def rows(self, name: str, **parameters: Any) -> ResultSet:
        """The answer of a query that holds `{where}`."""
        asked = {**self.given, **self.about, **parameters}
        return self.reader.rows(query(name).replace("{where}", self.where), asked)


def _savings(
    calls: _Calls,
    by: By,
    whole: Mapping[str, Any],
    records: list[dict[str, Any]],
    overrides: tuple[Override, ...],
    known_rates: KnownRates | None,
) -> dict[tuple[str | None, str | None], float]:
    """By key and label; 0 where calls say that no cache was used."""
    saved = {
        (record["key"], record["label"]): 0.0
        for record in records
        if record["cache_read_tokens"] == 0 and not record["cache_write_tokens"]
    }
    if whole["cache_read_tokens"] or whole["cache_write_tokens"]:
        from analysis.cache_savings import cache_savings

        keys = [record["key"] for record in records] if by == "session" else []
        rows = calls.rows("spend_cache", by=by, keys=keys)
        saved.update(cache_savings(rows, overrides, known_rates))
    return saved


def _spent(record: Mapping[str, Any], saved: float | None) -> Spent:
    return Spent(
        **{name: record[name] for name in Spent.__slots__ if name in record},
        cache_savings_usd=saved,
        first_at=moment(record["first_ns"]),
        last_at=moment(record["last_ns"]),
    )


def _waste(calls: _Calls, whole: Mapping[str, Any]) -> tuple[Waste, ...]:
    """Dearest first."""
    causes = [
        Waste(cause, *(whole[f"{cause}_{part}"] for part in ("count", "tokens", "usd")))
        for cause in ("failed", "cut", "retried")
        if whole[f"{cause}_count"]
    ]
    if not calls.filtered:
        found = calls.reader.rows(query("spend_waste"), dict(calls.about))
        causes += [Waste(*row) for row in found]
    return tuple(sorted(causes, key=lambda one: (-(one.cost_usd or 0), -(one.tokens or 0))))


def _burn(calls: _Calls, whole: Mapping[str, Any]) -> Burn:
    window_ns = BURN_WINDOW_MINUTES * 60 * _NS
    (recent,) = calls.rows("spend_recent", window_ns=window_ns)
    cost, first_ns, _ = recent
    last_ns = whole["last_ns"]
    return Burn(
        recent_minutes=BURN_WINDOW_MINUTES,
        recent_usd_per_hour=_rate(cost, first_ns, last_ns),
        usd_per_hour=_rate(whole["cost_usd"], whole["first_ns"], last_ns),
    )


def _rate(cost: float | None, first_ns: int | None, last_ns: int | None) -> float | None:
    if cost is None or first_ns is None or last_ns is None or last_ns - first_ns < _LEAST_BURN_NS:
        return None
    return cost / ((last_ns - first_ns) / (3600 * _NS))


def day_named(days: str) -> str:
    """Days since the epoch as `2025-01-31`."""
    return str((_EPOCH + datetime.timedelta(days=int(days))).date())


def moment(time_ns: int | None) -> datetime.datetime | None:
    """Nanoseconds since the epoch as a time in UTC."""
    return None if time_ns is None else _EPOCH + datetime.timedelta(microseconds=time_ns // 1000)
