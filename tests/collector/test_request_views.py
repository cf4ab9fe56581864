"""The views `provider_requests`, `rate_limits` and the estimates in `sessions`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from analysis import reading
from analysis.columns import REQUESTS
from analysis.reading import open_reader
from collector.llm.rate_limits import limits_of, stored
from collector.rows import Batch, ProviderRequestRow
from collector.store import Store
from tests.collector import store_rows as row
from tests.collector.store_rows import MS, START_NS

REQUEST = ProviderRequestRow(
    request_id="q1",
    capture_id="k1",
    session_id="s1",
    pid=4242,
    comm="node",
    agent="claude-code",
    agent_version="2.1.0",
    provider="anthropic",
    host="api.anthropic.com",
    kind="count_tokens",
    model="claude-sonnet-4-6",
    started_ns=START_NS,
    ended_ns=START_NS + 250 * MS,
    http_status=200,
    status="ok",
    error_type=None,
    error_message="words of the provider",
    counted_tokens=14,
    item_count=None,
    batch_id=None,
    batch_status=None,
    request_bytes=100,
    response_bytes=50,
    credential="0a1b2c3d",
    protocol="http/2",
)


def _store(path: Path, batch: Batch, **options: Any) -> Path:
    with Store.open(path, **options) as store:
        store.write(batch)
    return path


def test_provider_requests_are_listed_and_are_no_calls(tmp_path: Path) -> None:
    batch = Batch(sessions=[row.session()], provider_requests=[REQUEST])
    with open_reader(_store(tmp_path / "s.db", batch)) as reader:
        (found,) = reading.requests(reader).records()
        assert reading.requests(reader, session="other").records() == []
        assert reading.requests(reader, since_ns=START_NS + MS).records() == []
        assert reading.calls(reader).records() == []
        (session,) = reading.sessions(reader).records()
    assert (found["kind"], found["counted_tokens"], found["duration_ms"]) == (
        "count_tokens",
        14,
        250,
    )
    assert found["error_message"] == "words of the provider"
    assert (session["calls"], session["input_tokens"], session["cost_usd"]) == (0, None, None)
    assert set(REQUESTS.fields) <= set(found)


def test_limits_are_rows(tmp_path: Path) -> None:
    now_s = START_NS / 1e9
    headers = (
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "49"),
        ("anthropic-ratelimit-requests-reset", "2026-11-21T12:00:42Z"),
        ("anthropic-ratelimit-unified-5h-utilization", "0.25"),
        ("retry-after", "7"),
    )
    calls = [
        row.call("c1", rate_limits=stored(headers, limits_of(headers, now_s)), credential="0a"),
        row.call("c2", rate_limits='{"retry-after": "7"}'),
        row.call("c3", rate_limits='{"limits": 3}'),
        row.call("c4", rate_limits=json.dumps({"limits": [{"name": "x", "reset_at": 1e300}]})),
        row.call("c5", rate_limits=None),
    ]
    with open_reader(_store(tmp_path / "s.db", Batch(calls=calls))) as reader:
        found = reader.rows("FROM rate_limits ORDER BY call_id, name").records()
    assert [(one["call_id"], one["name"]) for one in found] == [
        ("c1", "requests"),
        ("c1", "unified_5h"),
        ("c4", "x"),
    ]
    requests, unified, odd = found
    assert (requests["limit"], requests["remaining"], requests["credential"]) == (50, 49, "0a")
    assert requests["reset_at"] == "2026-11-21T12:00:42.000000Z"
    assert (unified["used_percent"], unified["reset_at"]) == (25, None)
    assert odd["reset_at"] is None


def test_sessions_say_how_many_calls_are_estimated(tmp_path: Path) -> None:
    sources = ["reported", "estimated", "output_estimated", None]
    calls = [row.call(f"c{n}", usage_source=source) for n, source in enumerate(sources)]
    path = _store(tmp_path / "s.db", Batch(sessions=[row.session()], calls=calls))
    with open_reader(path) as reader:
        (session,) = reading.sessions(reader).records()
    assert (session["calls"], session["estimated_calls"]) == (4, 2)
