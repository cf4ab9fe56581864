"""What a call cost in US dollars.

In: the usage of a call and who served it. Out: a `Price` with its source. Order: the provider's
own number, then the price tables of `genai-prices` (offline), then the user's overrides; an
override with `force` goes before the tables. A model without a price is `unpriced`: its cost is
None, never 0.

`genai_prices` takes long to import, so the first price loads it. Its tables give the rates of a
model at a time; the arithmetic is here, where it costs microseconds.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collector.llm.model import Usage
from collector.llm.registry import price_id

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """`source`: `provider`, `genai-prices/<version>`, `override`, `unpriced`; None: no usage."""

    cost_usd: float | None
    source: str | None


@dataclass(frozen=True, slots=True)
class Override:
    """A user's price, in US dollars per million tokens. `match` is a glob on the model.

    Without `cache_read` or `cache_write` those tokens cost as much as `input`.
    """

    match: str
    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    provider: str | None = None
    force: bool = False

    def applies(self, model: str, provider: str) -> bool:
        """Is this the price of `model` at `provider`?"""
        return (self.provider is None or self.provider == provider) and fnmatchcase(
            model, self.match
        )


def load_overrides(path: Path) -> tuple[Override, ...]:
    """Read a TOML file of `[[model]]` tables with the fields of `Override`.

    Raises ValueError naming the file and the entry when a table is not of that form, and
    OSError when the file cannot be read.
    """
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from None
    entries = data.get("model", [])
    if set(data) - {"model"} or not isinstance(entries, list):
        raise ValueError(f"{path}: expected only [[model]] tables")
    return tuple(_override(f"{path}: [[model]] {n}", entry) for n, entry in enumerate(entries, 1))


def price(
    usage: Usage | None,
    model: str | None,
    provider: str,
    host: str | None,
    at: float,
    overrides: tuple[Override, ...] = (),
) -> Price:
    """The cost of a call to `model` made `at` (seconds since the epoch).

    `provider` is OpenTelemetry's name; `host` finds providers that it does not tell apart.
    Without both token totals the cost is not known, whatever the model.
    """
    if usage is None:
        return Price(None, None)
    if usage.cost_usd is not None:
        return Price(usage.cost_usd, "provider")
    if usage.input_tokens is None or usage.output_tokens is None:
        return Price(None, None)
    if model is None:
        return Price(None, "unpriced")
    override = next((one for one in overrides if one.applies(model, provider)), None)
    if override is None or not override.force:
        info = _model_info(model, provider, host)
        cost = None if info is None else _cost(usage, _rates(info, at))
        if cost is not None:
            return Price(cost, _tables_source())
    if override is not None:
        rates: dict[str, Any] = {
            "input_mtok": override.input,
            "output_mtok": override.output,
            "cache_read_mtok": override.cache_read,
            "cache_write_mtok": override.cache_write,
        }
        cost = _cost(usage, {key: rate for key, rate in rates.items() if rate is not None})
        if cost is not None:
            return Price(cost, "override")
    return Price(None, "unpriced")


def _override(where: str, entry: Any) -> Override:
    types: dict[str, tuple[type, ...]] = {
        "match": (str,),
        "input": (int, float),
        "output": (int, float),
        "cache_read": (int, float),
        "cache_write": (int, float),
        "provider": (str,),
        "force": (bool,),
    }
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected a table")
    for key, value in entry.items():
        if key not in types:
            raise ValueError(f"{where}: unknown key '{key}', expected {', '.join(types)}")
        if type(value) not in types[key]:
            raise ValueError(f"{where}: '{key}' must be {types[key][-1].__name__}")
        if type(value) in (int, float) and not 0 <= value < _MILLION:
            raise ValueError(f"{where}: '{key}' must be dollars per million tokens, 0 or more")
    for key in ("match", "input", "output"):
        if key not in entry:
            raise ValueError(f"{where}: '{key}' is missing")
    return Override(**entry)


@cache
def _tables_source() -> str:
    from genai_prices import __version__

    return f"genai-prices/{__version__}"


@lru_cache(maxsize=4096)
def _model_info(model: str, provider: str, host: str | None) -> ModelInfo | None:
    from genai_prices.data_snapshot import get_snapshot

    tables = get_snapshot()
    try:
        return tables.find_provider_model(model, None, price_id(provider), None)[1]
    except LookupError:
        pass
    if host is None:
        return None
    try:
        return tables.find_provider_model(model, None, None, f"https://{host}")[1]
    except LookupError:
        return None


def _rates(info: ModelInfo, at: float) -> dict[str, Any]:
    return info.get_prices(datetime.fromtimestamp(at, UTC)).__dict__


def _cost(usage: Usage, rates: dict[str, Any]) -> float | None:
    """Dollars for `usage`; None when the counts contradict each other or no rate fits.

    A rate for part of a total (cache reads of input) takes its tokens out of the total; a part
    without a rate of its own costs what the total costs.
    """
    total_in, total_out = usage.input_tokens or 0, usage.output_tokens or 0
    long_write = usage.cache_write_1h_tokens or 0
    parts = [
        ("cache_read_mtok", usage.cache_read_tokens or 0, 0),
        ("cache_write_mtok", usage.cache_write_tokens or 0, 0),
        ("cache_write_1h_mtok", long_write, 0),
        ("output_reasoning_mtok", usage.reasoning_tokens or 0, 1),
    ]
    left = [total_in, total_out]
    cost = 0.0
    for key, tokens, side in parts:
        if rates.get(key) is None:
            continue
        if key == "cache_write_mtok" and rates.get("cache_write_1h_mtok") is not None:
            tokens -= long_write
        left[side] -= tokens
        if tokens < 0 or left[side] < 0:
            return None
        cost += tokens * _rate(rates[key], total_in)
    for key, tokens in (("input_mtok", left[0]), ("output_mtok", left[1])):
        if rates.get(key) is not None:
            cost += tokens * _rate(rates[key], total_in)
        elif tokens:
            return None
    per_thousand = rates.get("requests_kcount")
    return cost / _MILLION + (0 if per_thousand is None else _rate(per_thousand, total_in) / 1000)


def _rate(rate: Any, total_input_tokens: int) -> float:
    """A rate, or that of the highest tier that the whole input reaches beyond."""
    tiers = getattr(rate, "tiers", None)
    if tiers is not None:
        beyond = [tier.price for tier in tiers if total_input_tokens > tier.start]
        rate = beyond[-1] if beyond else rate.base
    return float(rate)
