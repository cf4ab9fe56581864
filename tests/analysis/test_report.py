"""The report: sums, percentiles and rates, and what is not known."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path

import pytest

from analysis.reading import open_reader
from analysis.report import Cost, ErrorCount, Percentiles, ToolUsage, report
from collector.rows import Batch
from collector.store import Store
from tests.collector import store_rows as row
from tests.collector.store_rows import MS, START_NS


def store_with(path: Path, batch: Batch) -> Path:
    with Store.open(path) as store:
        store.write(batch)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    timed = [
        row.call(
            f"c{number}",
            started_ns=START_NS + number * 10_000 * MS,
            first_token_ns=START_NS + number * 10_000 * MS + number * MS,
            ended_ns=START_NS + number * 10_000 * MS + number * 10 * MS,
            stream=number <= 50,
        )
        for number in range(1, 101)
    ]
    failed = [
        row.call(f"e{number}", session_id="s2", status="error", error_type=kind, cost_usd=None,
                 input_tokens=None, output_tokens=None, model=None, ended_ns=START_NS + 1)
        for number, kind in enumerate(["rate_limit_error", "rate_limit_error", None])
    ]  # fmt: skip
    unpriced = [row.call("u", cost_usd=None, cost_source="unpriced", model="m", stream=False,
                         status="incomplete")]  # fmt: skip
    tools = [
        row.tool_call("t1"),
        row.tool_call("t2", is_error=True, result_ns=START_NS + 1700 * MS),
        row.tool_call("t3", is_error=None, result_ns=None),
        row.tool_call("t4", name="Read", is_error=None, result_ns=None),
    ]
    return store_with(
        tmp_path / "s.db",
        Batch(
            sessions=[row.session(), row.session("s2")],
            calls=timed + failed + unpriced,
            tool_calls=tools,
            health=[row.health(3)],
        ),
    )


def test_the_whole_store(path: Path) -> None:
    with open_reader(path) as reader:
        found = report(reader)
    totals = found.totals
    assert (totals.calls, totals.ok, totals.errors, totals.incomplete) == (104, 100, 3, 1)
    assert (totals.sessions, totals.running) == (2, 0)
    assert (totals.input_tokens, totals.cache_write_tokens) == (101 * 1200, None)
    assert totals.first_started_at == datetime.datetime(
        2025, 10, 9, 8, 53, 20, 123456, tzinfo=datetime.UTC
    )
    assert dataclasses.astuple(found.latency_ms) == pytest.approx(
        (100, 505.0, 901.0, 950.5, 990.1, 1000.0)
    )
    assert found.ttft_ms.count == 50
    assert (found.ttft_ms.p50, found.ttft_ms.max) == (25.5, 50.0)
    assert found.cost.total_usd == pytest.approx(1.25)
    assert (found.cost.priced_calls, found.cost.unpriced_calls) == (100, 1)
    assert found.errors == (ErrorCount("rate_limit_error", 2), ErrorCount(None, 1))
    assert found.tools == (
        ToolUsage("Bash", 3, 1, 2, 0.5, 400.0),
        ToolUsage("Read", 1, 0, 0, None, None),
    )
    assert [(each.model, each.calls, each.unpriced_calls) for each in found.models] == [
        ("claude-sonnet-4-5", 103, 0),
        ("m", 1, 1),
    ]
    assert found.sessions.column("session_id") == ("s1", "s2")
    assert found.health.rows == (("openssl", "captured_bytes", "", 3),)


def test_one_session_from_a_moment_on(path: Path) -> None:
    with open_reader(path) as reader:
        late = report(reader, since_ns=START_NS + 1_000_000 * MS, session="s1")
        failed = report(reader, session="s2")
    assert late.totals.calls == 1
    assert late.latency_ms == Percentiles(1, *[1000.0] * 5)
    assert (late.tools, late.errors) == ((), ())
    assert failed.totals.calls == failed.totals.errors == 3
    assert failed.totals.input_tokens is None
    assert failed.cost == Cost(None, 0, 0)
    assert failed.latency_ms == Percentiles(0)


def test_an_empty_store_reports_nothing_known(tmp_path: Path) -> None:
    with open_reader(store_with(tmp_path / "s.db", Batch())) as reader:
        found = report(reader)
    assert (found.totals.calls, found.totals.input_tokens) == (0, None)
    assert found.latency_ms == found.ttft_ms == Percentiles()
    assert found.cost == Cost(None, 0, 0)
    assert (found.models, found.errors, found.tools) == ((), (), ())
    assert len(found.sessions) == len(found.health) == 0


def test_estimates_and_retries_are_counted(tmp_path: Path) -> None:
    source = "estimated:genai-prices/0.2.3"
    calls = [
        row.call("c1", status="error", cost_usd=None),
        row.call("c2", retry_of="c1", cost_usd=0.5),
        row.call("c3", usage_source="estimated", cost_usd=0.25, cost_source=source),
    ]
    path = store_with(tmp_path / "s.db", Batch(sessions=[row.session()], calls=calls))
    with open_reader(path) as reader:
        found = report(reader)
    assert (found.totals.retries, found.totals.estimated_calls) == (1, 1)
    assert found.models[0].estimated_calls == 1
    assert found.cost == Cost(0.75, 2, 0, 0.25)
