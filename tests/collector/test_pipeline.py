from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.capture import replay
from collector.connections import EXCHANGES_BEFORE_IGNORING
from collector.pipeline import Pipeline
from collector.recording import RecordingReader, RecordingWriter
from collector.redaction import Redactor
from collector.rows import Batch, CallRow, HealthRow
from probes import frames
from probes.events import ConnectionKey, Counters, Direction, LibrarySeen, ProbeState
from tests.frames import (
    AGENT,
    API_KEY,
    CONNECTION,
    INFO,
    SALT,
    SECOND,
    Wire,
    answer,
    ask,
    assistant,
    executed,
    exited,
    final_rows,
    forked,
    frame,
    http_request,
    http_response,
    overloaded,
    streamed_answer,
    text,
    tool_result,
    tool_use,
    user,
)

Rows = dict[str, dict[tuple[object, ...], Any]]
LIBSSL = "/usr/lib/libssl.so.3"


def run(
    captured: Iterable[bytes],
    *,
    takes: frozenset[int] = frozenset(),
    content: bool = True,
    ignored: list[ConnectionKey] | None = None,
) -> tuple[list[Batch], Rows]:
    """Frames through redaction and pipeline; rows taken after the frames in `takes`."""
    redactor = Redactor(SALT)
    ignore = None if ignored is None else ignored.append
    pipeline = Pipeline(INFO, redactor.redact_text, content=content, ignore=ignore)
    batches = []
    for number, one in enumerate(captured):
        pipeline.feed(redactor.frame(one))
        if number in takes:
            batches.append(pipeline.take())
    batches.append(pipeline.finish())
    return batches, final_rows(batches)


def calls(rows: Rows) -> list[CallRow]:
    return sorted(rows["calls"].values(), key=lambda row: (row.started_ns, row.call_id))


def health(rows: Rows) -> dict[tuple[str, str, str], int]:
    found: Iterable[HealthRow] = rows["health"].values()
    return {(row.source, row.counter, row.cause): row.value for row in found}


def woven(*wires: Wire) -> list[bytes]:
    """Frames of several connections in the order of their times."""
    captured = [one for wire in wires for one in wire.frames]
    return sorted(captured, key=lambda one: int(frames.HEADER.unpack_from(one)[4]))


def agents_day() -> list[bytes]:
    """An agent works for two turns on a tool, meets an error, and streams its last answer."""
    first: list[Any] = [user("list the files")]
    second = [
        *first,
        assistant(text("Sure."), tool_use("toolu_1", "ls")),
        tool_result("toolu_1", "README.md"),
    ]
    wire = Wire()
    wire.sends(ask(first), cuts=[30, 400]).receives(
        answer(text("Sure."), tool_use("toolu_1", "ls")), cuts=[20]
    )
    wire.sends(ask(second)).receives(overloaded())
    wire.sends(ask(second, stream=True))
    response = streamed_answer(["One ", "file: ", "README.md"])
    wire.receives(response, cuts=range(100, len(response), 150)).closes()
    processes = [
        executed(AGENT, 1, [b"agent", b"--api-key", API_KEY], at=SECOND // 2),
        forked(5000, AGENT, at=SECOND + 3_500_000),
        executed(5000, AGENT, [b"ls"], at=SECOND + 3_600_000),
        exited(5000, 0, at=SECOND + 3_700_000),
        frames.encode(
            LibrarySeen(SECOND, LIBSSL, "ab12", "openssl", "hooked", "symbols", "ok", (AGENT,))
        ),
        frames.encode(Counters(2 * SECOND, {"openssl.bytes": 12345, "openssl.events": 9})),
        frames.encode(ProbeState(SECOND, "ready", "", None, 14)),
        exited(AGENT, 0, at=3 * SECOND),
    ]
    captured = [*wire.frames, *processes]
    return sorted(captured, key=lambda one: int(frames.HEADER.unpack_from(one)[4]))


DAY = agents_day()


def test_an_agents_day_from_frames_to_rows() -> None:
    _, rows = run(DAY)
    first, failed, last = calls(rows)
    assert [row.status for row in (first, failed, last)] == ["ok", "error", "ok"]
    assert len({row.session_id for row in (first, failed, last)}) == 1
    assert last.retry_of == failed.call_id
    assert (last.stream, last.output_tokens, len(last.chunk_ns)) == (True, 17, 3)
    assert first.credential
    assert first.comm == "agent"
    (tool,) = rows["tool_calls"].values()
    assert (tool.call_id, tool.result_call_id) == (first.call_id, failed.call_id)
    assert tool.result_preview == "README.md"
    assert {(row.comm, row.session_id) for row in rows["processes"].values()} == {
        ("agent", first.session_id),
        ("ls", first.session_id),
    }
    assert [row.root_pid for row in rows["sessions"].values()] == [AGENT]
    found = health(rows)
    assert found["http", "captured_exchanges", ""] == 3
    assert found["stream", "lost_bytes", "gap"] == 0
    assert found["openssl", "captured_bytes", ""] == 12345
    assert found["probe", "attached_probes", ""] == 14
    assert found["probe", "tls_libraries", "hooked"] == 1
    (capture,) = rows["captures"].values()
    assert (capture.started_ns, capture.ended_ns) == (INFO.started_ns, INFO.wall_ns(3 * SECOND))
    (covered,) = rows["coverage"].values()
    assert (covered.pid, covered.path, covered.status) == (AGENT, LIBSSL, "hooked")
    assert (covered.hosts, covered.read_bytes > 500) == (("api.anthropic.com",), True)
    assert API_KEY.decode() not in repr(rows)


# The same frames give the same rows


@given(st.frozensets(st.integers(0, len(DAY) - 1)))
@settings(max_examples=60, deadline=None)
def test_rows_do_not_depend_on_when_they_are_taken(takes: frozenset[int]) -> None:
    batches, rows = run(DAY, takes=takes)
    assert len(batches) == len(takes) + 1
    assert rows == run(DAY)[1]


def test_nothing_is_given_out_twice_unless_it_changed() -> None:
    batches, _ = run(DAY, takes=frozenset(range(len(DAY))))
    for name in ("sessions", "calls", "tool_calls", "processes", "contents", "nodes", "tool_sets"):
        given_out = [row for batch in batches for row in getattr(batch, name)]
        assert len(given_out) == len(set(given_out)), name


def test_a_replayed_recording_gives_the_rows_of_the_capture(tmp_path: Path) -> None:
    path = tmp_path / "day.ugl"
    redactor = Redactor(SALT)
    writer = RecordingWriter(path, INFO)
    for number, one in enumerate(DAY):
        writer.add(redactor.frame(one))
        if number % 7 == 0:
            writer.flush()
    writer.close()
    assert API_KEY not in path.read_bytes()

    reader = RecordingReader(path)
    batches: list[Batch] = []
    pipeline = Pipeline(reader.info, Redactor(b"another salt").redact_text)
    assert replay(reader, pipeline, batches.append) == len(DAY)
    assert reader.damage is None
    assert final_rows(batches) == run(DAY)[1]


@given(st.lists(st.sampled_from(DAY), max_size=30), st.lists(st.binary(max_size=80), max_size=3))
@settings(max_examples=60, deadline=None)
def test_frames_out_of_order_repeated_and_damaged_do_no_harm(
    captured: list[bytes], damage: list[bytes]
) -> None:
    for number, junk in enumerate(damage):
        captured.insert(number * 3, frame(1 + len(junk) % 40, junk))
    batches, rows = run(captured, takes=frozenset(range(0, 30, 4)))
    assert all(row.status != "running" for row in calls(rows))
    assert API_KEY.decode() not in repr(batches)


# Conversations


def turns(
    count: int, topic: str, wire: Wire, *, headers: Sequence[str] = (), pause: int = 0
) -> list[Any]:
    """A conversation of `count` tool-using turns; the whole history goes with each."""
    history: list[Any] = [user(f"{topic}: begin")]
    for turn in range(count):
        blocks = (text(f"{topic} step {turn}"), tool_use(f"toolu_{topic}_{turn}", f"make {turn}"))
        wire.sends(ask(history, headers=headers)).receives(answer(*blocks))
        history += [assistant(*blocks), tool_result(f"toolu_{topic}_{turn}", f"made {turn}")]
        wire.at += pause
    return history


def test_a_long_conversation_is_stored_in_proportion_to_its_turns() -> None:
    def stored(count: int) -> tuple[int, int, int]:
        wire = Wire()
        turns(count, "build", wire)
        _, rows = run(wire.closes().frames)
        assert len(rows["calls"]) == count
        assert len(rows["sessions"]) == 1
        assert len(rows["tool_sets"]) == 1
        answered = [row for row in rows["tool_calls"].values() if row.result_call_id is not None]
        assert (len(rows["tool_calls"]), len(answered)) == (count, count - 1)
        size = sum(row.size_bytes for row in rows["contents"].values())
        return len(rows["contents"]), len(rows["nodes"]), size

    ten, hundred = stored(10), stored(100)
    # a system prompt, a tool schema, and per turn what was asked and answered
    assert (ten[0], hundred[0]) == (2 + 20, 2 + 200)
    assert (ten[1], hundred[1]) == (1 + 20, 1 + 200)
    assert hundred[2] < 11 * ten[2]


def test_tool_calls_are_joined_to_the_call_that_brought_their_result() -> None:
    wire = Wire()
    turns(4, "build", wire)
    _, rows = run(wire.closes().frames)
    made = calls(rows)
    by_id = {row.tool_call_id: row for row in rows["tool_calls"].values()}
    for turn in range(3):
        row = by_id[f"toolu_build_{turn}"]
        assert (row.call_id, row.result_call_id) == (made[turn].call_id, made[turn + 1].call_id)
        assert row.result_preview == f"made {turn}"
        assert row.result_ns == made[turn + 1].started_ns
    assert by_id["toolu_build_3"].result_call_id is None


def test_two_conversations_of_one_process_stay_two() -> None:
    one, two = Wire(), Wire(CONNECTION._replace(handle=0x7F00_2000), at=SECOND + 500_000)
    turns(5, "one", one)
    turns(5, "two", two)
    _, rows = run(woven(one.closes(), two.closes()))
    assert len(rows["calls"]) == 10
    assert len(rows["sessions"]) == 2
    by_connection = [row.session_id for row in calls(rows)]
    assert by_connection == [by_connection[0], by_connection[1]] * 5
    assert all(row.confidence == "inferred" for row in rows["sessions"].values())
    assert all(
        row.session_id == rows["calls"][(row.call_id,)].session_id
        for row in rows["tool_calls"].values()
    )


def test_two_conversations_on_one_connection_stay_two() -> None:
    wire = Wire()
    for turn in range(3):
        for topic in ("one", "two"):
            history = [user(topic)]
            for done in range(turn):
                history += [assistant(text(f"{topic} {done}")), user("go on")]
            wire.sends(ask(history)).receives(answer(text(f"{topic} {turn}")))
    _, rows = run(wire.closes().frames)
    found = [row.session_id for row in calls(rows)]
    assert found == [found[0], found[1]] * 3
    assert found[0] != found[1]


def test_a_session_named_on_the_wire() -> None:
    headers = ["X-Claude-Code-Session-Id: 3f1e8a52-0000-4000-8000-1d2e3f405060"]
    wire = Wire()
    for words in ("a question", "another one, unrelated"):
        wire.sends(ask([user(words)], headers=headers)).receives(answer(text("yes")))
    _, rows = run(wire.closes().frames)
    (row,) = rows["sessions"].values()
    assert (row.session_id, row.confidence) == ("3f1e8a52-0000-4000-8000-1d2e3f405060", "read")
    assert row.agent == "claude-code"


def test_a_retry_on_a_new_connection_stays_in_its_session() -> None:
    first = Wire().sends(ask([user("a")])).receives(overloaded()).closes()
    again = Wire(CONNECTION._replace(epoch=2), at=first.at + SECOND)
    again.sends(ask([user("a")])).receives(answer(text("b"))).closes()
    _, rows = run([*first.frames, *again.frames])
    failed, ok = calls(rows)
    assert (ok.retry_of, ok.session_id) == (failed.call_id, failed.session_id)
    assert len(rows["sessions"]) == 1


# Privacy


def test_without_content_no_words_are_in_any_row() -> None:
    wire = Wire()
    history = [
        user("WORDS asked"),
        assistant(text("WORDS said"), tool_use("toolu_1", "echo WORDS")),
        tool_result("toolu_1", "WORDS out"),
    ]
    wire.sends(ask(history[:1], metadata={"about": "WORDS"}))
    wire.receives(answer(text("WORDS said"), tool_use("toolu_1", "echo WORDS")))
    wire.sends(ask(history, system="WORDS system", tools=[{"name": "t", "description": "WORDS"}]))
    error = {"type": "error", "error": {"type": "api_error", "message": "WORDS failed"}}
    wire.receives(http_response(json.dumps(error).encode(), "500 Oops"))
    batches, rows = run(wire.closes().frames, content=False)
    assert "WORDS" not in repr(batches)
    assert [row.status for row in calls(rows)] == ["ok", "error"]
    assert "WORDS" in repr(run(wire.frames)[0])


def test_a_key_that_the_model_streams_in_pieces_is_masked_in_the_rows() -> None:
    key = API_KEY.decode()
    words = ["the key is ", *(key[at : at + 3] for at in range(0, len(key), 3)), " indeed"]
    wire = Wire().sends(ask([user("a")], stream=True)).receives(streamed_answer(words)).closes()
    batches, rows = run(wire.frames)
    assert key not in repr(batches)
    said = [row.body for row in rows["contents"].values() if row.role == "assistant"]
    assert "[redacted:" in said[0]


# Loss and health


def test_a_stream_with_a_lost_middle_makes_an_incomplete_call() -> None:
    response = streamed_answer(["word "] * 200)
    assert len(response) > 20_000
    wire = Wire().sends(ask([user("a")], stream=True)).receives(response[:5000])
    wire.loses(Direction.READ, 8000).receives(response[13000:])
    wire.sends(ask([user("b")])).receives(answer(text("fine"))).closes()
    _, rows = run(wire.frames)
    cut, fine = calls(rows)
    assert (cut.status, cut.complete) == ("incomplete", False)
    assert cut.lost_bytes > 0
    assert cut.first_token_ns is not None
    assert (fine.status, fine.complete, fine.lost_bytes) == ("ok", True, 0)
    found = health(rows)
    assert found["stream", "lost_bytes", "gap"] == 8000
    assert found["stream", "delivered_bytes", ""] + 8000 == sum(wire.positions)


def test_a_call_that_is_running_at_the_end_is_incomplete() -> None:
    wire = Wire().sends(ask([user("a")])).receives(answer(text("b"))[:-20])
    batches, rows = run(wire.frames, takes=frozenset({0}))
    assert [row.status for row in batches[0].calls] == ["running"]
    (row,) = calls(rows)
    assert (row.status, row.ended_ns) == ("incomplete", INFO.wall_ns(wire.at))


def other_traffic(count: int, wire: Wire) -> Wire:
    for number in range(count):
        wire.sends(http_request(f"/file/{number}", method="GET")).receives(http_response(b"data"))
    return wire


def test_a_connection_without_calls_is_left_to_the_kernel() -> None:
    ignored: list[ConnectionKey] = []
    wire = other_traffic(EXCHANGES_BEFORE_IGNORING, Wire())
    before = sum(wire.positions)
    other_traffic(3, wire).closes()
    _, rows = run(wire.frames, ignored=ignored)
    assert ignored == [CONNECTION]
    found = health(rows)
    assert found["stream", "delivered_bytes", ""] == before
    assert found["stream", "ignored_bytes", "not_llm"] == sum(wire.positions) - before
    assert found["stream", "lost_bytes", "gap"] == 0
    assert found["http", "captured_exchanges", ""] == EXCHANGES_BEFORE_IGNORING
    assert found["http", "connections_ignored", "no_llm_call"] == 1
    assert rows["calls"] == {}


def test_fewer_exchanges_or_one_call_keep_a_connection() -> None:
    ignored: list[ConnectionKey] = []
    wire = other_traffic(EXCHANGES_BEFORE_IGNORING - 1, Wire())
    wire.sends(ask([user("a")])).receives(answer(text("b")))
    other_traffic(10, wire)
    wire.sends(ask([user("c")])).receives(answer(text("d"))).closes()
    _, rows = run(wire.frames, ignored=ignored)
    assert ignored == []
    assert len(rows["calls"]) == 2


@pytest.mark.parametrize(
    ("direction", "begin", "why"),
    [
        (Direction.READ, http_request("/v1/messages", b"{}"), "server_side"),
        (Direction.WRITE, b"HTTP/1.1 200 OK\r\n", "server_side"),
        (Direction.WRITE, b"\x00\x01binary protocol of somebody else" * 8000, "not_http"),
    ],
    ids=["server reads", "server writes", "binary"],
)
def test_hopeless_connections_are_ignored(direction: Direction, begin: bytes, why: str) -> None:
    ignored: list[ConnectionKey] = []
    wire = Wire()
    (wire.sends if direction == Direction.WRITE else wire.receives)(begin)
    wire.sends(b"x" * 100).closes()
    found = health(run(wire.frames, ignored=ignored)[1])
    assert ignored == [CONNECTION]
    assert found["http", "undecoded_bytes", why] == len(begin)
    assert found["stream", "ignored_bytes", "not_llm"] == 100
    assert found["http", "connections_ignored", why] == 1


def test_a_hole_does_not_bring_an_ignored_connection_back() -> None:
    wire = Wire()
    other_traffic(EXCHANGES_BEFORE_IGNORING - 1, wire)
    wire.sends(http_request("/last", method="GET")).loses(Direction.READ, 50)
    wire.receives(http_response(b"data")).closes()
    pipeline = Pipeline(INFO, Redactor(SALT).redact_text)
    for one in wire.frames[:-1]:
        pipeline.feed(one)
    assert len(pipeline._connections) == 0
    pipeline.feed(wire.frames[-1])
    found = health(final_rows([pipeline.finish()]))
    delivered = found["stream", "delivered_bytes", ""]
    ignored = found.get(("stream", "ignored_bytes", "not_llm"), 0)
    assert delivered + ignored + found["stream", "lost_bytes", "gap"] == sum(wire.positions)


def test_frames_of_unknown_kinds_and_versions_are_counted() -> None:
    known = DAY[0]
    captured = [
        frame(77, b"whatever"),
        frame(77, b""),
        frame(frames.PLAIN_DATA, b"short"),
        frame(frames.PROBE_STATE, b"{}"),
        known[:5] + b"\x09" + known[6:],
    ]
    found = health(run(captured)[1])
    assert found["probe", "unknown_frames", "77"] == 2
    assert found["probe", "unknown_frames", str(frames.PLAIN_DATA)] == 1
    assert found["probe", "unknown_frames", str(frames.PROBE_STATE)] == 1
    assert found["probe", "unknown_frames", str(known[4])] == 1
