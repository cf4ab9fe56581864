"""`underglass export otlp`: from a store to a backend."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from analysis.reading import Reader
from collector.exporters.spans import trace_id
from collector.read_query import Limits, read_query
from collector.rows import Batch, CallRow, ContentRow, MessageNodeRow, ToolSetRow
from collector.store import Store
from collector.store_errors import QueryFailed
from probes.errors import UnderglassError
from tests.collector.exporters.receivers import Backend, attributes, grpc_backend, http_backend
from tests.collector.store_rows import MS, START_NS, call, session, tool_call
from underglass.cli import underglass
from underglass.commands.export import SessionLoader

_BODIES = {
    "system": {"type": "text", "text": "be brief"},
    "question": {"role": "user", "content": "list the files"},
    "answer": {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}],
    },
    "schema": {"name": "Bash", "input_schema": {"type": "object"}},
}
_KINDS = {"system": "system", "schema": "tool"}


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "5")
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A session read from the wire, with content, and an hour later an inferred one."""
    path = tmp_path / "store.db"
    later = START_NS + 3_600_000 * MS
    batch = Batch(
        sessions=[session(), session("s2", confidence="inferred", started_ns=later)],
        calls=[
            call(input_node="n2", output_node="n3", tool_set="t"),
            call("c2", session_id="s2", started_ns=later, ended_ns=later + MS + 7),
        ],
        tool_calls=[tool_call()],
        contents=[
            ContentRow(name, _KINDS.get(name, "message"), None, 1, orjson.dumps(body).decode())
            for name, body in _BODIES.items()
        ],
        nodes=[
            MessageNodeRow("n1", None, 0, "system"),
            MessageNodeRow("n2", "n1", 1, "question"),
            MessageNodeRow("n3", "n2", 2, "answer"),
        ],
        tool_sets=[ToolSetRow("t", 0, "schema")],
    )
    with Store.open(path) as opened:
        opened.write(batch)
    return path


def _export(store: Path, backend: Backend, *arguments: str) -> Result:
    return CliRunner().invoke(
        underglass,
        ["export", "otlp", "--db", str(store), "--endpoint", backend.endpoint, *arguments],
    )


def test_every_session_is_a_trace(store: Path) -> None:
    with http_backend() as backend:
        done = _export(store, backend)
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert f"2 traces, 5 spans sent to {backend.endpoint}/v1/traces (http/protobuf)" in done.stderr
    assert {span.trace_id for span in backend.spans} == {
        trace_id("s1").to_bytes(16, "big"),
        trace_id("s2").to_bytes(16, "big"),
    }
    by_session = {attributes(span)["underglass.session.id"]: span for span in backend.spans}
    assert "gen_ai.conversation.id" not in attributes(by_session["s2"])
    assert by_session["s2"].end_time_unix_nano == START_NS + 3_600_001 * MS + 7


def test_over_grpc_twice_the_same(store: Path) -> None:
    with grpc_backend() as backend:
        for _ in range(2):
            done = _export(store, backend, "--protocol", "grpc")
            assert done.exit_code == 0, done.output
    first, second = (each.SerializeToString(deterministic=True) for each in backend.requests)
    assert first == second


def test_content_only_when_asked_for(store: Path) -> None:
    with http_backend() as without, http_backend() as backend:
        _export(store, without, "--session", "s1")
        _export(store, backend, "--session", "s1", "--content")
    sent = b"".join(each.SerializeToString() for each in without.requests)
    for text in (b"be brief", b"list the files", b"command", b"a.py", b"input_schema"):
        assert text not in sent
    chat = attributes(backend.span("chat claude-sonnet-4-5"))
    tool = attributes(backend.span("execute_tool Bash"))
    assert orjson.loads(chat["gen_ai.system_instructions"]) == [
        {"type": "text", "content": "be brief"}
    ]
    assert orjson.loads(chat["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "list the files"}]}
    ]
    assert orjson.loads(chat["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "toolu_1", "name": "Bash", "arguments": {}}],
            "finish_reason": "tool_use",
        }
    ]
    assert orjson.loads(chat["gen_ai.tool.definitions"])[0]["parameters"] == {"type": "object"}
    assert tool["gen_ai.tool.call.arguments"] == '{"command":"ls"}'
    assert tool["gen_ai.tool.call.result"] == "a.py"


def test_since_and_session(store: Path) -> None:
    with http_backend() as backend:
        assert "1 trace, 2 spans" in _export(store, backend, "--since", "2025-10-09T09:00").stderr
        assert "1 trace, 3 spans" in _export(store, backend, "--session", "s1").stderr
        assert "0 traces, 0 spans" in _export(store, backend, "--since", "2099-01-01").stderr
        unknown = _export(store, backend, "--session", "nobody").exception
    assert isinstance(unknown, QueryFailed)
    assert "no session nobody" in str(unknown)


def test_a_refusing_backend_is_an_error(store: Path) -> None:
    with http_backend() as backend:
        backend.refuse_from = 0
        done = _export(store, backend)
    assert isinstance(done.exception, UnderglassError)
    assert "5 spans not delivered" in str(done.exception)


def test_exit_code_and_hint_when_nobody_listens(store: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "underglass", "export", "otlp", "--db", str(store)],
        env={
            **os.environ,
            "OTEL_EXPORTER_OTLP_TIMEOUT": "0.5",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    message, fix = done.stderr.splitlines()
    assert "http://127.0.0.1:1/v1/traces (http/protobuf) did not take the spans" in message
    assert "5 spans not delivered, 0 delivered" in message
    assert "--endpoint" in fix


def test_a_call_that_still_runs_is_left_for_later(tmp_path: Path) -> None:
    running: CallRow = replace(call(), status="running", ended_ns=None, complete=False)
    path = tmp_path / "store.db"
    with Store.open(path) as store:
        store.write(Batch(sessions=[session()], calls=[running]))
        live = SessionLoader(Reader.of_store(store))
        (exported,) = live.load(live.ids(None, None))
        assert (exported.calls, live.running_calls) == ((), 1)
    with http_backend() as backend:
        _export(path, backend)  # no collector has it open: the call will never end
    assert attributes(backend.span("chat claude-sonnet-4-5"))["underglass.call.status"] == "running"


def test_half_a_result_is_not_exported(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store.db") as store:
        store.write(Batch(sessions=[session()], calls=[call(), call("c2")]))
        reader = Reader(
            store.path,
            "file",
            lambda sql, parameters: read_query(store.cursor(), sql, parameters, Limits(max_rows=1)),
        )
        with pytest.raises(QueryFailed, match="more to export"):
            list(SessionLoader(reader).load(SessionLoader(reader).ids(None, None)))


def test_many_sessions(tmp_path: Path) -> None:
    ids = [f"s{number:03}" for number in range(211)]
    with Store.open(tmp_path / "store.db") as store:
        store.write(
            Batch(
                sessions=[session(name) for name in ids],
                calls=[call(f"c-{name}", session_id=name) for name in ids],
            )
        )
        loader = SessionLoader(Reader.of_store(store))
        found = list(loader.load(loader.ids(None, None)))
    assert [each.session.session_id for each in found] == ids
    assert [each.calls[0].call_id for each in found] == [f"c-{name}" for name in ids]


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from underglass.cli import underglass;"
        "assert CliRunner().invoke(underglass, ['export', 'otlp', '--help']).exit_code == 0;"
        "print([m for m in ('duckdb', 'pyarrow', 'opentelemetry', 'grpc') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
