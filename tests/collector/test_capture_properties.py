"""What holds for whole captures, however their bytes were cut, lost or changed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.pipeline import Pipeline
from collector.redaction import Redactor
from collector.rows import CallRow
from probes.events import Direction
from tests.collector.agent_traffic import (
    APIS,
    Api,
    Step,
    over_http1,
    over_http2,
    over_websocket,
)
from tests.frames import CONNECTION, INFO, SALT, SECOND, closed, final_rows, opened, plain_data
from tests.fuzz.of_captures import OrderChecker

Rows = dict[str, dict[tuple[object, ...], Any]]
_NUMBER = re.compile(r"(?:ask|word)-(\d+)")


class Piece(NamedTuple):
    """Bytes that one call brought. All pieces of a step came at its time."""

    connection: int
    direction: int
    at: int
    data: bytes


Conversations = list[list[Step]]
MAX_PIECES = 100  # of a step; the rest of it comes at once


@st.composite
def conversations(draw: st.DrawFn) -> Conversations:
    """The steps of one to three connections."""
    numbers = iter(range(100))
    found: Conversations = []
    for _ in range(draw(st.integers(1, 3))):
        protocol = draw(st.sampled_from(("http/1.1", "http/1.1", "http/2", "websocket")))
        apis: list[Api] = draw(st.lists(st.sampled_from(APIS), min_size=1, max_size=4))
        if protocol == "websocket":
            found.append(over_websocket([next(numbers) for _ in apis]))
            continue
        exchanges = [api(next(numbers)) for api in apis]
        found.append((over_http1 if protocol == "http/1.1" else over_http2)(exchanges))
    return found


def cut(said: Conversations, sizes: Sequence[int]) -> list[Piece]:
    """Pieces of these sizes, used again and again; of all connections, in the order of time."""
    pieces = []
    for connection, steps in enumerate(said):
        for number, (direction, data) in enumerate(steps):
            time, at, turn = SECOND + number * 1_000_000 + connection, 0, 0
            while at < len(data):
                size = sizes[turn % len(sizes)] if sizes and turn < MAX_PIECES else len(data)
                pieces.append(Piece(connection, direction, time, data[at : at + size]))
                at += size
                turn += 1
    return sorted(pieces, key=lambda piece: piece.at)


def captured(pieces: Iterable[Piece], dropped: frozenset[int] = frozenset()) -> list[bytes]:
    """Frames of the pieces; of those dropped the kernel has counted the bytes alone."""
    positions: dict[int, list[int]] = {}
    found = []
    for number, (connection, direction, at, data) in enumerate(pieces):
        key = CONNECTION._replace(handle=CONNECTION.handle + connection)
        if connection not in positions:
            positions[connection] = [0, 0]
            found.append(opened(key, at))
        position = positions[connection][direction]
        positions[connection][direction] += len(data)
        if number not in dropped:
            found.append(plain_data(data, direction, position=position, key=key, at=at))
    for connection, (read, written) in positions.items():
        key = CONNECTION._replace(handle=CONNECTION.handle + connection)
        found.append(closed(read, written, key, 100 * SECOND))
    return found


def run(wire: Iterable[bytes], *, kept: bool = False) -> tuple[Rows, Pipeline, OrderChecker]:
    """`kept`: frames are masked as for a recording, which may zero bytes behind a hole."""
    redactor = Redactor(SALT, bodies=kept)
    pipeline = Pipeline(INFO, redactor.redact_text)
    checker = OrderChecker(pipeline._connections.observer)
    pipeline._connections.observer = checker
    for one in wire:
        pipeline.feed(redactor.frame(one))
    return final_rows([pipeline.finish()]), pipeline, checker


def calls(rows: Rows) -> list[CallRow]:
    return sorted(rows["calls"].values(), key=lambda row: (row.started_ns, row.call_id))


class Told(NamedTuple):
    """What a call's rows say that does not depend on what is around it."""

    api: str
    model: str | None
    response_id: str | None
    tokens: tuple[int | None, int | None]
    finish_reason: str | None
    status: str
    asked: tuple[str, ...]
    said: tuple[str, ...]
    tools: tuple[tuple[str, str | None], ...]


def told(rows: Rows, row: CallRow) -> Told:
    asked, said = (
        _bodies(rows, row.input_node, None),
        _bodies(rows, row.output_node, row.input_node),
    )
    tools = [one for one in rows["tool_calls"].values() if one.call_id == row.call_id]
    return Told(
        row.api,
        row.model,
        row.response_id,
        (row.input_tokens, row.output_tokens),
        row.finish_reason,
        row.status,
        asked,
        said,
        tuple((one.name, one.arguments) for one in tools),
    )


def _bodies(rows: Rows, node: str | None, stop: str | None) -> tuple[str, ...]:
    found: list[str] = []
    while node is not None and node != stop:
        row = rows["nodes"][(node,)]
        found.append(rows["contents"][(row.content_hash,)].body)
        node = row.parent_node
    return tuple(reversed(found))


def numbers(what: Told) -> set[str]:
    return set(_NUMBER.findall(repr((what.asked, what.said, what.tools))))


def asked_number(what: Told) -> str | None:
    found = _NUMBER.findall(repr(what.asked))
    return found[0] if found else None


@pytest.mark.parametrize("api", APIS)
def test_each_exchange_is_a_whole_call_over_each_protocol(api: Api) -> None:
    for steps in (over_http1([api(7)]), over_http2([api(7)])):
        rows, _, _ = run(captured(cut([steps], [])))
        (row,) = calls(rows)
        what = told(rows, row)
        assert row.complete
        assert what.status == ("error" if row.http_status == 529 else "ok")
        assert numbers(what) == {"7"}
        assert what.status == "error" or repr(what.said).count("word-7") >= 6


def test_each_call_of_a_websocket_is_whole() -> None:
    rows, _, _ = run(captured(cut([over_websocket([3, 4])], [])))
    whats = [told(rows, row) for row in calls(rows)]
    assert [(what.status, numbers(what)) for what in whats] == [("ok", {"3"}), ("ok", {"4"})]


def test_a_call_that_is_answered_by_a_websocket_carries_no_other_calls() -> None:
    (_, request), *_ = over_http1([APIS[0](1)])
    _, (_, switching), *rest = over_websocket([2])
    steps = [(Direction.WRITE, request), (Direction.READ, switching), *rest]
    rows, pipeline, checker = run(captured(cut([steps], [])))
    (row,) = calls(rows)
    assert (row.http_status, row.status, numbers(told(rows, row))) == (101, "incomplete", {"1"})
    account(pipeline, checker, sum(len(data) for _, data in steps))


sizes = st.one_of(
    st.just([16384]),  # all that one side says at once
    st.lists(st.one_of(st.integers(1, 40), st.integers(1, 2000)), min_size=1, max_size=12),
)
runs = st.tuples(st.integers(0, 400), st.sampled_from((1, 1, 2, 3, 10, 40)))


def in_runs(lost: Iterable[tuple[int, int]], pieces: Sequence[Piece]) -> frozenset[int]:
    """The numbers of pieces in runs of (first, count), begun anew behind the last piece."""
    return frozenset((first + more) % len(pieces) for first, count in lost for more in range(count))


@given(said=conversations(), sizes=sizes)
@settings(max_examples=40, deadline=None)
def test_rows_do_not_depend_on_how_bytes_were_cut(said: Conversations, sizes: list[int]) -> None:
    expected, _, _ = run(captured(cut(said, [])))
    rows, _, _ = run(captured(cut(said, sizes)))
    for found in (expected, rows):  # a secret that reads cut has no fingerprint
        for key, row in found["calls"].items():
            found["calls"][key] = replace(row, credential=None)
    assert rows == expected


@given(
    said=conversations(),
    sizes=sizes,
    lost=st.lists(runs, min_size=1, max_size=4),
    kept=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_lost_bytes_make_no_call_that_nobody_made(
    said: Conversations, sizes: list[int], lost: list[tuple[int, int]], kept: bool
) -> None:
    rows, _, _ = run(captured(cut(said, [])))
    truth = {asked_number(what): what for what in (told(rows, row) for row in calls(rows))}
    pieces = cut(said, sizes)
    rows, pipeline, checker = run(captured(pieces, in_runs(lost, pieces)), kept=kept)
    for row in calls(rows):
        what = told(rows, row)
        assert len(numbers(what)) <= 1, "two exchanges were joined"
        if row.complete:
            assert what == truth[asked_number(what)]
        else:
            assert row.status != "ok"
    account(pipeline, checker, sum(len(data) for steps in said for _, data in steps))


@given(
    said=conversations(),
    sizes=sizes,
    changes=st.lists(
        st.tuples(st.integers(0, 20_000), st.binary(max_size=3)), min_size=1, max_size=6
    ),
    lost=st.lists(runs, max_size=2),
)
@settings(max_examples=80, deadline=None)
def test_changed_bytes_are_accounted_for(
    said: Conversations,
    sizes: list[int],
    changes: list[tuple[int, bytes]],
    lost: list[tuple[int, int]],
) -> None:
    pieces = cut(said, sizes)
    for at, new in changes:
        number = at % len(pieces)
        data = pieces[number].data
        at = at // len(pieces) % len(data)
        changed = data[:at] + new + data[at + len(new) :]
        pieces[number] = pieces[number]._replace(data=changed)
    rows, pipeline, checker = run(captured(pieces, in_runs(lost, pieces)))
    assert all(row.status != "running" for row in calls(rows))
    account(pipeline, checker, sum(len(piece.data) for piece in pieces))


def account(pipeline: Pipeline, checker: OrderChecker, sent: int) -> None:
    """Each byte was delivered, ignored or lost; and what was delivered belongs to something."""
    streams = pipeline._streams
    whole = streams.delivered_bytes + streams.gap_bytes + streams.unwanted_bytes
    assert streams.repeated_bytes == 0
    if pipeline._connections.ignored:  # bytes that are lost behind that are not told
        assert whole <= sent
    else:
        assert whole == sent
        assert checker.accounted_bytes(pipeline._http) == streams.delivered_bytes
