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
from typing import TYPE_CHECKING, Any, NamedTuple

from collector.llm.model import Usage
from collector.llm.registry import price_id, priced_as_requested

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo

_MILLION = 1_000_000
# Rate, count, per how many, and the totals that the count is part of: parts before totals.
_UNITS: tuple[tuple[str, str, int, tuple[str, ...]], ...] = (
    (
        "cache_write_1h_mtok", "cache_write_1h_tokens", _MILLION,
        ("cache_write_mtok", "input_mtok"),
    ),
    (
        "cache_audio_read_mtok", "cache_audio_read_tokens", _MILLION,
        ("cache_read_mtok", "input_audio_mtok", "input_mtok"),
    ),
    (
        "cache_image_read_mtok", "cache_image_read_tokens", _MILLION,
        ("cache_read_mtok", "input_image_mtok", "input_mtok"),
    ),
    ("cache_read_mtok", "cache_read_tokens", _MILLION, ("input_mtok",)),
    ("cache_write_mtok", "cache_write_tokens", _MILLION, ("input_mtok",)),
    ("input_audio_mtok", "input_audio_tokens", _MILLION, ("input_mtok",)),
    ("input_image_mtok", "input_image_tokens", _MILLION, ("input_mtok",)),
    ("output_reasoning_mtok", "reasoning_tokens", _MILLION, ("output_mtok",)),
    ("output_audio_mtok", "output_audio_tokens", _MILLION, ("output_mtok",)),
    ("output_image_mtok", "output_image_tokens", _MILLION, ("output_mtok",)),
    ("input_mtok", "input_tokens", _MILLION, ()),
    ("output_mtok", "output_tokens", _MILLION, ()),
)  # fmt: skip
_OVERLAPS = {
    "cache_audio_read_mtok": ("cache_read_tokens", "input_audio_tokens"),
    "cache_image_read_mtok": ("cache_read_tokens", "input_image_tokens"),
}
# Tiers in a provider's words that the tables name otherwise: Anthropic's and Mistral's batches,
# Vertex AI's `trafficType`.
_TIERS = {
    "batch": {"processing": "batch"},
    "on_demand_priority": {"service_tier": "priority"},
    "on_demand_flex": {"service_tier": "flex"},
}


@dataclass(frozen=True, slots=True)
class Price:
    """`source`: `provider`, `genai-prices/<version>`, `override`, `unpriced`; None: no usage.

    Where tokens are estimated, so is their cost: `estimated:genai-prices/<version>`.
    """

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


def billed_model(
    answered: str | None, requested: str | None, provider: str, host: str | None
) -> str | None:
    """The model that a call is billed as: the one that answered, else the one requested.

    Where ids that are requested say more than names that answer (Bedrock's name the region, which
    has a price of its own), it is the one requested, if the tables know it.
    """
    if requested is None or answered is None or not priced_as_requested(provider):
        return answered or requested
    return requested if _model_info(requested, provider, host) is not None else answered


def context_window(
    answered: str | None, requested: str | None, provider: str, host: str | None
) -> int | None:
    """How many tokens the model takes at most, as the price tables say; None: they do not."""
    for model in (answered, requested):
        found = None if model is None else _model_info(model, provider, host)
        if found is not None and found.info.context_window:
            return int(found.info.context_window)
    return None


def price(
    usage: Usage | None,
    model: str | None,
    provider: str,
    host: str | None,
    at: float,
    overrides: tuple[Override, ...] = (),
    *,
    tier: str | None = None,
    speed: str | None = None,
    estimated: bool = False,
) -> Price:
    """The cost of a call to `model` made `at` (seconds since the epoch).

    `provider` is OpenTelemetry's name; `host` finds providers that it does not tell apart.
    `tier` and `speed` are what served the call, in the provider's words, and choose its price
    where the tables have one. `estimated`: the tokens are. Without both token totals the cost is
    not known, whatever the model.
    """
    mark = "estimated:" if estimated else ""
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
        found = _model_info(model, provider, host)
        if found is not None:
            context = _context(tier, speed) if found.has_variants else None
            cost = _cost(usage, _rates(found, at, context))
            if cost is not None:
                return Price(cost, mark + _tables_source())
    if override is not None:
        rates: dict[str, Any] = {
            "input_mtok": override.input,
            "output_mtok": override.output,
            "cache_read_mtok": override.cache_read,
            "cache_write_mtok": override.cache_write,
        }
        cost = _cost(usage, {key: rate for key, rate in rates.items() if rate is not None})
        if cost is not None:
            return Price(cost, mark + "override")
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


class _Listed(NamedTuple):
    """A model of the tables. `has_variants`: prices that depend on more than the time, which
    hold only at the provider itself, not where another resells it."""

    info: ModelInfo
    has_variants: bool


@lru_cache(maxsize=4096)
def _model_info(model: str, provider: str, host: str | None) -> _Listed | None:
    from genai_prices.data_snapshot import get_snapshot

    tables = get_snapshot()
    model = model.rpartition("foundation-model/")[2]  # of an ARN; the tables know others
    for provider_id, url in ((price_id(provider), None), (None, host and f"https://{host}")):
        if provider_id is None and url is None:
            continue
        try:
            seller, info = tables.find_provider_model(model, None, provider_id, url)
        except LookupError:
            continue
        own = any(info is one for one in seller.models)
        return _Listed(info, own and bool(info.price_variants))
    return None


def _rates(found: _Listed, at: float, context: dict[str, str] | None) -> dict[str, Any]:
    return found.info.get_prices(datetime.fromtimestamp(at, UTC), context).__dict__


def _context(tier: str | None, speed: str | None) -> dict[str, str]:
    """What of a request selects other prices, in the words of the tables."""
    context = {}
    if tier is not None:
        context.update(_TIERS.get(tier.lower(), {"service_tier": tier.lower()}))
    if speed is not None:
        context["speed"] = speed
    return context


def _cost(usage: Usage, rates: dict[str, Any]) -> float | None:
    """Dollars for `usage`; None when the counts contradict each other or no rate fits.

    A rate for part of a total (cache reads of input) takes its tokens out of the total; a part
    without a rate of its own costs what the total costs.
    """
    total_in = usage.input_tokens or 0
    cost = 0.0
    taken: dict[str, int] = {}  # from each whole, by its priced parts
    for key, field, per, wholes in _UNITS:
        rate = rates.get(key)
        count: int | None = getattr(usage, field)
        if rate is None and wholes:
            continue  # it costs what the whole costs
        if count is None:
            count = 0
            parts = _OVERLAPS.get(key)
            if rate is not None and parts and all(getattr(usage, part) for part in parts):
                return None  # how much of it is both is not known
        own = count - taken.get(key, 0)
        if own < 0 or (rate is None and own):
            return None
        for whole in wholes:
            taken[whole] = taken.get(whole, 0) + own
        if rate is not None:
            cost += own * _rate(rate, total_in) / per
    for key, count in (("web_searches_kcount", usage.web_searches or 0), ("requests_kcount", 1)):
        rate = rates.get(key)
        if rate is not None:
            cost += count * _rate(rate, total_in) / 1000
    return cost


def _rate(rate: Any, total_input_tokens: int) -> float:
    """A rate, or that of the highest tier that the whole input reaches beyond."""
    tiers = getattr(rate, "tiers", None)
    if tiers is not None:
        beyond = [tier.price for tier in tiers if total_input_tokens > tier.start]
        rate = beyond[-1] if beyond else rate.base
    return float(rate)
