"""What processes say to each other on channels, from frames to rows and the view."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.reading import open_reader
from collector import channels, rpc_pairs
from collector.pipeline import Pipeline
from collector.redaction import Redactor
from collector.rows import Batch, RpcChannelRow, RpcMessageRow
from collector.store import Store
from probes.events import ConnectionKey, Direction, Source
from tests.collector.http.transcripts import pieces
from tests.frames import API_KEY, INFO, SALT, SECOND, channel_end, closed, final_rows, plain_data

READ, WRITE = Direction.READ, Direction.WRITE
CLIENT, SERVER, OTHER = 4242, 5000, 6000
ASKING = ConnectionKey(0, 0, 9001, 1)
ANSWERING = ConnectionKey(0, 0, 9002, 1)
MS = 1_000_000

Rows = dict[str, dict[tuple[object, ...], Any]]


def rpc(**fields: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **fields}).encode() + b"\n"


INITIALIZE = rpc(id=0, method="initialize", params={"capabilities": {}})
CALL = rpc(id=1, method="tools/call", params={"name": "add", "arguments": {"a": 1, "b": 2}})
SUM = rpc(id=1, result={"content": [{"type": "text", "text": "3"}]})


class Talk:
    """Frames of two channels; each step is a millisecond after the one before."""

    def __init__(self) -> None:
        self.at = SECOND
        self.positions = {ASKING: 0, ANSWERING: 0}
        self.frames: list[bytes] = []

    def _says(self, key: ConnectionKey, data: bytes, cuts: Iterable[int]) -> Talk:
        for piece in pieces(data, cuts):
            self.at += MS
            position = self.positions[key]
            self.frames.append(
                plain_data(piece, key=key, position=position, at=self.at, source=Source.CHANNEL)
            )
            self.positions[key] += len(piece)
        return self

    def asks(self, data: bytes, cuts: Iterable[int] = ()) -> Talk:
        return self._says(ASKING, data, cuts)

    def answers(self, data: bytes, cuts: Iterable[int] = ()) -> Talk:
        return self._says(ANSWERING, data, cuts)

    def loses(self, key: ConnectionKey, length: int) -> Talk:
        self.positions[key] += length
        return self

    def closes(self) -> Talk:
        self.at += MS
        self.frames += [closed(0, end, key, self.at) for key, end in self.positions.items()]
        return self


ENDS = [
    channel_end(ASKING, WRITE, CLIENT, comm=b"agent"),
    channel_end(ASKING, READ, SERVER, comm=b"server"),
    channel_end(ANSWERING, WRITE, SERVER, comm=b"server"),
    channel_end(ANSWERING, READ, CLIENT, comm=b"agent"),
]


def run(
    captured: Iterable[bytes],
    *,
    content: bool = True,
    bodies: bool = True,
    ignored: list[ConnectionKey] | None = None,
    each: bool = False,
) -> Rows:
    redactor = Redactor(SALT, bodies=bodies)
    ignore = None if ignored is None else ignored.append
    pipeline = Pipeline(INFO, redactor.redact_text, content=content, ignore=ignore)
    batches: list[Batch] = []
    for one in captured:
        pipeline.feed(redactor.frame(one))
        if each:
            batches.append(pipeline.take())
    return final_rows([*batches, pipeline.finish()])


def messages(rows: Rows) -> list[RpcMessageRow]:
    return sorted(rows["rpc_messages"].values(), key=lambda row: (row.started_ns, row.ended_ns))


def channel(rows: Rows, key: ConnectionKey) -> RpcChannelRow:
    (found,) = (row for row in rows["rpc_channels"].values() if row.inode == key.handle)
    assert isinstance(found, RpcChannelRow)
    return found


def counts(rows: Rows) -> dict[tuple[str, str], int]:
    found = rows["health"].values()
    return {(row.counter, row.cause): row.value for row in found if row.source == "channel"}


def talk() -> Talk:
    """A client initializes a server and calls a tool; the last request stays open."""
    said = Talk().asks(INITIALIZE, [10]).answers(rpc(id=0, result={"serverInfo": {}}))
    said.asks(rpc(method="notifications/initialized")).asks(CALL).answers(SUM, [5])
    return said.asks(rpc(id=2, method="tools/call", params={"name": "sleep"}))


def test_a_client_and_its_server() -> None:
    rows = run([*ENDS, *talk().closes().frames])
    said = messages(rows)
    assert [(row.kind, row.method, row.tool) for row in said] == [
        ("request", "initialize", None),
        ("response", "initialize", None),
        ("notification", "notifications/initialized", None),
        ("request", "tools/call", "add"),
        ("response", "tools/call", "add"),
        ("request", "tools/call", "sleep"),
    ]
    assert [row.answers for row in said] == [
        *(None, said[0].message_id, None),
        *(None, said[3].message_id, None),
    ]
    assert said[0].started_ns == INFO.wall_ns(SECOND + MS)
    assert said[0].ended_ns == INFO.wall_ns(SECOND + 2 * MS)
    assert said[3].size_bytes == len(CALL)
    asking, answering = channel(rows, ASKING), channel(rows, ANSWERING)
    assert (asking.writer_pid, asking.reader_pid) == (CLIENT, SERVER)
    assert (answering.writer_pid, answering.reader_pid) == (SERVER, CLIENT)
    assert (asking.writer_comm, asking.reader_comm) == ("agent", "server")
    assert (asking.sender, answering.sender) == ("client", "server")
    assert asking.transport == "pipe"
    assert asking.writer_process is not None
    assert f":{CLIENT}:" in asking.writer_process
    content = rows["contents"][said[4].content_hash,]
    assert (content.kind, json.loads(content.body)) == ("rpc", json.loads(SUM))
    assert counts(rows)["messages", ""] == 6
    assert rows["calls"] == {}
    assert not any(row.source == "http" and row.value for row in rows["health"].values())


@given(
    order=st.permutations(range(4)),
    places=st.lists(st.integers(0, 12), min_size=4, max_size=4),
    each=st.booleans(),
)
def test_ends_become_known_at_any_time(order: Sequence[int], places: list[int], each: bool) -> None:
    captured = talk().closes().frames
    for number, place in zip(order, places, strict=True):
        captured.insert(min(place, len(captured)), ENDS[number])
    expected = run([*ENDS, *talk().closes().frames])
    found = run(captured, each=each)
    assert found["rpc_messages"] == expected["rpc_messages"]
    assert found["rpc_channels"] == expected["rpc_channels"]


def test_an_end_that_nobody_in_scope_used_is_not_known() -> None:
    rows = run([ENDS[0], ENDS[3], *talk().frames])
    assert [row.answers for row in messages(rows)] == [None] * 6
    asking, answering = channel(rows, ASKING), channel(rows, ANSWERING)
    assert (asking.writer_pid, asking.reader_pid) == (CLIENT, None)
    assert (answering.writer_pid, answering.reader_pid) == (None, CLIENT)
    assert (asking.sender, answering.sender) == ("client", None)


def test_what_two_processes_write_is_nobodys() -> None:
    shared = channel_end(ANSWERING, WRITE, OTHER)
    rows = run([*ENDS, *talk().frames, shared, ENDS[2]])
    answering = channel(rows, ANSWERING)
    assert (answering.writer_pid, answering.writer_process) == (None, None)
    assert (answering.writer_started_ns, answering.writer_comm) == (None, None)
    assert answering.reader_pid == CLIENT
    assert messages(rows)[1].answers is not None, "it was known when the answer came"
    early = run([shared, *ENDS, *talk().frames])
    assert [row.answers for row in messages(early)] == [None] * 6


def test_a_server_may_ask_its_client() -> None:
    said = Talk().answers(rpc(id=1, method="roots/list")).asks(CALL)
    said.asks(rpc(id=1, result={"roots": []})).answers(SUM)
    rows = run([*ENDS, *said.frames])
    asked, called, roots, result = messages(rows)
    assert (roots.answers, roots.method) == (asked.message_id, "roots/list")
    assert (result.answers, result.method) == (called.message_id, "tools/call")
    assert (channel(rows, ASKING).sender, channel(rows, ANSWERING).sender) == ("client", "server")


def test_who_is_client_is_not_guessed() -> None:
    rows = run([*ENDS, *Talk().asks(rpc(id=1, method="ping")).answers(rpc(id=1, result={})).frames])
    assert {row.sender for row in rows["rpc_channels"].values()} == {None}
    assert messages(rows)[1].answers is not None


def test_an_answer_before_its_question_was_told_is_still_its_answer() -> None:
    captured = talk().frames
    question = captured.pop(4)
    captured.insert(6, question)
    assert run([*ENDS, *captured]) == run([*ENDS, *talk().frames])


def test_an_old_answer_is_not_that_of_a_new_question() -> None:
    said = Talk().answers(SUM)
    said.at += 2 * rpc_pairs.DISORDER_NS
    assert messages(run([*ENDS, *said.asks(CALL).frames]))[0].answers is None


def test_ids_of_other_processes_are_others() -> None:
    third = ConnectionKey(0, 0, 9003, 1)
    ends = [channel_end(third, WRITE, OTHER), channel_end(third, READ, CLIENT)]
    said = Talk().asks(CALL)
    stranger = plain_data(SUM, key=third, at=said.at + MS, source=Source.CHANNEL)
    rows = run([*ENDS, *ends, *said.frames, stranger, *said.answers(SUM).frames[1:]])
    answered = [row for row in messages(rows) if row.answers]
    assert [row.channel_id for row in answered] == [channel(rows, ANSWERING).channel_id]


def test_a_request_whose_answer_was_lost_stays_open() -> None:
    said = Talk().asks(INITIALIZE).answers(rpc(id=0, result={})).asks(CALL)
    said.loses(ANSWERING, len(SUM)).answers(rpc(method="notifications/message")).answers(SUM)
    rows = run([*ENDS, *said.closes().frames])
    kinds = [(row.kind, row.answers is not None) for row in messages(rows)]
    assert kinds == [("request", False), ("response", True), ("request", False), ("response", True)]
    lost = len(rpc(method="notifications/message"))
    assert counts(rows)["skipped_bytes", "gap"] == lost


def test_other_json_is_left_to_the_kernel() -> None:
    ignored: list[ConnectionKey] = []
    lines = b'{"type": "event"}\n' * 40
    said = Talk().asks(lines).asks(lines).answers(b"{ }\n")
    rows = run([*ENDS, *said.closes().frames], ignored=ignored)
    assert ignored == [ASKING]
    assert rows["rpc_channels"] == rows["rpc_messages"] == {}
    assert counts(rows)["channels_ignored", "not_json_rpc"] == 1
    stream = {row.counter: row.value for row in rows["health"].values() if row.source == "stream"}
    assert stream["ignored_bytes"] == len(lines)


def test_state_does_not_outlive_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PAIRS", "CLOSED_CHANNELS", "UNPAIRED_MESSAGES"):
        monkeypatch.setattr(channels, name, 5)
    monkeypatch.setattr(rpc_pairs, "OPEN_REQUESTS", 5)
    pipeline = Pipeline(INFO, Redactor(SALT).redact_text)
    tracker = pipeline._channels
    for epoch in range(20):
        key = ConnectionKey(0, 0, 1, epoch)
        requests = b"".join(rpc(id=number, method="ping") for number in range(10))
        pipeline.feed(plain_data(requests, key=key, source=Source.CHANNEL))
        assert len(tracker._open[key].unpaired) == 5
        pipeline.feed(channel_end(key, WRITE, epoch + 2))
        pipeline.feed(channel_end(key, READ, 1))
        assert not tracker._open[key].unpaired
        assert len(next(reversed(tracker._pairs.values()))._open) == 5
        pipeline.feed(closed(0, len(requests), key))
    assert tracker._open == {}
    assert len(tracker._closed) == len(tracker._pairs) == 5
    assert tracker.counts()["channel", "messages", ""] == 200


# Who speaks


HELLO = rpc(
    id=0,
    method="initialize",
    params={"protocolVersion": "2025-11-25", "clientInfo": {"name": "crab", "version": "1.2"}},
)
WELCOME = rpc(
    id=0,
    result={
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "serverInfo": {"name": "calculator", "version": "3.1"},
    },
)


@given(
    order=st.permutations(range(4)),
    places=st.lists(st.integers(0, 6), min_size=4, max_size=4),
    each=st.booleans(),
)
def test_both_directions_know_who_speaks(
    order: Sequence[int], places: list[int], each: bool
) -> None:
    captured = Talk().asks(HELLO).answers(WELCOME).asks(CALL).answers(SUM).closes().frames
    for number, place in zip(order, places, strict=True):
        captured.insert(min(place, len(captured)), ENDS[number])
    rows = run(captured, each=each)
    for key in (ASKING, ANSWERING):
        row = channel(rows, key)
        assert (row.protocol, row.protocol_version) == ("mcp", "2025-06-18")
        assert (row.server_name, row.server_version) == ("calculator", "3.1")
        assert (row.client_name, row.client_version) == ("crab", "1.2")
        assert row.url is None


def test_a_version_that_nobody_answered_is_the_clients() -> None:
    row = channel(run([*ENDS, *Talk().asks(HELLO).frames]), ASKING)
    assert (row.protocol, row.protocol_version) == ("mcp", "2025-11-25")
    assert row.server_name is None


def test_a_server_without_initialize_names_itself_in_its_results() -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "crab", "version": "2"},
    }
    stamp = {"io.modelcontextprotocol/serverInfo": {"name": "calculator", "version": "4"}}
    said = Talk().asks(rpc(id=1, method="server/discover", params={"_meta": meta}))
    said.answers(rpc(id=1, result={"resultType": "complete", "_meta": stamp}))
    rows = run([*ENDS, *said.frames])
    for key in (ASKING, ANSWERING):
        row = channel(rows, key)
        assert (row.protocol, row.protocol_version) == ("mcp", "2026-07-28")
        assert (row.server_name, row.client_name) == ("calculator", "crab")
    assert messages(rows)[1].result_type == "complete"


def test_a_language_server_is_not_one_of_mcp() -> None:
    hello = rpc(id=1, method="initialize", params={"processId": 1, "clientInfo": {"name": "ed"}})
    said = (
        Talk()
        .asks(hello)
        .answers(rpc(id=1, result={"capabilities": {}, "serverInfo": {"name": "clangd"}}))
    )
    row = channel(run([*ENDS, *said.frames]), ASKING)
    assert (row.protocol, row.protocol_version) == ("lsp", None)
    assert (row.server_name, row.client_name) == ("clangd", "ed")


@pytest.mark.parametrize(
    ("method", "params"),
    [("notifications/cancelled", {"requestId": 1}), ("$/cancelRequest", {"id": 1})],
)
def test_a_request_that_is_given_up(method: str, params: dict[str, Any]) -> None:
    cancel = rpc(method=method, params=params)
    rows = run([*ENDS, *Talk().asks(CALL).asks(cancel).frames])
    assert messages(rows)[0].cancelled
    refused = rpc(id=1, error={"code": -32800, "message": "cancelled"})
    rows = run([*ENDS, *Talk().asks(CALL).asks(cancel).answers(refused).frames])
    assert messages(rows)[0].cancelled
    assert (messages(rows)[2].answers, messages(rows)[2].error_code) == (
        *(messages(rows)[0].message_id, -32800),
    )
    rows = run([*ENDS, *Talk().asks(CALL).answers(SUM).asks(cancel).frames])
    assert not messages(rows)[0].cancelled, "it was answered before"
    rows = run([*ENDS, *Talk().asks(CALL).answers(cancel).frames])
    assert not messages(rows)[0].cancelled, "only its sender can"


# Secrets


@pytest.mark.parametrize("bodies", [True, False], ids=["recorded", "live"])
def test_keys_in_messages_are_masked_and_the_rest_is_json(bodies: bool) -> None:
    secret = API_KEY.decode()
    arguments = {"name": "fetch", "arguments": {"auth": f"Bearer {secret}", "key": secret}}
    said = Talk().asks(rpc(id=1, method="tools/call", params=arguments))
    said.answers(rpc(id=1, result={"text": f"HTTP/1.1 200 OK\r\nX-Api-Key: {secret}\r\n\r\n"}))
    rows = run([*ENDS, *said.frames], bodies=bodies)
    stored = [json.loads(row.body) for row in rows["contents"].values()]
    assert len(stored) == 2
    assert secret not in json.dumps(stored)
    assert "[redacted:" in json.dumps(stored)
    assert messages(rows)[1].answers == messages(rows)[0].message_id


def test_recorded_and_live_give_the_same_rows() -> None:
    said = Talk().asks(rpc(id=1, method="tools/call", params={"key": API_KEY.decode()}))
    assert run(said.frames, bodies=True) == run(said.frames, bodies=False)


@given(st.integers(1, 150))
def test_a_key_cut_over_two_writes_is_masked_and_the_message_stays_json(cut: int) -> None:
    call = rpc(id=1, method="tools/call", params={"key": API_KEY.decode()})
    redactor = Redactor(SALT)
    said = Talk().asks(call, [cut])
    rows = run([redactor.frame(one) for one in said.frames])
    (body,) = (row.body for row in rows["contents"].values())
    assert API_KEY[10:].decode() not in body
    assert json.loads(body)["params"].keys() == {"key"}


def test_channels_do_not_mix_in_redaction() -> None:
    redactor = Redactor(SALT)
    begin, rest = API_KEY[:20], API_KEY[20:]
    redactor.frame(plain_data(b'{"a":"' + begin, key=ASKING))
    innocent = plain_data(b'{"a":"' + rest, key=ANSWERING)
    assert redactor.frame(innocent) is innocent
    assert redactor.open_streams == 2
    for key in (ASKING, ANSWERING):
        redactor.frame(closed(0, 99, key))
    assert redactor.open_streams == 0


# The view


def test_the_view_says_what_is_open_and_how_long_answers_took(tmp_path: Path) -> None:
    said = talk().answers(rpc(id=9, error={"code": -32600, "message": "?"}))
    with Store.open(tmp_path / "s.db") as store:
        redactor = Redactor(SALT)
        pipeline = Pipeline(INFO, redactor.redact_text)
        for one in [*said.frames, *ENDS]:
            pipeline.feed(redactor.frame(one))
            store.write(pipeline.take())
        store.write(pipeline.finish())
    with open_reader(tmp_path / "s.db") as reader:
        found = reader.rows("FROM rpc_messages ORDER BY started_at").records()
    assert [row["status"] for row in found] == ["ok", "ok", None, "ok", "ok", "open", "error"]
    assert [row["duration_ms"] for row in found] == [2.0, 2.0, None, 2.0, 2.0, None, None]
    assert [row["rpc_id"] for row in found] == [0, 0, None, 1, 1, 2, 9]
    assert found[3]["answered_by"] == found[4]["message_id"]
    assert found[3]["body"] == json.loads(CALL)
    assert {row["direction"] for row in found} == {"to_server", "to_client"}
    assert found[3]["reader_pid"] == SERVER
    assert found[3]["reader_started_at"] == found[4]["writer_started_at"]
    assert found[3]["capture_id"] == INFO.capture_id
    assert found[0]["transport"] == "pipe"


def test_without_content_sizes_and_hashes_are_kept(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.db", content=False) as store:
        pipeline = Pipeline(INFO, Redactor(SALT).redact_text, content=False)
        for one in [*ENDS, *talk().frames]:
            pipeline.feed(one)
        store.write(pipeline.finish())
    with open_reader(tmp_path / "s.db") as reader:
        found = reader.rows("FROM rpc_messages").records()
    assert {row["body"] for row in found} == {None}
    assert all(row["content_hash"] and row["size_bytes"] for row in found)
