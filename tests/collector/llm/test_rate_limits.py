from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.llm.rate_limits import (
    MAX_HEADERS,
    RateLimit,
    limits_of,
    limits_of_event,
    retry_after_s,
    retry_delay_s,
    stored,
)
from tests.collector.llm.wire import anything

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp()
RESET = datetime(2026, 11, 21, 12, 0, 42, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("headers", "limits"),
    [
        pytest.param(
            {
                "anthropic-ratelimit-requests-limit": "4000",
                "anthropic-ratelimit-requests-remaining": "3999",
                "anthropic-ratelimit-requests-reset": "2026-11-21T12:00:42Z",
                "anthropic-ratelimit-input-tokens-limit": "2000000",
                "anthropic-ratelimit-input-tokens-remaining": "1999000",
                "anthropic-ratelimit-input-tokens-reset": "2026-11-21T12:00:42+00:00",
            },
            [
                RateLimit("requests", 4000, 3999, reset_at=RESET),
                RateLimit("input_tokens", 2_000_000, 1_999_000, reset_at=RESET),
            ],
            id="anthropic",
        ),
        pytest.param(
            {
                "anthropic-priority-output-tokens-limit": "10000",
                "anthropic-fast-input-tokens-remaining": "7",
            },
            [
                RateLimit("priority_output_tokens", 10000),
                RateLimit("fast_input_tokens", remaining=7),
            ],
            id="anthropic-tiers",
        ),
        pytest.param(
            {
                "anthropic-ratelimit-unified-status": "allowed",
                "anthropic-ratelimit-unified-5h-utilization": "0.05",
                "anthropic-ratelimit-unified-5h-reset": f"{RESET:.0f}",
                "anthropic-ratelimit-unified-5h-status": "allowed",
                "anthropic-ratelimit-unified-7d_oi-utilization": "1",
                "anthropic-ratelimit-unified-reset": f"{RESET:.0f}",
                "anthropic-ratelimit-unified-representative-claim": "five_hour",
                "anthropic-ratelimit-unified-overage-status": "rejected",
            },
            [
                RateLimit("unified_5h", used_percent=5, reset_at=RESET),
                RateLimit("unified_7d_oi", used_percent=100),
                RateLimit("unified", reset_at=RESET),
            ],
            id="claude-subscription",
        ),
        pytest.param(
            {
                "x-ratelimit-limit-requests": "500",
                "x-ratelimit-remaining-requests": "499",
                "x-ratelimit-reset-requests": "120ms",
                "x-ratelimit-limit-tokens": "30000",
                "x-ratelimit-remaining-tokens": "29000",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            [
                RateLimit("requests", 500, 499, reset_at=NOW + 0.12),
                RateLimit("tokens", 30000, 29000, reset_at=NOW + 360),
            ],
            id="openai",
        ),
        pytest.param(
            {
                "x-ratelimit-limit-requests": "14400",
                "x-ratelimit-reset-requests": "2m59.56s",
                "x-ratelimit-reset-tokens": "1h2m3.5s",
            },
            [
                RateLimit("requests", 14400, reset_at=NOW + 179.56),
                RateLimit("tokens", reset_at=NOW + 3723.5),
            ],
            id="groq",
        ),
        pytest.param(
            {
                "x-ratelimit-limit-tokens-minute": "60000",
                "x-ratelimit-remaining-tokens-minute": "59000",
                "x-ratelimit-reset-tokens-minute": "11.382",
                "x-ratelimit-limit-requests-day": "1000",
                "x-ratelimit-reset-requests-day": "33011.382",
            },
            [
                RateLimit("tokens_minute", 60000, 59000, reset_at=NOW + 11.382),
                RateLimit("requests_day", 1000, reset_at=NOW + 33011.382),
            ],
            id="cerebras",
        ),
        pytest.param(
            {
                "x-ratelimit-limit": "20",
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": f"{RESET * 1000:.0f}",
            },
            [RateLimit("default", 20, 0, reset_at=RESET)],
            id="openrouter",
        ),
        pytest.param(
            {"ratelimit-reset": f"{RESET:.0f}", "x-tokenlimit-limit": "3000"},
            [RateLimit("default", reset_at=RESET), RateLimit("tokens", 3000)],
            id="together",
        ),
        pytest.param(
            {
                "x-codex-plan-type": "plus",
                "x-codex-primary-used-percent": "42.5",
                "x-codex-primary-window-minutes": "300",
                "x-codex-primary-reset-at": f"{RESET:.0f}",
                "x-codex-secondary-used-percent": "13",
                "x-codex-secondary-reset-after-seconds": "42",
                "x-codex-bengalfox-primary-used-percent": "100",
            },
            [
                RateLimit("codex_primary", used_percent=42.5, reset_at=RESET, window_s=18000),
                RateLimit("codex_secondary", used_percent=13, reset_at=RESET),
                RateLimit("codex_bengalfox_primary", used_percent=100),
            ],
            id="codex",
        ),
        pytest.param(
            {
                "x-ratelimit-limit-requests": "many",
                "x-ratelimit-remaining-requests": "-1",
                "x-ratelimit-reset-requests": "soon",
                "x-ratelimit-limit-tokens": "nan",
                "x-ratelimit-reset-tokens": "1e300",
                "content-type": "x-ratelimit-limit-requests",
            },
            [],
            id="nonsense",
        ),
    ],
)
def test_limits_of_headers(headers: dict[str, str], limits: list[RateLimit]) -> None:
    found = limits_of(tuple(headers.items()), NOW)
    assert [limit.name for limit in found] == [limit.name for limit in limits]
    for limit, expected in zip(found, limits, strict=True):
        assert (limit.limit, limit.remaining) == (expected.limit, expected.remaining)
        assert (limit.used_percent, limit.window_s) == (expected.used_percent, expected.window_s)
        assert limit.reset_at == (expected.reset_at and pytest.approx(expected.reset_at, abs=1e-3))


def test_limits_of_codex_events() -> None:
    event = {
        "type": "codex.rate_limits",
        "plan_type": "pro",
        "rate_limits": {
            "primary": {"used_percent": 28.5, "window_minutes": 300, "reset_at": RESET},
            "secondary": {"used_percent": 59, "window_minutes": 10080, "reset_after_seconds": 42},
        },
    }
    primary = RateLimit("codex_primary", used_percent=28.5, reset_at=RESET, window_s=18000)
    secondary = RateLimit("codex_secondary", used_percent=59, reset_at=RESET, window_s=604800)
    assert limits_of_event(event, NOW) == (primary, secondary)
    named = {**event, "metered_limit_name": "codex_other"}
    assert limits_of_event(named, NOW)[0].name == "codex_other_primary"
    assert limits_of_event({**event, "type": "response.created"}, NOW) == ()
    assert limits_of_event({"type": "codex.rate_limits", "rate_limits": {"allowed": True}}, 0) == ()


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:42 GMT"}, 42),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "7", "retry-after-ms": "6500"}, 6.5),
        ({"x-ms-retry-after-ms": "250"}, 0.25),
        ({"retry-after": "later"}, None),
        ({"retry-after": "-3"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], wait_s: float | None) -> None:
    assert retry_after_s(tuple(headers.items()), NOW) == wait_s


def test_delays_in_errors() -> None:
    google = {
        "error": {
            "code": 429,
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.Help"},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"},
            ],
        }
    }
    assert retry_delay_s(google) == retry_delay_s([google]) == 34.5
    assert retry_delay_s(google["error"]) == 34.5
    codex = {"error": {"type": "usage_limit_reached", "resets_in_seconds": 60}}
    assert retry_delay_s(codex) == 60
    assert retry_delay_s({"error": {"message": "no"}}) is None
    assert retry_delay_s("busy") is None


def test_stored_headers_keep_their_words() -> None:
    headers = (
        ("content-type", "application/json"),
        ("x-ratelimit-limit-tokens", "100"),
        ("retry-after", "7"),
    )
    kept = json.loads(stored(headers, limits_of(headers, NOW)) or "")
    assert kept == {
        "x-ratelimit-limit-tokens": "100",
        "retry-after": "7",
        "limits": [{"name": "tokens", "limit": 100}],
    }
    assert stored((("content-type", "x"),), ()) is None


_names = st.sampled_from(
    ("retry-after", "retry-after-ms", "x-codex-primary-reset-at", "x-codex-primary-used-percent")
) | st.from_regex(
    r"(anthropic-ratelimit-unified-5h|x-ratelimit-reset|anthropic-priority)-[a-z-]{0,20}",
    fullmatch=True,
)
_values = st.text(max_size=30) | st.from_regex(r"[0-9.e+-]{1,12}(ms|s|m|h)?", fullmatch=True)


@given(st.lists(st.tuples(_names, _values), max_size=100), anything)
def test_nothing_that_a_server_sends_is_too_much(
    headers: list[tuple[str, str]], payload: object
) -> None:
    fields = tuple(headers)
    text = stored(fields, limits_of(fields, NOW))
    assert text is None or len(json.loads(text)) <= MAX_HEADERS + 1
    wait_s = retry_after_s(fields, NOW)
    assert wait_s is None or wait_s >= 0
    retry_delay_s(payload)
    limits_of_event({"type": "codex.rate_limits", "rate_limits": payload}, NOW)
