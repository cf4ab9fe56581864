"""`underglass context` and `underglass spend`, as tables and as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.rows import Batch, ContentRow, MessageNodeRow
from collector.store import Store
from tests.analysis.requests import S
from tests.analysis.test_compactions import reading
from tests.analysis.test_context_use import compacted
from tests.collector import store_rows as row

UNDERGLASS = Path(sys.executable).with_name("underglass")


def underglass(store: Path, *arguments: str) -> str:
    command = [str(UNDERGLASS), arguments[0], "--db", str(store), *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session whose context was compacted, with its tool calls."""
    path = tmp_path_factory.mktemp("store") / "s.db"
    talk = reading(compacted())
    contents = {
        str(node.content_hash): ContentRow(
            str(node.content_hash), str(node.kind), node.role, node.size_bytes or 0, node.body
        )
        for node in talk.nodes.values()
    }
    calls = [
        row.call(
            call.call_id, session_id="s", started_ns=call.started_ns + S, first_byte_ns=None,
            first_token_ns=None, ended_ns=(call.ended_ns or 0) + S, input_node=call.input_node,
            output_node=None, tool_set=None, input_tokens=call.input_tokens, output_tokens=10,
            cost_usd=call.cost_usd, retry_of=None, status="ok",
        )
        for call in talk.calls
    ]  # fmt: skip
    tools = [
        row.tool_call(
            tool.tool_call_id, session_id="s", call_id=tool.call_id, name=tool.name,
            arguments=tool.arguments, arguments_hash=tool.arguments_hash,
            result_preview=tool.result, result_hash=tool.result_hash,
            requested_ns=tool.requested_ns + S, result_ns=(tool.result_ns or 0) + S,
            result_call_id=tool.result_call_id, is_error=None,
        )
        for tool in talk.tools
    ]  # fmt: skip
    with Store.open(path) as store:
        store.write(
            Batch(
                sessions=[replace(row.session("s"), started_ns=S, agent="claude-code")],
                calls=calls,
                tool_calls=tools,
                contents=list(contents.values()),
                nodes=[
                    MessageNodeRow(n.node, n.parent_node, n.position, str(n.content_hash))
                    for n in talk.nodes.values()
                ],
            )
        )
    return path


def test_the_context_of_one_session(store: Path) -> None:
    text = underglass(store, "context", "s")
    lines = text.splitlines()
    assert lines[0] == "session s"
    assert "5 requests" in lines[1]
    assert any(line.split()[:2] == ["tool", "results"] for line in lines)
    assert any(line.split()[0] == "/src/3.py" for line in lines if line)
    assert "The context was compacted: 21 messages" in text
    assert "cost 10.1k tokens, $0.0300" in text
    assert "Read again after the context was compacted: /src/3.py" in text
    assert all(len(line) <= 80 for line in lines if "compacted" not in line)


def test_the_context_of_one_session_as_json(store: Path) -> None:
    found = json.loads(underglass(store, "context", "s", "--json"))
    assert found["session_id"] == "s"
    requests: list[dict[str, Any]] = found["requests"]
    assert [one["compaction"] for one in requests] == [None, None, "request", "after", None]
    assert [one["turn"] for one in requests] == [0, 0, 0, 0, 0]
    assert requests[3]["parts"]["dropped"]["messages"] == 21
    kinds = {finding["kind"] for finding in found["findings"]}
    assert kinds == {"compaction", "reread"}
    for finding in found["findings"]:
        assert {"session_id", "severity", "first_at", "last_at", "evidence"} <= finding.keys()


def test_the_contexts_of_all_sessions(store: Path) -> None:
    (line,) = json.loads(underglass(store, "context", "--json"))
    assert (line["session_id"], line["agent"], line["requests"]) == ("s", "claude-code", 5)
    assert (line["messages"], line["compactions"]) == (3, 1)
    assert line["peak_bytes"] > line["total_bytes"]
    head, values = underglass(store, "context").splitlines()
    assert head.split()[:4] == ["session", "agent", "calls", "msgs"]
    assert values.split()[:4] == ["s", "claude-code", "5", "3"]
    assert json.loads(underglass(store, "context", "--json", "--since", "2030-01-01")) == []


def test_spend(store: Path) -> None:
    found = json.loads(underglass(store, "spend", "--json", "--by", "session"))
    (one,) = found["rows"]
    assert (one["key"], one["calls"], one["cost_usd"]) == ("s", 5, 0.03)
    assert found["total"]["unpriced_calls"] == 4
    assert {"cause": "compactions", "count": 2, "cost_usd": 0.03} in [
        {name: waste[name] for name in ("cause", "count", "cost_usd")} for waste in found["waste"]
    ]
    text = underglass(store, "spend")
    assert "$0.0300+" in text
    assert "compactions and reading again" in text
    assert "no calls" not in text


def test_nothing_stored(tmp_path: Path) -> None:
    Store.open(tmp_path / "s.db").close()
    assert underglass(tmp_path / "s.db", "spend") == ""
    assert json.loads(underglass(tmp_path / "s.db", "spend", "--json"))["total"]["calls"] == 0
    assert json.loads(underglass(tmp_path / "s.db", "context", "--json")) == []
