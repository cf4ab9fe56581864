"""Rates of cached tokens that one `spend` leaves to the next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.cache_savings import cache_savings
from collector.pricing import Override
from underglass.known_rates import remembered_rates

DAY = 20_400
ROW = (
    *("k", "l", "anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5", "api.anthropic.com", None),
    *(DAY, 0, 1_000_000, None),
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "underglass" / "cache-rates.json"


def test_rates_are_kept_and_taken(cache: Path) -> None:
    with remembered_rates() as known:
        saved = cache_savings([ROW], known=known)
        assert saved["k", "l"] == pytest.approx(2.7)  # 3 dollars a million less 30 cents
    assert cache.stat().st_mode & 0o777 == 0o600
    stored = json.loads(cache.read_text())
    (key,) = stored["rates"]
    stored["rates"][key] = [1e-6, 0.0]
    cache.write_text(json.dumps(stored))
    with remembered_rates() as known:
        assert cache_savings([ROW], known=known)["k", "l"] == pytest.approx(1.0)
        own = Override("claude*", input=5.0, output=1.0, cache_read=1.0, force=True)
        assert cache_savings([ROW], (own,), known)["k", "l"] == pytest.approx(4.0)
        assert list(known) == [key]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "\x00", '{"tables": "genai-prices/0.0.0", "rates": {"a": [1, 2]}}',
             '{"tables": 5, "rates": {"a": "x"}}'],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_as_none(cache: Path, text: str) -> None:
    cache.parent.mkdir()
    cache.write_text(text)
    with remembered_rates() as known:
        assert not known
        known["new"] = None
    with remembered_rates() as known:
        assert dict(known) == {"new": None}


def test_a_directory_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with remembered_rates() as known:
        known["new"] = (1.0, 2.0)
