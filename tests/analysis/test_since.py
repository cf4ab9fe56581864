"""`--since`: durations and moments."""

from __future__ import annotations

import pytest

from analysis.since import parse_since
from probes.errors import UnderglassError

NOW_NS = 1_760_000_000_000_000_000
S = 10**9


@pytest.mark.parametrize(
    ("text", "ago_s"),
    [("90s", 90), ("10m", 600), ("2h", 7200), ("7d", 604800), ("1w", 604800), (" 0s ", 0)],
)
def test_a_duration_counts_back_from_now(text: str, ago_s: int) -> None:
    assert parse_since(text, NOW_NS) == NOW_NS - ago_s * S


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86400),
        ("1970-01-01T00:01:00", 60),
        ("1970-01-01T00:01:00Z", 60),
        ("1970-01-01 01:01:00+01:00", 60),
        ("2025-10-09T08:53:20.000001Z", 1_760_000_000.000001),
        ("1969-12-31", -86400),
    ],
)
def test_a_moment_without_an_offset_is_utc(text: str, seconds: float) -> None:
    assert parse_since(text, NOW_NS) == round(seconds * 10**6) * 1000


@pytest.mark.parametrize("text", ["", "yesterday", "10", "10 m", "-5m", "5y", "2025-13-01", "m"])
def test_anything_else_is_a_usage_error(text: str) -> None:
    with pytest.raises(UnderglassError, match="not a time") as raised:
        parse_since(text, NOW_NS)
    assert raised.value.exit_code == 2
    assert raised.value.hint
