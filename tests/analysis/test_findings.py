"""From rows written by the store to findings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from analysis.analyst import analyse
from analysis.findings import (
    ALL_KINDS,
    CONFLICT_KINDS,
    ESCALATION_KINDS,
    LOOP_KINDS,
    RUNAWAY_KINDS,
    Finding,
    finding_records,
    findings,
)
from analysis.reading import Reader
from collector.normalisation import arguments_hash, canonical_arguments, result_hash
from collector.read_query import Limits, Parameters, read_query
from collector.rows import (
    Batch,
    CallRow,
    ContentRow,
    MessageNodeRow,
    ProcessRow,
    SessionRow,
    ToolCallRow,
)
from collector.store import Store
from collector.store_errors import QueryFailed

REFUSAL = "The user doesn't want to proceed with this tool use."


def call_row(number: int, session_id: str, node: str | None) -> CallRow:
    unknown: dict[str, Any] = {field.name: None for field in fields(CallRow)}
    known: dict[str, Any] = {
        "call_id": f"{session_id}-call{number}", "session_id": session_id, "pid": 10,
        "provider": "anthropic", "api": "anthropic.messages", "request_model": "m",
        "started_ns": number * 1000, "ended_ns": number * 1000 + 10, "status": "ok",
        "stream": True, "complete": True, "input_tokens": 90, "output_tokens": 10,
        "tool_call_count": 1, "request_bytes": 1, "lost_bytes": 0, "input_node": node,
        "chunk_ns": (),
    }  # fmt: skip
    return CallRow(**(unknown | known))


def tool_row(number: int, session_id: str, command: str, result: str) -> ToolCallRow:
    arguments = json.dumps({"command": command})
    return ToolCallRow(
        tool_call_id=f"{session_id}-tool{number}",
        session_id=session_id,
        call_id=f"{session_id}-call{number}",
        name="Bash",
        arguments=canonical_arguments(arguments),
        arguments_hash=arguments_hash(arguments),
        result_preview=result[:2000],
        result_hash=result_hash(result),
        is_error=None,
        requested_ns=number * 1000 + 5,
        result_ns=number * 1000 + 900,
        result_call_id=f"{session_id}-call{number + 1}",
    )


def process_row(pid: int, ppid: int, argv: str, uid: int, session_id: str | None) -> ProcessRow:
    return ProcessRow(
        f"boot-{pid}", pid, ppid, pid, None, None, None, tuple(argv.split()), None, uid, None,
        None, None, session_id,
    )  # fmt: skip


def message(node: str, parent: str | None, position: int, body: Any) -> Batch:
    return Batch(
        contents=[ContentRow(f"c-{node}", "message", body["role"], 1, json.dumps(body))],
        nodes=[MessageNodeRow(node, parent, position, f"c-{node}")],
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "calls.duckdb")
    yield store
    store.close()


def write(store: Store, session_id: str, tools: list[ToolCallRow], nodes: list[str | None]) -> None:
    store.write(
        Batch(
            sessions=[SessionRow(session_id, "read", None, None, None, 10, 1)],
            calls=[call_row(n, session_id, node) for n, node in enumerate(nodes, start=1)],
            tool_calls=tools,
        )
    )


def found(store: Store, **asked: Any) -> list[Finding]:
    """Findings of a store that is analysed."""
    analyse(store)
    return findings(Reader.of_store(store), **asked)


def test_an_empty_store_has_no_findings(store: Store) -> None:
    assert found(store) == []


def test_loops_escalations_and_processes_of_a_store(store: Store) -> None:
    loop = [tool_row(n, "a", "cat x", f"one, took {n} ms") for n in (1, 2, 3)]
    write(store, "a", loop, [None] * 4)
    write(store, "b", [tool_row(7, "b", "rm -rf /", REFUSAL)], [None] * 8)
    store.write(Batch(processes=[
        process_row(10, 1, "agent", 1000, "b"), process_row(11, 10, "sudo id", 1000, None)
    ]))  # fmt: skip
    analyse(store)
    reader = Reader.of_store(store)
    assert [(f.kind, f.session_id, f.count, f.wasted_tokens) for f in findings(reader)] == [
        ("privilege_escalation", "b", 1, None),
        ("repeat", "a", 3, 200),
        ("human_denied", "b", 1, None),
    ]
    assert [f.kind for f in findings(reader, session="a")] == ["repeat"]
    assert [f.kind for f in findings(reader, kinds=LOOP_KINDS)] == ["repeat"]
    assert findings(reader, session="nobody") == []
    assert [f.kind for f in findings(reader, since_ns=3005)] == ["repeat", "human_denied"]
    assert [f.kind for f in findings(reader, since_ns=3006)] == ["human_denied"]
    assert findings(reader, since_ns=8000) == []


def test_records_are_ready_for_json(store: Store) -> None:
    write(store, "b", [tool_row(7, "b", "rm -rf /", REFUSAL)], [None])
    (record,) = json.loads(json.dumps(finding_records(found(store))))
    assert record["first_at"] == "1970-01-01T00:00:00.000007Z"
    assert (record["kind"], record["session_id"], record["count"]) == ("human_denied", "b", 1)
    assert record["evidence"][0]["id"] == "b-tool7"


def test_a_cut_answer_is_refused_rather_than_searched(store: Store) -> None:
    def cut(sql: str, parameters: Parameters) -> Any:
        return read_query(store.cursor(), sql, parameters, Limits(max_rows=1))

    write(store, "a", [tool_row(n, "a", "cat x", "one") for n in (1, 2, 3)], [None] * 3)
    write(store, "b", [tool_row(7, "b", "rm -rf /", REFUSAL)], [None])
    analyse(store)
    with pytest.raises(QueryFailed):
        findings(Reader(store.path, "file", cut))


def test_a_user_message_between_begins_anew(store: Store) -> None:
    first = {"role": "user", "content": "fix it"}
    second = {"role": "user", "content": [{"type": "text", "text": "and once more"}]}
    store.write(message("n0", None, 0, first))
    store.write(message("n1", "n0", 1, {"role": "assistant", "content": "ok"}))
    store.write(message("n2", "n1", 2, second))
    rows = [tool_row(n, "a", "cat x", "one") for n in (1, 2, 3)]
    write(store, "a", rows, ["n0", "n0", "n2"])
    assert found(store) == []


def test_an_interruption_is_read_from_the_messages(store: Store) -> None:
    interrupted = {"role": "user", "content": "[Request interrupted by user]"}
    store.write(message("n0", None, 0, interrupted))
    write(store, "a", [], ["n0", "n0"])
    (finding,) = found(store)
    assert (finding.kind, finding.evidence[0].id) == ("human_denied", "a-call1")


def test_without_content_loops_are_still_found(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "calls.duckdb", content=False)
    loop = [tool_row(n, "a", "x", "one") for n in range(1, 13)]
    write(store, "a", loop, [None] * 12)
    assert [(f.kind, f.count) for f in found(store)] == [("repeat", 12)]
    store.close()


def test_every_kind_of_finding_is_documented_and_shown_by_a_view(store: Store) -> None:
    text = (Path(__file__).parents[2] / "docs" / "detectors.md").read_text(encoding="utf-8")
    assert {kind for kind in ALL_KINDS if f"`{kind}`" not in text} == set()
    views = {
        "loops": LOOP_KINDS | RUNAWAY_KINDS,
        "escalations": ESCALATION_KINDS,
        "conflicts": CONFLICT_KINDS,
    }
    reader = Reader.of_store(store)
    for view, kinds in views.items():
        sql = f"SELECT sql FROM duckdb_views() WHERE view_name = '{view}'"
        ((text,),) = reader.rows(sql).rows
        assert set(re.findall(r"'(\w+)'", text)) == kinds
