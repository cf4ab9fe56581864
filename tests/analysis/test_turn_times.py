"""Where time went: parts that sum to the wall time, whatever the rows say."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.derived import TurnTimeRow
from analysis.steps import CallStep, SessionStep, SessionSteps, ToolStep, UserTurn, tool_step
from analysis.turn_times import stalls, turn_times

MS, S = 10**6, 10**9
PARTS = ("queue_ns", "generation_ns", "stall_ns", "tools_ns", "human_ns", "retry_ns", "idle_ns")


def call(name: str, start_s: float, end_s: float | None, **about: object) -> CallStep:
    """A streamed call; `token_s` is when its first token came."""
    token_s = about.pop("token_s", None)
    step = CallStep(
        call_id=name,
        session_id="s",
        model="m",
        started_ns=round(start_s * S),
        input_tokens=None,
        output_tokens=None,
        ended_ns=None if end_s is None else round(end_s * S),
        first_token_ns=round(token_s * S) if isinstance(token_s, int | float) else None,
        stream=True,
    )
    return replace(step, **about)  # type: ignore[arg-type]


def tool(name: str, start_s: float, end_s: float | None, result: str | None = "ok") -> ToolStep:
    return tool_step(
        f"t{start_s}", name, "{}", result, session_id="s", call_id="a",
        requested_ns=round(start_s * S), result_ns=None if end_s is None else round(end_s * S),
    )  # fmt: skip


def said(call_id: str, at_s: float, text: str = "go on") -> UserTurn:
    return UserTurn("s", call_id, text, round(at_s * S))


def steps(
    calls: list[CallStep], tools: list[ToolStep] | None = None, turns: list[UserTurn] | None = None
) -> SessionSteps:
    return SessionSteps(
        session=SessionStep("s", "read", None, None, None, None, 0),
        calls=tuple(calls),
        tools=tuple(tools or ()),
        turns=tuple(turns or ()),
    )


def seconds(row: TurnTimeRow) -> dict[str, float]:
    """The parts that are not empty, in seconds."""
    return {name[:-3]: ns / S for name in PARTS if (ns := getattr(row, name))}


def only(rows: list[TurnTimeRow]) -> dict[str, float]:
    (row,) = rows
    return seconds(row)


def test_a_session_with_everything() -> None:
    rows = turn_times(
        steps(
            [
                call("a", 0, 5, token_s=2, tool_call_count=1),
                call("b", 8, 9, status="error", retry_after_s=2.0),
                call("c", 11, 14, token_s=12, retry_of="b"),
                call("d", 34, 36, token_s=35),
            ],
            [tool("Bash", 5, 8)],
            [said("a", 0), said("d", 34)],
        )
    )
    assert [row.calls for row in rows] == [3, 1]
    assert seconds(rows[0]) == {
        "queue": 3, "generation": 5, "tools": 3, "retry": 3, "human": 20,
    }  # fmt: skip
    assert seconds(rows[1]) == {"queue": 1, "generation": 1}
    assert [(row.first_ns // S, row.last_ns // S) for row in rows] == [(0, 34), (34, 36)]


def test_what_is_not_streamed_is_queue_up_to_its_first_byte() -> None:
    asked = call("a", 0, 5, stream=False, first_byte_ns=4 * S, first_token_ns=1 * S)
    assert only(turn_times(steps([asked]))) == {"queue": 4, "generation": 1}


def test_calls_at_the_same_time_count_once_and_generation_wins() -> None:
    calls = [call("a", 0, 10, token_s=6), call("b", 1, 8, token_s=2)]
    assert only(turn_times(steps(calls))) == {"queue": 2, "generation": 8}


def test_the_model_goes_before_tools_and_tools_before_people() -> None:
    found = only(
        turn_times(
            steps(
                [call("a", 0, 4, token_s=1), call("b", 20, 21, token_s=20)],
                [tool("Bash", 3, 9), tool("AskUserQuestion", 3, 20)],
            )
        )
    )
    assert found == {"queue": 1, "generation": 4, "tools": 5, "human": 11}


@pytest.mark.parametrize(
    ("name", "result", "part"),
    [
        ("Bash", "The user doesn't want to proceed with this tool use.", "human"),
        ("ExitPlanMode", "User has approved your plan. You can now start coding.", "human"),
        ("Bash", "Permission to use Bash with command rm has been denied.", "tools"),
        ("Bash", "fine", "tools"),
    ],
)
def test_tools_that_waited_for_a_human(name: str, result: str, part: str) -> None:
    calls = [call("a", 0, 1, token_s=0, tool_call_count=1), call("b", 5, 6, token_s=5)]
    assert only(turn_times(steps(calls, [tool(name, 1, 5, result)])))[part] == 4


def test_after_an_answer_that_calls_tools_nobody_waits_for_the_user() -> None:
    calls = [call("a", 0, 1, token_s=0, tool_call_count=1), call("b", 5, 6, token_s=5)]
    turns = [said("a", 0), said("b", 5)]
    rows = turn_times(steps(calls, [], turns))
    assert seconds(rows[0]) == {"generation": 1, "idle": 4}
    rows = turn_times(steps([replace(calls[0], tool_call_count=0), calls[1]], [], turns))
    assert seconds(rows[0]) == {"generation": 1, "human": 4}


def test_clients_that_ask_for_a_summary_begin_no_turn() -> None:
    calls = [call(name, at, at + 1, token_s=at) for at, name in enumerate("abcd")]
    turns = [
        said("a", 0),
        said("b", 1, "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools."),
        said("c", 2, "This session is being continued from a previous conversation that"),
        said("d", 3),
    ]
    assert [row.calls for row in turn_times(steps(calls, [], turns))] == [3, 1]


def test_a_call_that_nobody_repeats_is_waited_for_as_long_as_asked() -> None:
    refused = call("a", 0, 1, status="error", retry_after_s=2.0)
    rows = turn_times(steps([refused, call("b", 10, 11, token_s=10)]))
    assert only(rows) == {"retry": 3, "idle": 7, "generation": 1}
    rows = turn_times(steps([refused, call("b", 2, 3, token_s=2)]))
    assert only(rows) == {"retry": 2, "generation": 1}


def test_an_answer_that_was_cut_is_work_unless_it_is_repeated() -> None:
    cut = call("a", 0, 2, token_s=1, status="incomplete")
    assert only(turn_times(steps([cut]))) == {"queue": 1, "generation": 1}
    again = call("b", 3, 4, token_s=3, retry_of="a")
    assert only(turn_times(steps([cut, again]))) == {"retry": 3, "generation": 1}


def test_what_runs_counts_up_to_the_last_known_event() -> None:
    running = call("b", 3, None, status="running")
    rows = turn_times(steps([call("a", 0, 2, token_s=1), running]), {"b": [4 * S, 6 * S]})
    assert only(rows) == {"queue": 7, "generation": 1, "idle": 1}
    (row,) = turn_times(steps([call("a", 0, None, status="running")]))
    assert (row.first_ns, row.last_ns, seconds(row)) == (0, 0, {})
    open_tool = steps(
        [call("a", 0, 2, token_s=0), call("b", 9, 10, token_s=9)], [tool("x", 2, None)]
    )
    assert only(turn_times(open_tool))["tools"] == 7


@pytest.mark.parametrize(
    ("offsets", "end", "expected"),
    [
        ([0, 100, 200, 300, 2300, 2400], 2400, [(300, 2300)]),
        ([0, 100, 200, 300, 1200], 1200, []),  # long for this answer, yet below a second
        ([0, 1500, 3000, 4500], 4500, []),  # slow all along
        ([0, 300, 600, 2500], 2500, []),  # less than eight times the usual
        ([0, 100, 200], 9000, [(200, 9000)]),  # silent until its end
        ([0, 0, 0, 0, 0, 100, 200, 3000], 3000, [(200, 3000)]),  # packets of many parts
        ([0, 5000], 5000, []),
        ([7], 9000, []),
        ([], 9000, []),
    ],
)
def test_stalls(offsets: list[int], end: int, expected: list[tuple[int, int]]) -> None:
    found = stalls([at * MS for at in offsets], end * MS)
    assert found == [(a * MS, b * MS) for a, b in expected]


def test_stalls_are_taken_out_of_generation() -> None:
    answer = call("a", 0, 5, token_s=1)
    gaps = {"a": [1000 * MS, 1100 * MS, 1200 * MS, 4200 * MS]}
    assert only(turn_times(steps([answer]), gaps)) == {"queue": 1, "generation": 1, "stall": 3}


def test_no_calls_no_turns() -> None:
    assert turn_times(steps([], [tool("Bash", 0, 1)], [said("a", 0)])) == []


_times = st.integers(-5, 60).map(lambda at: at * S // 3)
_maybe = st.none() | _times
_calls = st.builds(
    CallStep,
    call_id=st.sampled_from("abcdef"),
    session_id=st.just("s"),
    model=st.none(),
    started_ns=_times,
    input_tokens=st.none(),
    output_tokens=st.none(),
    status=st.sampled_from(["ok", "error", "incomplete", "running"]),
    first_byte_ns=_maybe,
    first_token_ns=_maybe,
    ended_ns=_maybe,
    stream=st.booleans(),
    tool_call_count=st.integers(0, 1),
    retry_of=st.none() | st.sampled_from("abcdef"),
    retry_after_s=st.none() | st.sampled_from([-1.0, 0.0, 2.5, 1e300, float("nan")]),
    operation=st.sampled_from(["chat", "embeddings"]),
)
_tools = st.builds(
    ToolStep,
    tool_call_id=st.text("xyz", max_size=2),
    session_id=st.just("s"),
    call_id=st.sampled_from("abcdef"),
    name=st.sampled_from(["Bash", "AskUserQuestion"]),
    arguments=st.none(),
    arguments_hash=st.just(""),
    result=st.none(),
    result_hash=st.none(),
    is_error=st.none(),
    requested_ns=_times,
    result_ns=_maybe,
)
_turns = st.builds(
    UserTurn, st.just("s"), st.sampled_from("abcdefgh"), st.sampled_from(["hi", "no"]), _times
)


@given(
    st.lists(_calls, min_size=1, max_size=8),
    st.lists(_tools, max_size=6),
    st.lists(_turns, max_size=6),
    st.dictionaries(st.sampled_from("abcdef"), st.lists(st.integers(-S, 30 * S), max_size=6)),
)
def test_parts_sum_to_the_wall_time_and_turns_tile_the_session(
    calls: list[CallStep],
    tools: list[ToolStep],
    turns: list[UserTurn],
    gaps: dict[str, list[int]],
) -> None:
    rows = turn_times(steps(calls, tools, turns), gaps)
    assert [row.turn for row in rows] == list(range(len(rows)))
    assert rows[0].first_ns == min(call.started_ns for call in calls)
    assert rows[-1].last_ns >= max(call.ended_ns or call.started_ns for call in calls)
    assert all(a.last_ns == b.first_ns for a, b in pairwise(rows))
    for row in rows:
        parts = [getattr(row, name) for name in PARTS]
        assert min(parts) >= 0
        assert sum(parts) == row.last_ns - row.first_ns
    assert sum(row.calls for row in rows) == len(calls)
