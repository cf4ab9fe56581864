"""Rate limits and waiting times, as each provider words them in response headers and errors.

In: response headers, the body of an error, or Codex's event of a WebSocket. Out: `RateLimit`s,
and the seconds that the provider asks to wait. The store keeps the headers as they came, with
the `RateLimit`s beside them (`stored`).

    anthropic-ratelimit-tokens-remaining    Anthropic, "Rate limits"; reset is an RFC 3339 time
    anthropic-ratelimit-unified-5h-...      its subscriptions: utilization 0 to 1, reset an epoch
    anthropic-priority-..., -fast-...       its other tiers
    x-ratelimit-remaining-tokens            OpenAI, Azure, Groq: reset is a duration, `6m0s`
    x-ratelimit-reset-tokens-minute         Cerebras: seconds; Mistral has no reset
    x-ratelimit-reset                       OpenRouter: milliseconds since the epoch
    x-codex-primary-used-percent            Codex with a ChatGPT plan, also as an event
    retry-after, retry-after-ms             RFC 9110, 10.2.3; OpenAI and Azure in milliseconds
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import orjson

from collector.http.events import Headers
from collector.llm.model import Json, JsonObject

MAX_HEADERS = 64
MAX_VALUE_CHARS = 256
UNNAMED = "default"
_KEPT = re.compile(
    r"anthropic-(?:ratelimit|priority|fast)-|(?:x-)?ratelimit|x-tokenlimit-|x-codex-"
    r"|retry-after|x-ms-retry-after"
)
_ANTHROPIC = re.compile(
    r"anthropic-(ratelimit|priority|fast)-(.+?)-(limit|remaining|reset|utilization)"
)
_GENERAL = re.compile(
    r"(?:x-)?(ratelimit|ratelimitbysize|tokenlimit)-(limit|remaining|reset)(?:-([a-z0-9_-]+))?"
)
_CODEX = re.compile(
    r"x-codex-((?:[a-z0-9]+-)?(?:primary|secondary))"
    r"-(used-percent|window-minutes|reset-at|reset-after-seconds)"
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)")
_UNIT_S = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_EPOCH_S = 1e9  # a larger number of seconds is a time, no duration
_EPOCH_MS = 1e11
_LATEST_S = 253402300799.0  # 9999-12-31, the last that a store can show
_RETRY_INFO = "google.rpc.RetryInfo"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One limit of an account. `reset_at` is in seconds since the epoch, `window_s` in seconds."""

    name: str  # requests, tokens, input_tokens, unified_5h, codex_primary...; default: unnamed
    limit: float | None = None
    remaining: float | None = None
    used_percent: float | None = None
    reset_at: float | None = None
    window_s: float | None = None


def limits_of(headers: Headers, now_s: float) -> tuple[RateLimit, ...]:
    """The limits that response headers tell at `now_s`, in the order of the headers."""
    found: dict[str, dict[str, float]] = {}
    for header, value in _kept(headers).items():
        if match := _ANTHROPIC.fullmatch(header):
            tier, name, what = match.groups()
            _note(found, name if tier == "ratelimit" else f"{tier}_{name}", what, value, now_s)
        elif match := _GENERAL.fullmatch(header):
            kind, what, of = match.groups()
            name = of or {"tokenlimit": "tokens", "ratelimitbysize": "size"}.get(kind, UNNAMED)
            _note(found, name, what, value, now_s)
        elif match := _CODEX.fullmatch(header):
            _note(found, f"codex_{match[1]}", match[2], value, now_s)
    return tuple(RateLimit(name, **fields) for name, fields in found.items())


def all_limits(
    headers: Headers, events: Iterable[JsonObject], now_s: float
) -> tuple[RateLimit, ...]:
    """Those that the headers of a response tell, and those that its events tell."""
    told = [limit for event in events for limit in limits_of_event(event, now_s)]
    return (*limits_of(headers, now_s), *told)


def limits_of_event(event: JsonObject, now_s: float) -> tuple[RateLimit, ...]:
    """The limits in Codex's event `codex.rate_limits`; none in any other event.

    `{"type": "codex.rate_limits", "metered_limit_name"?, "rate_limits": {"primary":
    {"used_percent", "window_minutes", "reset_at" | "reset_after_seconds"}, "secondary": ..}}`
    """
    windows = event.get("rate_limits")
    if event.get("type") != "codex.rate_limits" or type(windows) is not dict:
        return ()
    metered = event.get("metered_limit_name")
    prefix = metered if type(metered) is str and 0 < len(metered) <= 64 else "codex"
    found: dict[str, dict[str, float]] = {}
    for window in ("primary", "secondary"):
        fields = windows.get(window)
        if type(fields) is not dict:
            continue
        for key in ("used_percent", "window_minutes", "reset_at", "reset_after_seconds"):
            value = fields.get(key)
            if type(value) in (int, float):
                name = f"{prefix}_{window}"
                _note(found, name, key.replace("_", "-"), str(value), now_s)
    return tuple(RateLimit(name, **fields) for name, fields in found.items())


def retry_after_s(headers: Headers, now_s: float) -> float | None:
    """The seconds that response headers ask to wait."""
    values = _kept(headers)
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        wait_ms = _number(values.get(name, ""))
        if wait_ms is not None:
            return wait_ms / 1000
    value = values.get("retry-after")
    if value is None:
        return None
    wait_s = _number(value)
    if wait_s is not None:
        return wait_s
    at = _http_date(value)
    return None if at is None else max(0.0, at - now_s)


def retry_delay_s(error: Json) -> float | None:
    """The seconds that the body of an error asks to wait: Google's `RetryInfo`, Codex's
    `resets_in_seconds`. `error` is the whole body or its `error` object."""
    if type(error) is list and error:
        error = error[0]
    if type(error) is not dict:
        return None
    if type(error.get("error")) is dict:
        error = error["error"]
    details = error.get("details")
    for detail in details[:MAX_HEADERS] if type(details) is list else ():
        if type(detail) is not dict or _RETRY_INFO not in str(detail.get("@type")):
            continue
        delay = detail.get("retryDelay")
        if type(delay) is str:
            return _duration(delay[:MAX_VALUE_CHARS])
    seconds = error.get("resets_in_seconds")
    return float(seconds) if type(seconds) in (int, float) and 0 <= seconds < _LATEST_S else None


def stored(headers: Headers, limits: tuple[RateLimit, ...]) -> str | None:
    """JSON text for the store: the headers by name, and `limits` without what is not known; None
    when there is neither."""
    kept: dict[str, Json] = dict(_kept(headers))
    if limits:
        kept["limits"] = [
            {
                name: value
                for name in RateLimit.__slots__
                if (value := getattr(one, name)) is not None
            }
            for one in limits
        ]
    return orjson.dumps(kept).decode() if kept else None


def _kept(headers: Headers) -> dict[str, str]:
    """The headers that tell of limits, by name; of two with one name the last."""
    kept: dict[str, str] = {}
    for name, value in headers:
        if _KEPT.match(name) and len(kept) < MAX_HEADERS:
            value = value[:MAX_VALUE_CHARS]
            kept[name] = value if value.isascii() else value.encode("utf-8", "replace").decode()
    return kept


def _note(
    found: dict[str, dict[str, float]], name: str, what: str, value: str, now_s: float
) -> None:
    field, number = _read(what, value.strip(), now_s)
    if number is not None:
        found.setdefault(name.replace("-", "_"), {})[field] = number


def _read(what: str, value: str, now_s: float) -> tuple[str, float | None]:
    """Which field of a `RateLimit` a header sets, and to what."""
    if what in ("reset", "reset-at"):
        return "reset_at", _time(value, now_s)
    number = _number(value)
    if what == "reset-after-seconds":
        return "reset_at", None if number is None else _storable(now_s + number)
    if what == "utilization":
        return "used_percent", None if number is None else number * 100
    if what == "window-minutes":
        return "window_s", None if number is None else number * 60
    return what.replace("-", "_"), number


def _number(text: str) -> float | None:
    if "T" in text:
        return None  # RFC 3339; raising costs more than looking
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _time(text: str, now_s: float) -> float | None:
    """A time in seconds since the epoch: a number, a duration from now, RFC 3339, HTTP's date."""
    number = _number(text)
    if number is not None:
        if number > _EPOCH_MS:
            return _storable(number / 1000)
        return _storable(number if number > _EPOCH_S else now_s + number)
    wait_s = _duration(text)
    if wait_s is not None:
        return _storable(now_s + wait_s)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return _http_date(text)
    try:
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError):
        return None


def _duration(text: str) -> float | None:
    """Seconds of `6m0s`, `17ms`, `1h2m3.5s`: number and unit, one after the other."""
    parts = _DURATION.findall(text)
    if not parts or sum(len(number) + len(unit) for number, unit in parts) != len(text):
        return None
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


def _http_date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def _storable(at: float) -> float | None:
    return at if at <= _LATEST_S else None
