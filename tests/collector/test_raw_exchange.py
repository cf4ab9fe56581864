"""A call's exchange, found again in raw data."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from collector.raw_exchange import BODY_BYTES, RawExchange, WantedCall, find_exchange
from collector.recording import NotARecording, RecordingWriter
from collector.redaction import Redactor
from collector.rows import Batch, CallRow
from probes.events import ConnectionKey, Direction
from tests.collector import agent_traffic
from tests.collector.captures import spoken
from tests.frames import (
    AGENT,
    API_KEY,
    INFO,
    SALT,
    STARTED_NS,
    Wire,
    ask,
    streamed_answer,
    user,
)

OTHER = ConnectionKey(AGENT + 1, STARTED_NS, 0x7F00_F000, 1)


def recorded(path: Path, frames: Iterable[bytes]) -> list[CallRow]:
    """The frames as raw data, and the calls that a capture makes of them."""
    from collector.pipeline import Pipeline

    redactor = Redactor(SALT)
    pipeline = Pipeline(INFO, redactor.redact_text, header_value=redactor.header_value)
    writer = RecordingWriter(path, INFO)
    for frame in frames:
        masked = redactor.frame(frame)
        writer.add(masked)
        pipeline.feed(masked)
    writer.close()
    batch: Batch = pipeline.finish()
    return batch.calls


def found(path: Path, call: CallRow) -> RawExchange:
    exchange = find_exchange(path, WantedCall(call.call_id, call.pid, call.ended_ns))
    assert exchange is not None
    return exchange


def test_every_protocol_gives_each_call_its_own_exchange(tmp_path: Path) -> None:
    path = tmp_path / "raw.uglass"
    apis = [api(number) for number, api in enumerate(agent_traffic.APIS)]
    frames = [
        *spoken(0x7F00_1000, 1_000_000, agent_traffic.over_http1(apis)),
        *spoken(0x7F00_2000, 2_000_000, agent_traffic.over_http2(apis)),
        *spoken(0x7F00_3000, 3_000_000, agent_traffic.over_websocket(range(3))),
    ]
    calls = recorded(path, frames)
    assert len(calls) == 2 * len(apis) + 3
    for call in calls:
        exchange = found(path, call)
        assert exchange.protocol == call.protocol
        asked = exchange.request.body.decode()
        assert exchange.response is not None
        number = json.dumps(json.loads(asked)).partition("ask-")[2][0]
        said = exchange.response.body.decode()
        if call.http_status != 529:
            assert f"word-{number}" in said
        assert exchange.request.complete
        assert exchange.response.complete
        names = dict(exchange.request.headers)
        if call.protocol == "http/2":
            assert exchange.request.start_line == ""
            assert names[":path"].startswith(("/v1", "/api"))
        else:
            assert exchange.request.start_line.endswith(" HTTP/1.1")
            assert call.host == names["host"]
        if exchange.response.coding:
            assert exchange.response.coding == "gzip"
            assert not exchange.response.coding_failed


def test_secrets_are_masked_and_the_stream_is_as_it_came(tmp_path: Path) -> None:
    path = tmp_path / "raw.uglass"
    wire = Wire(ConnectionKey(AGENT, STARTED_NS, 0x7F00_1000, 1), 1_000_000)
    request = ask([user("hello")], [f"Authorization: Bearer {API_KEY.decode()}"], stream=True)
    wire.sends(request).receives(streamed_answer(["a ", "b"]))
    [call] = recorded(path, wire.closes().frames)
    exchange = found(path, call)
    assert API_KEY.decode() not in str(exchange)
    assert "[redacted:" in dict(exchange.request.headers)["authorization"]
    assert exchange.response is not None
    assert exchange.response.start_line.startswith("HTTP/1.1 200")
    assert exchange.response.body.startswith(b"event: message_start\ndata: {")


def test_what_is_not_there_is_not_found_and_a_call_under_way_is_partial(tmp_path: Path) -> None:
    path = tmp_path / "raw.uglass"
    whole = streamed_answer(["a ", "b"])
    wire = Wire(ConnectionKey(AGENT, STARTED_NS, 0x7F00_1000, 1), 1_000_000)
    running = wire.sends(ask([user("hello")], stream=True)).receives(whole[:-60]).frames
    busy = Wire(OTHER, 1_000_000).sends(ask([user("other")])).frames
    seen: list[int] = []
    [call, _] = sorted(recorded(path, [*busy, *running]), key=lambda row: row.pid)
    exchange = find_exchange(path, WantedCall(call.call_id, call.pid, None), seen.append)
    assert exchange is not None
    assert exchange.response is not None
    assert not exchange.response.complete
    assert seen[-1] == path.stat().st_size
    assert find_exchange(path, WantedCall("c0000000000000000", AGENT, None)) is None
    wanted = WantedCall(call.call_id, call.pid, None)
    assert find_exchange(path, wanted, cancelled=lambda: True) is None
    (tmp_path / "odd").write_bytes(b"odd")
    with pytest.raises(NotARecording):
        find_exchange(tmp_path / "odd", WantedCall(call.call_id, call.pid, None))


def test_of_long_bodies_the_beginning_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "raw.uglass"
    words = ["x" * 15_000 for _ in range(400)]
    answer = streamed_answer(words)
    steps = [(Direction.WRITE, ask([user("hello")], stream=True))]
    steps += [(Direction.READ, answer[at : at + 16384]) for at in range(0, len(answer), 16384)]
    [call] = recorded(path, spoken(0x7F00_1000, 1_000_000, steps))
    response = found(path, call).response
    assert response is not None
    assert response.body_bytes > 6_000_000
    assert len(response.body) == BODY_BYTES
