"""Tokens and money: sums, caches, waste, rates, and what is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.cache_savings import SIZES, cache_savings
from analysis.reading import open_reader, query
from analysis.spend import SpendReport, spend
from collector.llm.model import Usage
from collector.pricing import Override, price
from collector.rows import Batch, CallRow
from collector.store import Store
from tests.collector import store_rows as row

DAY_NS = 86_400 * 10**9
START_NS = 20_400 * DAY_NS
MIN_NS = 60 * 10**9


def call(name: str, minute: int, **about: object) -> CallRow:
    started_ns = START_NS + minute * MIN_NS
    fields: dict[str, object] = {
        "session_id": "s1", "agent": "claude-code", "provider": "anthropic", "host": None,
        "model": "claude-sonnet-4-5", "request_model": "claude-sonnet-4-5",
        "started_ns": started_ns, "ended_ns": started_ns + MIN_NS, "status": "ok",
        "input_tokens": 1000, "output_tokens": 100, "cache_read_tokens": 0,
        "cache_write_tokens": 0, "cost_usd": 0.01, "cost_source": "genai-prices/1",
        "usage_source": "reported", "retry_of": None,
    }  # fmt: skip
    return row.call(name, **(fields | about))


def spent(tmp_path: Path, *calls: CallRow, findings: str = "", **asked: object) -> SpendReport:
    path = tmp_path / "s.db"
    if not path.exists():
        with Store.open(path) as store:
            store.write(Batch(calls=list(calls)))
            if findings:
                store.cursor().execute(f"INSERT INTO finding BY NAME {findings}")
    with open_reader(path) as reader:
        return spend(reader, **asked)  # type: ignore[arg-type]


def usd(**usage: int) -> float:
    cost = price(Usage(**usage), "claude-sonnet-4-5", "anthropic", None, START_NS / 1e9).cost_usd
    assert cost is not None
    return cost


MIXED = (
    call("a", 0, input_tokens=10_000, cache_read_tokens=8000, cache_write_tokens=1000,
         cost_usd=0.1),
    call("b", 10, model="unheard-of", request_model="unheard-of", provider="elsewhere",
         cost_usd=None, cost_source="unpriced", cache_read_tokens=500),
    call("c", 24 * 60, session_id="s2", agent="codex", cost_usd=0.3, cache_read_tokens=None),
    call("d", 24 * 60 + 10, session_id="s2", agent="codex", cost_usd=0.2,
         usage_source="estimated"),
)  # fmt: skip


def test_by_model(tmp_path: Path) -> None:
    found = spent(tmp_path, *MIXED)
    sonnet, unheard = found.rows
    assert (sonnet.key, sonnet.label, sonnet.calls) == ("claude-sonnet-4-5", "anthropic", 3)
    assert sonnet.cost_usd == pytest.approx(0.6)
    assert (sonnet.input_tokens, sonnet.output_tokens, sonnet.estimated_calls) == (12_000, 300, 1)
    assert sonnet.cache_hit_rate == pytest.approx(8000 / 11_000)  # of calls that say it
    plain = usd(input_tokens=10_000, output_tokens=0)
    cached = usd(
        input_tokens=10_000, output_tokens=0, cache_read_tokens=8000, cache_write_tokens=1000
    )
    assert sonnet.cache_savings_usd == pytest.approx(plain - cached)
    assert (unheard.cost_usd, unheard.unpriced_calls, unheard.cache_savings_usd) == (None, 1, None)
    assert found.total.calls == 4
    assert found.total.cost_usd == pytest.approx(0.6)
    assert found.total.cache_savings_usd == pytest.approx(plain - cached)
    assert found.left_out == 0


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("session", [("s2", "codex", 2), ("s1", "claude-code", 2)]),
        ("agent", [("codex", None, 2), ("claude-code", None, 2)]),
        ("day", [("2025-11-09", None, 2), ("2025-11-08", None, 2)]),
    ],
)
def test_by_others(tmp_path: Path, by: str, expected: list[tuple[str, str | None, int]]) -> None:
    found = spent(tmp_path, *MIXED, by=by)
    assert [(one.key, one.label, one.calls) for one in found.rows] == expected
    assert sum(one.cache_savings_usd or 0 for one in found.rows) == pytest.approx(
        found.total.cache_savings_usd
    )
    assert found.rows[0].first_at is not None


def test_a_part_of_the_store(tmp_path: Path) -> None:
    found = spent(tmp_path, *MIXED, session="s2")
    assert found.total.calls == 2
    assert found.total.cost_usd == pytest.approx(0.5)
    assert spent(tmp_path, since_ns=START_NS + DAY_NS).total.calls == 2
    nothing = spent(tmp_path, session="none")
    assert (nothing.total.calls, nothing.total.cost_usd, nothing.rows) == (0, None, ())
    assert (nothing.waste, nothing.burn.usd_per_hour) == ((), None)


def test_waste_by_cause(tmp_path: Path) -> None:
    findings = """
        SELECT 'f' || i AS finding_id, '' AS scope, 's1' AS session_id, kind, 'info' AS severity,
            '' AS title, 1 AS count, 100 * i AS wasted_tokens, 0.5 * i AS wasted_usd,
            '[]' AS evidence, 0 AS found_ns
        FROM (VALUES (1, 'compaction'), (2, 'reread'), (3, 'repeat'), (4, 'compaction_spiral'),
                     (5, 'human_denied')) AS f(i, kind)
    """
    failed = {"status": "error", "input_tokens": None, "output_tokens": None, "cost_usd": None}
    found = spent(
        tmp_path,
        call("a", 0, **failed),
        call("b", 1, retry_of="a"),
        call("c", 2, **failed),
        call("d", 3, status="incomplete", cost_usd=0.07),
        call("e", 4, status="incomplete", cost_usd=0.05),
        call("f", 5, retry_of="e", cost_usd=0.06),
        findings=findings,
    )
    assert {(one.cause, one.count, one.tokens, one.cost_usd) for one in found.waste} == {
        ("compactions", 2, 300, 1.5),
        ("loops", 1, 300, 1.5),
        ("retried", 2, 1100, 0.05),
        ("cut", 1, 1100, 0.07),
        ("failed", 1, None, None),
    }
    assert found.total.failed_calls == 4
    assert found.total.wasted_usd == pytest.approx(0.12)


def test_burn_rates(tmp_path: Path) -> None:
    calls = [call(f"old{n}", n, cost_usd=1.0) for n in range(2)]
    calls += [call(f"new{n}", 600 + 10 * n, cost_usd=0.5) for n in range(4)]
    burn = spent(tmp_path, *calls).burn
    assert burn.recent_usd_per_hour == pytest.approx(2.0 / (31 / 60))
    assert burn.usd_per_hour == pytest.approx(4.0 / (631 / 60))


def test_no_rate_over_a_moment(tmp_path: Path) -> None:
    only = call("a", 0, ended_ns=START_NS + 10**9)
    assert spent(tmp_path, only).burn.usd_per_hour is None


def test_the_dearest_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.spend.MOST_ROWS", 2)
    calls = [
        call(f"c{n}", n, session_id=f"s{n}", cost_usd=float(n), cache_read_tokens=100)
        for n in range(5)
    ]
    found = spent(tmp_path, *calls, by="session")
    assert [one.key for one in found.rows] == ["s4", "s3"]
    assert (found.left_out, found.total.calls) == (3, 5)
    saved = found.rows[0].cache_savings_usd
    assert saved is not None
    assert found.total.cache_savings_usd == pytest.approx(5 * saved)


def test_savings_follow_the_size_of_the_request(tmp_path: Path) -> None:
    """Prices of some models rise with the input: in the store's query and in the price alike."""
    for size, size_class in zip([1, *SIZES], range(8), strict=True):
        inputs = size + 1
        path = tmp_path / f"{size}.db"
        with Store.open(path) as store:
            store.write(Batch(calls=[call("a", 0, input_tokens=inputs, cache_read_tokens=inputs)]))
        with open_reader(path) as reader:
            asked: dict[str, Any] = {"by": "agent", "keys": [], "since_ns": None, "session": None}
            found = reader.rows(query("spend_cache").replace("{where}", "TRUE"), asked)
            assert found.column("size_class") == (size_class,)
            saved = cache_savings(found)["claude-code", None]
        plain = usd(input_tokens=inputs, output_tokens=0)
        assert saved == pytest.approx(
            plain - usd(input_tokens=inputs, output_tokens=0, cache_read_tokens=inputs)
        )


def test_the_users_own_prices(tmp_path: Path) -> None:
    own = Override(match="unheard-*", input=10.0, output=1.0, cache_read=1.0)
    asked = call("a", 0, model="unheard-of", request_model="unheard-of", provider="elsewhere",
                 cache_read_tokens=1_000_000, input_tokens=1_000_000)  # fmt: skip
    assert spent(tmp_path, asked).total.cache_savings_usd is None
    assert spent(tmp_path, overrides=(own,)).total.cache_savings_usd == pytest.approx(9.0)
