"""Reading a store file, and what its queries answer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from analysis.reading import (
    Reader,
    call_detail,
    calls,
    health,
    open_reader,
    processes,
    sessions,
    sql,
    tools,
)
from analysis.session_rows import families
from collector.rows import Batch, ContentRow, ToolSetRow
from collector.store import Store
from collector.store_errors import (
    NotAStore,
    QueryFailed,
    StoreMissing,
    StoreTooNew,
    StoreTooOld,
)
from tests.collector import store_rows as row
from tests.collector.store_rows import MS, START_NS

CONTRACT = {
    "calls": "call_id session_id agent pid comm provider api model request_model host started_at"
    " duration_ms ttft_ms status error_type stream complete input_tokens output_tokens"
    " cache_read_tokens cache_write_tokens reasoning_tokens cost_usd cost_source finish_reason"
    " tool_call_count request_bytes response_bytes lost_bytes",
    "tools": "tool_call_id session_id call_id name arguments result_preview is_error requested_at"
    " result_at duration_ms",
    "processes": "pid ppid started_at ended_at exe argv cwd exit_code signal session_id",
    "sessions": "session_id agent agent_version root_pid started_at ended_at calls tool_calls"
    " input_tokens output_tokens cost_usd errors",
    "health": "source counter cause value",
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "s.db"
    texts = ("a", "b", "c")
    with Store.open(path) as store:
        store.write(
            Batch(
                captures=[row.capture()],
                sessions=[row.session(), row.session("s2", agent=None), row.session("s3")],
                calls=[
                    row.call("c1", input_node="a/b", output_node="a/b/c", tool_set="ts"),
                    row.call(
                        "c2",
                        started_ns=START_NS + 5000 * MS,
                        first_token_ns=None,
                        ended_ns=START_NS + 7000 * MS,
                        stream=False,
                        cost_usd=None,
                        cost_source="unpriced",
                        input_node="a",
                        chunk_ns=(),
                    ),
                    row.call(
                        "c3",
                        session_id="s2",
                        started_ns=START_NS + 9000 * MS,
                        ended_ns=START_NS + 9100 * MS,
                        status="error",
                        error_type="rate_limit_error",
                        chunk_ns=(),
                        input_tokens=None,
                        output_tokens=None,
                        cost_usd=None,
                        cost_source=None,
                    ),
                    row.call(
                        "c4",
                        session_id="s2",
                        started_ns=START_NS + 9500 * MS,
                        status="running",
                        ended_ns=None,
                        complete=False,
                        cost_usd=None,
                        output_tokens=None,
                    ),
                ],
                tool_calls=[
                    row.tool_call(),
                    row.tool_call("raw", arguments="not {json", result_ns=None, is_error=None),
                    row.tool_call("none", arguments=None),
                ],
                processes=[
                    row.process(),
                    row.process("9-9", pid=9, started_ns=None, ended_ns=START_NS + 1, signal=9),
                ],
                contents=[
                    *row.contents_of(*texts),
                    ContentRow("schema", "tool", None, 4, '{"name":"Bash"}'),
                ],
                nodes=row.nodes_of(*texts),
                tool_sets=[ToolSetRow("ts", 0, "schema")],
                health=[row.health(5), row.health(7, capture_id="k2"), row.health(1, cause="x")],
                coverage=[row.coverage()],
            )
        )
    return path


@pytest.fixture
def reader(path: Path) -> Iterator[Reader]:
    with open_reader(path) as reader:
        yield reader


@pytest.mark.parametrize("view", CONTRACT)
def test_a_view_begins_with_the_contract_columns(reader: Reader, view: str) -> None:
    expected = tuple(CONTRACT[view].split())
    assert reader.rows(f"SELECT * FROM {view} LIMIT 0").columns[: len(expected)] == expected


def test_a_call_as_json(reader: Reader) -> None:
    found = calls(reader).records()[0]
    assert json.loads(json.dumps(found)) == found
    assert found["started_at"] == "2025-10-09T08:53:20.123456Z"
    assert found["ended_at"] == "2025-10-09T08:53:21.623456Z"
    assert (found["duration_ms"], found["ttft_ms"]) == (1500.0, 250.0)
    assert found["params"] == {"max_tokens": 4096}
    assert (found["stream"], found["cache_write_tokens"]) == (True, None)


def test_an_unstreamed_call_has_no_time_to_first_token(reader: Reader) -> None:
    assert calls(reader).column("ttft_ms")[1] is None


def test_listings_filter_by_time_and_session(reader: Reader) -> None:
    assert calls(reader).column("call_id") == ("c1", "c2", "c3", "c4")
    assert calls(reader, since_ns=START_NS).column("call_id") == ("c1", "c2", "c3", "c4")
    assert calls(reader, START_NS + 5000 * MS).column("call_id") == ("c2", "c3", "c4")
    assert calls(reader, session="s2").column("call_id") == ("c3", "c4")
    assert calls(reader, START_NS + 9200 * MS, "s2").column("call_id") == ("c4",)
    assert len(tools(reader)) == 3
    assert len(tools(reader, START_NS + 1401 * MS)) == 0
    assert processes(reader).column("pid") == (9, 4242)
    assert processes(reader, START_NS + 1000).column("pid") == (4242,)
    assert len(processes(reader, session="s9")) == 0
    assert sessions(reader, START_NS + 8000 * MS).column("session_id") == ("s2",)
    assert sessions(reader, session="s1").column("session_id") == ("s1",)


def test_arguments_are_json_whatever_was_sent(reader: Reader) -> None:
    found = {each["tool_call_id"]: each for each in tools(reader).records()}
    assert found["toolu_1"]["arguments"] == {"command": "ls"}
    assert found["raw"]["arguments"] == "not {json"
    assert found["none"]["arguments"] is None
    assert (found["toolu_1"]["duration_ms"], found["raw"]["duration_ms"]) == (500.0, None)


def test_a_session_sums_its_calls(reader: Reader) -> None:
    one, two, three = sessions(reader).records()
    assert (one["calls"], one["tool_calls"], one["errors"]) == (2, 3, 0)
    assert (one["input_tokens"], one["output_tokens"]) == (2400, 160)
    assert (one["cost_usd"], one["unpriced_calls"]) == (0.0125, 1)
    assert one["ended_at"] == "2025-10-09T08:53:27.123456Z"
    assert (two["agent"], two["calls"], two["errors"]) == ("claude-code", 2, 1)
    assert (two["cost_usd"], two["unpriced_calls"], two["ended_at"]) == (None, 0, None)
    assert two["running_calls"] == 1
    assert (three["calls"], three["input_tokens"], three["ended_at"]) == (0, None, None)


def test_health_sums_over_captures(reader: Reader) -> None:
    assert health(reader).rows == (
        ("openssl", "captured_bytes", "", 12),
        ("openssl", "captured_bytes", "x", 1),
    )


def test_a_call_in_detail(reader: Reader) -> None:
    detail = call_detail(reader, "c1")
    assert detail.call["call_id"] == "c1"
    assert [(each.position, each.side, each.body) for each in detail.messages] == [
        (0, "input", {"text": "a"}),
        (1, "input", {"text": "b"}),
        (2, "output", {"text": "c"}),
    ]
    assert detail.tool_schemas == ({"name": "Bash"},)
    assert detail.tool_calls.column("tool_call_id") == ("none", "raw", "toolu_1")
    assert detail.chunk_ms == (250.0, 300.0)
    bare = call_detail(reader, "c3")
    assert (bare.messages, bare.chunk_ms, bare.tool_schemas) == ((), (), ())
    assert [each.body for each in call_detail(reader, "c2").messages] == [{"text": "a"}]


def test_the_view_of_messages_agrees_with_the_query(reader: Reader) -> None:
    found = reader.rows(
        "SELECT position, side, kind, role, size_bytes, content_hash FROM messages"
        " WHERE call_id = 'c1' ORDER BY position"
    )
    assert found.rows == tuple(
        (one.position, one.side, one.kind, one.role, one.size_bytes, one.content_hash)
        for one in call_detail(reader, "c1").messages
    )
    counted = reader.rows("SELECT call_id, count(*) FROM messages GROUP BY 1 ORDER BY 1")
    assert counted.rows == (("c1", 3), ("c2", 1))


def test_an_unknown_call_is_an_error_with_a_hint(reader: Reader) -> None:
    with pytest.raises(QueryFailed, match="no call zzz") as raised:
        call_detail(reader, "zzz")
    assert raised.value.hint


def test_a_long_conversation_is_read_whole(tmp_path: Path) -> None:
    texts = [f"m{number}" for number in range(400)]
    hashed = row.nodes_of(*(f"{number}" for number in range(400)))
    nodes = [
        type(node)(f"n{at}", f"n{at - 1}" if at else None, at, f"h-m{at}")
        for at, node in enumerate(hashed)
    ]
    with Store.open(tmp_path / "s.db") as store:
        leaf = row.call("c1", input_node="n398", output_node="n399")
        store.write(Batch(calls=[leaf], contents=row.contents_of(*texts), nodes=nodes))
    with open_reader(tmp_path / "s.db") as reader:
        detail = call_detail(reader, "c1")
    assert [each.body["text"] for each in detail.messages] == texts
    assert detail.messages[-1].side == "output"


def test_the_user_writes_sql(reader: Reader, tmp_path: Path) -> None:
    found = sql(reader, "SELECT 1.5::DECIMAL(5,2) AS d, [1, 2] AS l, {'a': now()} AS s, 'x' AS t")
    (record,) = found.records()
    assert (record["d"], record["l"], record["t"]) == (1.5, [1, 2], "x")
    assert sql(reader, "SHOW TABLES").rows
    assert sql(reader, "DESCRIBE calls").rows[0][0] == "call_id"
    assert sql(reader, "EXPLAIN SELECT 1").rows
    for refused in (
        "DROP VIEW calls",
        "INSERT INTO capture SELECT * FROM capture",
        "SET enable_external_access = true",
        "SELECT * FROM read_csv('/etc/passwd')",
        f"COPY calls TO '{tmp_path}/x.csv'",
        "INSTALL httpfs",
        "SELEC",
    ):
        with pytest.raises(QueryFailed):
            sql(reader, refused)


def test_times_from_user_sql_are_utc_strings(reader: Reader) -> None:
    (record,) = sql(
        reader,
        "SELECT TIMESTAMPTZ '2025-01-01 01:00:00+01' AS z, TIMESTAMP '2025-01-01' AS plain,"
        " 'infinity'::TIMESTAMP AS never, DATE '2025-01-01' AS day, 'nan'::DOUBLE AS nan,"
        " '\\xAA'::BLOB AS blob, 1::HUGEINT AS huge, '[1]'::JSON AS j, NULL AS n",
    ).records()
    assert record == {
        "z": "2025-01-01T00:00:00.000000Z",
        "plain": "2025-01-01T00:00:00.000000Z",
        "never": None,
        "day": "2025-01-01",
        "nan": None,
        "blob": "aa",
        "huge": 1,
        "j": [1],
        "n": None,
    }


def test_reading_needs_no_time_zone_and_leaves_no_trace(path: Path) -> None:
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    code = (
        "import sys; from analysis.reading import open_reader, calls\n"
        "with open_reader(sys.argv[1]) as reader: print(calls(reader).records()[0]['started_at'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        env={"TZ": "Asia/Tokyo", "PYTHONTZPATH": "", "HOME": "/nonexistent"},
        cwd=Path(__file__).parents[2],
        timeout=60,
        check=False,
    )
    assert done.stdout == "2025-10-09T08:53:20.123456Z\n", done.stderr
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before


def test_any_duckdb_reads_the_views_under_another_name(path: Path) -> None:
    with duckdb.connect(path, read_only=True) as connection:
        for view in (*CONTRACT, "messages", "chunks", "coverage", "captures"):
            ((counted,),) = connection.execute(f"SELECT count(*) FROM {view}").fetchall()
            assert counted > 0, view


def test_a_store_left_by_a_crash_is_readable(tmp_path: Path) -> None:
    code = (
        "import os, sys; from collector.store import Store; from collector.rows import Batch\n"
        "from tests.collector.store_rows import call\n"
        "Store.open(sys.argv[1]).write(Batch(calls=[call()])); os._exit(9)"
    )
    place = tmp_path / "s.db"
    subprocess.run(
        [sys.executable, "-c", code, str(place)],
        cwd=Path(__file__).parents[2],
        timeout=60,
        check=False,
    )
    with open_reader(place) as reader:
        assert reader.source == "file"
        assert calls(reader).column("call_id") == ("c1",)


def test_what_cannot_be_read_says_why(tmp_path: Path, path: Path) -> None:
    def refused(place: Path, error: type[Exception], match: str) -> None:
        with pytest.raises(error, match=match) as raised, open_reader(place):
            pass
        assert getattr(raised.value, "hint", None)

    refused(tmp_path / "none.db", StoreMissing, "no store at")
    refused(tmp_path, NotAStore, "directory")
    (tmp_path / "text.db").write_text("hello" * 1000)
    refused(tmp_path / "text.db", NotAStore, "no DuckDB file")
    (tmp_path / "empty.db").touch()
    refused(tmp_path / "empty.db", NotAStore, "empty")
    duckdb.connect(tmp_path / "foreign.db").close()
    refused(tmp_path / "foreign.db", NotAStore, "without underglass tables")
    for version, error in ((99, StoreTooNew), (-1, StoreTooOld)):
        other = tmp_path / f"v{version}.db"
        other.write_bytes(path.read_bytes())
        with duckdb.connect(other) as connection:
            connection.execute("DELETE FROM schema_migration WHERE version > 1").fetchall()
            connection.execute(f"UPDATE schema_migration SET version = {version}").fetchall()
        refused(other, error, "schema version")
    (tmp_path / "file").touch()
    refused(tmp_path / "file" / "x.db", StoreMissing, "no store at")


def test_a_missing_store_points_at_the_ways_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing) as raised, open_reader(tmp_path / "none.db"):
        pass
    assert raised.value.hint is not None
    assert "underglass demo" in raised.value.hint
    assert "underglass run -- " in raised.value.hint


def test_a_list_that_began_long_before_is_found_whole(tmp_path: Path) -> None:
    """A system prompt that earlier sessions brought, a conversation resumed, an older store."""
    texts = ("one", "two", "three", "four")
    ages = (None, START_NS - 10**15, START_NS, START_NS + 5)
    nodes = [replace(node, at_ns=age) for node, age in zip(row.nodes_of(*texts), ages, strict=True)]
    call = row.call("c1", input_node=nodes[-1].node, output_node=None, started_ns=START_NS + 5)
    with Store.open(tmp_path / "s.db") as store:
        store.write(
            Batch(
                sessions=[row.session()],
                calls=[call],
                contents=row.contents_of(*texts),
                nodes=nodes,
            )
        )
    with open_reader(tmp_path / "s.db") as reader:
        messages = call_detail(reader, "c1").messages
        assert [one.body["text"] for one in messages] == [*texts]
        (family,) = families(reader, ["s1"])
        assert set(family.nodes) == {node.node for node in nodes}
