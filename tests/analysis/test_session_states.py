"""What sessions are doing: each state from stored rows, and what is told without a capture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.analyst import Analyst
from analysis.overview import SPAN_NS, SPANS, filtered, overview, rates, table_row
from analysis.reading import Reader, open_reader
from analysis.session_states import (
    MIN_SLOW_NS,
    SILENT_NS,
    STALLED_NS,
    SessionState,
    SessionStates,
    family_order,
    session_states,
)
from analysis.state_columns import STATES
from analysis.where import BadFilter
from collector.rows import Batch, CallRow, ToolCallRow
from collector.store import Store
from tests.collector import store_rows as row

SECOND = 10**9
NOW_NS = row.START_NS + 3600 * SECOND
_UNDER_WAY: dict[str, Any] = {
    "status": "running", "ended_ns": None, "first_byte_ns": None, "first_token_ns": None,
    "complete": False, "input_tokens": None, "output_tokens": None, "cost_usd": None,
    "cost_source": None, "finish_reason": None, "tool_call_count": 0, "chunk_ns": (),
}  # fmt: skip


def answer(session: str, ago_s: float, **about: Any) -> CallRow:
    """A call of one second that ended `ago_s` before NOW, and asked for nothing more."""
    ended_ns = NOW_NS - int(ago_s * SECOND)
    fields: dict[str, Any] = {
        "session_id": session, "capture_id": "k1", "started_ns": ended_ns - SECOND,
        "first_token_ns": ended_ns - SECOND // 2, "ended_ns": ended_ns, "output_tokens": 50,
        "finish_reason": "end_turn", "tool_call_count": 0, "tool_set": "ts", "retry_after_s": None,
    }  # fmt: skip
    return row.call(f"{session}-{ago_s:g}", **(fields | about))


def asked(session: str, ago_s: float, **about: Any) -> CallRow:
    """A call that was sent `ago_s` before NOW and has no end."""
    started_ns = NOW_NS - int(ago_s * SECOND)
    return answer(session, ago_s, **(_UNDER_WAY | {"started_ns": started_ns} | about))


def tool(session: str, ago_s: float, name: str = "Bash", **about: Any) -> ToolCallRow:
    """A tool call of the answer that ended `ago_s` before NOW, without a result."""
    fields: dict[str, Any] = {
        "session_id": session, "call_id": f"{session}-{ago_s:g}", "name": name,
        "requested_ns": NOW_NS - int(ago_s * SECOND), "result_ns": None, "result_hash": None,
        "result_preview": None, "is_error": None, "result_call_id": None,
    }  # fmt: skip
    return row.tool_call(f"t-{session}-{ago_s:g}-{name}", **(fields | about))


_TOOL_USE: dict[str, Any] = {"finish_reason": "tool_use", "tool_call_count": 1}
_FAILED: dict[str, Any] = {
    "status": "error", "error_type": "overloaded_error", "http_status": 529, "output_tokens": None,
}  # fmt: skip
_LIVING = {
    "working": 11, "waiting": 12, "slow": 13, "stalled": 14, "tool": 15, "asks": 16, "answered": 17,
    "failed": 18, "backoff": 19, "loops": 20, "parent": 21, "crashed": 23,
}  # fmt: skip


def _loop() -> tuple[list[CallRow], list[ToolCallRow]]:
    """Four rounds of one tool call with one result; the model is asked a fifth time."""
    calls = [answer("loops", 20 - 2 * n, **_TOOL_USE) for n in range(4)] + [asked("loops", 3)]
    tools = [
        tool(
            "loops", 20 - 2 * n, arguments=json.dumps({"command": "make"}), arguments_hash="ah",
            result_ns=NOW_NS - (19 - 2 * n) * SECOND, result_hash="rh", result_preview="no",
            is_error=False, result_call_id=f"loops-{18 - 2 * n:g}",
        )
        for n in range(4)
    ]  # fmt: skip
    return calls, tools


def _batch() -> Batch:
    loop_calls, loop_tools = _loop()
    sessions = [
        row.session(name, root_pid=pid, started_ns=NOW_NS - 100 * SECOND)
        for name, pid in _LIVING.items()
    ]
    sessions += [
        row.session("child", parent_session_id="parent", root_pid=21),
        row.session("child2", parent_session_id="parent", root_pid=21),
        row.session("lost", root_pid=None),
        row.session("elsewhere", root_pid=None),
    ]
    usual = [answer("slow", 1000 + n) for n in range(3)]
    return Batch(
        captures=[row.capture(), row.capture("k2", ended_ns=NOW_NS)],
        sessions=sessions,
        processes=[
            row.process(f"{pid}-1", pid=pid, session_id=name, ended_ns=None)
            for name, pid in _LIVING.items()
            if name != "crashed"
        ]
        + [row.process("23-1", pid=23, session_id="crashed", ended_ns=NOW_NS, signal=11)],
        calls=[
            answer("working", 30),
            asked("working", 5, first_token_ns=NOW_NS - 3 * SECOND),
            answer("waiting", 30, input_tokens=100_000, model="claude-sonnet-4-5"),
            asked("waiting", 5),
            *usual,
            asked("slow", MIN_SLOW_NS / SECOND + 1),
            asked("stalled", 50, first_token_ns=NOW_NS - 49 * SECOND),
            answer("tool", 7, **_TOOL_USE),
            answer("asks", 8, **_TOOL_USE),
            answer("answered", 9, cost_usd=0.5),
            answer("failed", 10, **_FAILED),
            answer("backoff", 10, **_FAILED, retry_after_s=60.0),
            *loop_calls,
            answer("parent", 40, **_TOOL_USE),
            answer("child", 5),
            asked("child2", 4),
            answer("crashed", 5, **_TOOL_USE),
            answer("lost", SILENT_NS / SECOND + 5, **_TOOL_USE),
            asked("elsewhere", 5, capture_id="k2"),
        ],
        tool_calls=[
            tool("tool", 7, "Read", arguments='{"path":"[b]a[/b]"}'),
            tool("tool", 7, "Grep"),
            tool("asks", 8, "AskUserQuestion"),
            tool("parent", 40, "Task"),
            *loop_tools,
        ],
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("states") / "s.db"
    with Store.open(path) as store:
        store.write(_batch())
        Analyst(store).analyse(store.stale_sessions(), now_ns=NOW_NS)
    return path


@pytest.fixture
def live(path: Path) -> Iterator[Reader]:
    with Store.open(path) as store:
        store.cursor().execute(
            "INSERT INTO running_answer (call_id, body, output_tokens, updated_ns)"
            f" VALUES ('stalled-50', NULL, 90, {NOW_NS - STALLED_NS - 9 * SECOND}),"
            f" ('working-5', NULL, 120, {NOW_NS})"
        )
        yield Reader.of_store(store)


def _by_id(found: SessionStates) -> dict[str, SessionState]:
    return {one.session_id: one for one in found.sessions}


def test_what_sessions_do_while_they_are_captured(live: Reader) -> None:
    found = session_states(live, now_ns=NOW_NS)
    states = _by_id(found)
    assert (found.live, found.total, found.now_ns) == (True, 16, NOW_NS)
    told = {name: (one.state, one.detail) for name, one in states.items()}
    assert told["working"] == ("working", None)
    assert states["working"].tokens_per_s == pytest.approx(40)  # 120 tokens in 3 s
    assert states["working"].state_since_ns == NOW_NS - 3 * SECOND
    assert told["waiting"] == ("model", None)
    assert told["slow"] == ("stuck", "a call runs for 121 s, 1 s are usual")
    assert told["stalled"] == ("stuck", "the answer says nothing for 39 s")
    assert told["tool"] == ("tool", "Grep +1")
    assert told["asks"] == ("human", "AskUserQuestion")
    assert told["answered"] == ("human", "it answered; the next message is yours")
    assert told["failed"] == ("unknown", "the last call failed: overloaded_error")
    assert told["backoff"][0] == "model"
    assert told["loops"][0] == "stuck"
    assert told["loops"][1].startswith("repeat: ")  # type: ignore[union-attr]
    assert told["parent"] == ("tool", "Task")
    assert told["child"][0] == "completed"  # its answer is for its parent, not for a human
    assert told["child2"][0] == "model"
    assert told["crashed"][0] in ("failed", "cut_off")
    assert told["lost"][0] == "cut_off"  # silent, and no process is known to live
    assert told["elsewhere"][0] == "cut_off"  # its own capture has ended
    assert (states["slow"].open_calls, states["slow"].calls) == (1, 4)
    assert states["failed"].errors == 1
    assert (states["loops"].findings, states["loops"].worst) == (1, "warning")


def test_what_sessions_take(live: Reader) -> None:
    states = _by_id(session_states(live, now_ns=NOW_NS))
    waiting = states["waiting"]
    assert waiting.context_tokens == 100_000
    assert waiting.context_window is not None
    assert waiting.context_window >= 200_000
    assert waiting.ttft_ms == pytest.approx(500)
    assert states["answered"].usd_per_hour is None  # nothing is a rate below a minute
    assert states["slow"].usd_per_hour == pytest.approx(3 * 0.0125 / (1003 / 3600), rel=0.01)
    assert states["stalled"].context_tokens is None
    found = overview(live, now_ns=NOW_NS)
    assert sum(found.rates.calls) == sum(
        NOW_NS - SPANS * SPAN_NS <= call.started_ns < NOW_NS for call in _batch().calls
    )
    assert sum(found.rates.errors) == 2
    assert found.sums.calls == len(_batch().calls)
    some = rates(live, NOW_NS, "answered")
    assert sum(some.tokens_per_s) * SPAN_NS / SECOND == pytest.approx(50)
    assert sum(some.cost_usd) == pytest.approx(0.5)
    running = rates(live, NOW_NS, "working")  # 120 tokens of an answer under way, too
    assert sum(running.tokens_per_s) * SPAN_NS / SECOND == pytest.approx(50 + 120)


def test_the_tree_and_the_filter(live: Reader) -> None:
    found = session_states(live, now_ns=NOW_NS)
    order = [one.session_id for one in found.sessions]
    at = order.index("parent")
    assert sorted(order[at + 1 : at + 3]) == ["child", "child2"]
    assert [found.sessions[place].depth for place in (at, at + 1, at + 2)] == [0, 1, 1]
    over = [name for name in order if name in ("crashed", "lost", "elsewhere")]
    assert order[-3:] == over  # what is over comes last
    only = session_states(live, "parent", now_ns=NOW_NS)
    assert only.sessions[0].session_id == "parent"
    assert len(only.sessions) == 3
    few = session_states(live, most=2, now_ns=NOW_NS)
    assert len(few.sessions) <= 3  # with a parent that belongs to one of them

    def kept(where: str) -> set[str]:
        return {one.session_id for one in filtered(live, found.sessions, where, NOW_NS)}

    assert kept("state:stuck") == {"slow", "stalled", "loops"}
    assert kept("!state:stuck err:>0") == {"failed", "backoff"}
    assert kept("tool state:tool") >= {"tool", "parent"}
    with pytest.raises(BadFilter):
        kept("nonsense:1")


def test_parents_in_a_circle_are_listed_once(live: Reader) -> None:
    (one,) = (each for each in session_states(live).sessions if each.session_id == "tool")
    a = replace(one, session_id="a", parent_session_id="b")
    b = replace(one, session_id="b", parent_session_id="a")
    assert sorted(each.session_id for each in family_order([a, b])) == ["a", "b"]


def test_nothing_goes_on_in_a_file(path: Path) -> None:
    with open_reader(path) as reader:
        found = overview(reader)
        assert not found.states.live
        assert not any(one.goes_on for one in found.states.sessions)
        states = _by_id(found.states)
        assert states["waiting"].state == "cut_off"
        assert states["answered"].state == "completed"
        assert {one.session_id for one in found.findings} >= {"loops", "asks"}
        rows = [table_row(one, NOW_NS) for one in found.states.sessions]
        texts = [[column.cell(line).text for column in STATES.columns] for line in rows]
    assert all(len(text) == len(STATES.columns) for text in texts)


def test_an_empty_store(tmp_path: Path) -> None:
    with Store.open(tmp_path / "e.db"):
        pass
    with open_reader(tmp_path / "e.db") as reader:
        found = overview(reader)
    assert (found.states.sessions, found.states.total, found.sums.calls) == ((), 0, 0)
