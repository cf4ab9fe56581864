"""JSON-RPC messages out of any bytes, splits and gaps."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.json_rpc import (
    FOREIGN_BYTES,
    FOREIGN_LINE_BYTES,
    FOREIGN_LINES,
    MAX_MESSAGE_BYTES,
    JsonRpcReader,
)
from collector.rpc_messages import MAX_BATCH_MEMBERS, RpcMessage
from tests.collector.http.transcripts import pieces


def rpc(**fields: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **fields}).encode()


def line(**fields: Any) -> bytes:
    return rpc(**fields) + b"\n"


def framed(body: bytes, *more: bytes) -> bytes:
    head = b"".join([b"Content-Length: %d\r\n" % len(body), *more])
    return head + b"\r\n" + body


INITIALIZE = line(id=0, method="initialize", params={"protocolVersion": "2025-06-18"})
INITIALIZED = line(method="notifications/initialized")
CALL = line(id="a-1", method="tools/call", params={"name": "add", "arguments": {"a": 1}})
RESULT = line(id="a-1", result={"content": [{"type": "text", "text": "é\n2"}]})
FAILED = line(id=7, result={"content": [], "isError": True})
ERROR = line(id=7, error={"code": -32601, "message": "Method not found"})


def read(*chunks: bytes | int, limit: int = MAX_MESSAGE_BYTES) -> list[RpcMessage]:
    """Chunks and gaps (their lengths) of a whole direction; each chunk is a tick later."""
    return read_by(JsonRpcReader(limit), chunks)


def read_by(reader: JsonRpcReader, chunks: Iterable[bytes | int]) -> list[RpcMessage]:
    found: list[RpcMessage] = []
    fed = ktime_ns = 0
    for ktime_ns, chunk in enumerate(chunks, 1):
        if isinstance(chunk, int):
            reader.gap(chunk)
        else:
            found += reader.feed(chunk, ktime_ns)
            fed += len(chunk)
        assert accounted_bytes(reader, found) + reader.pending_bytes == fed
    found += reader.close(ktime_ns)
    assert reader.pending_bytes == 0
    assert accounted_bytes(reader, found) == fed
    assert reader.messages == len(found)
    return found


def accounted_bytes(reader: JsonRpcReader, found: list[RpcMessage]) -> int:
    sizes = sum(message.size_bytes for message in found)
    return sizes + reader.framing_bytes + sum(reader.skipped_bytes.values())


def told(message: RpcMessage) -> tuple[Any, ...]:
    return message.kind, message.rpc_id, message.method, message.tool, message.is_error


def timeless(messages: list[RpcMessage]) -> list[RpcMessage]:
    return [replace(message, first_ns=0, last_ns=0) for message in messages]


def test_an_mcp_client_and_its_server() -> None:
    client = read(INITIALIZE + INITIALIZED + CALL)
    assert [told(message) for message in client] == [
        ("request", "0", "initialize", None, None),
        ("notification", None, "notifications/initialized", None, None),
        ("request", '"a-1"', "tools/call", "add", None),
    ]
    assert [message.position for message in client] == [
        0,
        len(INITIALIZE),
        len(INITIALIZE + INITIALIZED),
    ]
    assert [message.size_bytes for message in client] == [
        len(INITIALIZE),
        len(INITIALIZED),
        len(CALL),
    ]
    assert client[2].text == CALL.rstrip()
    server = read(RESULT + FAILED + ERROR)
    assert [told(message) for message in server] == [
        ("response", '"a-1"', None, None, False),
        ("response", "7", None, None, True),
        ("error", "7", None, None, True),
    ]


def test_first_and_last_byte_have_their_times() -> None:
    first, second = read(CALL[:5], CALL[5:9], CALL[9:] + ERROR[:1], ERROR[1:])
    assert (first.first_ns, first.last_ns) == (1, 3)
    assert (second.first_ns, second.last_ns) == (3, 4)
    (framed_one,) = read(framed(rpc(method="x"))[:3], framed(rpc(method="x"))[3:])
    assert (framed_one.first_ns, framed_one.last_ns) == (1, 2)


def test_ids_of_different_types_differ() -> None:
    ids = [read(line(id=value, method="m"))[0].rpc_id for value in (1, "1", 1.5, None, True, [1])]
    assert ids == ["1", '"1"', "1.5", None, None, None]


def test_framed_messages_follow_each_other_without_line_breaks() -> None:
    first, second = rpc(id=1, method="initialize"), rpc(id=1, result={"text": "a\r\n\r\nb"})
    wire = framed(first) + framed(second, b"Content-Type: application/json; charset=utf-8\r\n")
    found = read(wire)
    assert [message.text for message in found] == [first, second]
    assert sum(message.size_bytes for message in found) == len(wire)


def test_a_batch_is_its_members_as_they_were_sent() -> None:
    members = [rpc(id=1, method="a"), b'{ "jsonrpc" : "2.0", "method":"b,]"}', b"7"]
    wire = b" [" + b" ,\t".join(members) + b"]\r\n"
    reader = JsonRpcReader()
    found = read_by(reader, [wire])
    assert [(message.batch_index, message.text) for message in found] == [
        (0, members[0]),
        (1, members[1]),
    ]
    assert {message.position for message in found} == {0}
    assert reader.framing_bytes == len(wire) - len(members[0]) - len(members[1])


def test_a_servers_log_between_messages_is_skipped_and_counted() -> None:
    reader = JsonRpcReader()
    log = b'Listening on stdio\n{"level": "info"}\n[1] "jsonrpc"\n\xff\xfe "jsonrpc"\n'
    found = read_by(reader, [RESULT, log, b"\r\n\n", ERROR])
    assert [message.kind for message in found] == ["response", "error"]
    assert reader.skipped_bytes == {"not_json_rpc": len(log)}
    assert reader.framing_bytes == 3
    assert reader.verdict is True


@pytest.mark.parametrize(
    "wrong",
    [
        rpc(id=1),
        rpc(method=5),
        rpc(error="no object", id=1),
        b'{"jsonrpc": "1.0", "method": "m"}',
        b'{"jsonrpc": "2.0", "method": "m"',
        b'{"jsonrpc": "2.0", "method": "m"} {"jsonrpc": "2.0", "method": "m"}',
        rpc(method="m" * 2000),
        b'{"jsonrpc": "2.0", "method": ' + b"[" * 100_000,
        b'["jsonrpc", ' + b"[" * 100_000,
        b"[" + b'{"jsonrpc":' * 5000,
        b'[{"jsonrpc": "2.0", "id": ' + b"9" * 5000 + b"}]",
        b'["jsonrpc", \xff]',
    ],
    ids=range(12),
)
def test_what_is_no_message_is_skipped(wrong: bytes) -> None:
    reader = JsonRpcReader()
    assert [message.method for message in read_by(reader, [wrong + b"\n", CALL])] == ["tools/call"]
    assert reader.skipped_bytes == {"not_json_rpc": len(wrong) + 1}


def test_a_last_line_needs_no_line_break_but_must_be_whole() -> None:
    assert len(read(CALL + RESULT.rstrip())) == 2
    reader = JsonRpcReader()
    assert len(read_by(reader, [CALL + RESULT[:-5]])) == 1
    assert reader.skipped_bytes == {"unfinished": len(RESULT) - 5}


# Verdict


def test_other_json_is_given_up_soon() -> None:
    reader = JsonRpcReader()
    document = json.dumps({"a": list(range(100))}, indent=1).encode()
    assert read_by(reader, [document]) == []
    assert reader.verdict is False
    assert reader.feed(CALL, 1) == []
    lines = JsonRpcReader()
    lines.feed(b'{"event": "x"}\n' * (FOREIGN_LINES - 1), 1)
    assert lines.verdict is None
    lines.feed(b"{}\n", 1)
    assert lines.verdict is False


def test_a_long_first_line_is_doubted_while_it_comes() -> None:
    reader = JsonRpcReader()
    begin = b'{"data": "'
    reader.feed(begin + b"x" * (FOREIGN_LINE_BYTES - len(begin)), 1)
    assert reader.verdict is None
    reader.feed(b"x", 1)
    assert reader.verdict is False
    assert reader.pending_bytes == 0
    known = JsonRpcReader()
    text = "x" * 3 * FOREIGN_LINE_BYTES
    assert len(read_by(known, pieces(line(id=1, result=text), range(0, 3 << 20, 1 << 16)))) == 1


def test_lines_count_together_with_their_size() -> None:
    reader = JsonRpcReader()
    reader.feed(b'{"data": "' + b"x" * FOREIGN_BYTES + b'"}\n', 1)
    assert reader.verdict is False


def test_some_log_lines_before_the_first_message_are_no_verdict() -> None:
    assert len(read(b"[INFO] ready\n" * (FOREIGN_LINES - 1) + INITIALIZE)) == 1


def test_headers_that_lead_to_nothing_are_given_up() -> None:
    reader = JsonRpcReader()
    reader.feed(b"Content-Length: 0\r\n\r\n" * FOREIGN_LINES, 1)
    assert reader.verdict is False


# Size


def test_a_message_beyond_the_limit_has_a_size_and_an_end() -> None:
    long = line(id=1, method="tools/call", params={"name": "x" * 500})
    reader = JsonRpcReader(300)
    found = read_by(reader, pieces(CALL + long + ERROR, range(0, 900, 100)))
    assert [(message.kind, message.truncated) for message in found] == [
        ("request", False),
        ("unknown", True),
        ("error", False),
    ]
    assert found[1].size_bytes == len(long)
    assert reader.truncated_messages == 1
    head = framed(rpc(id=1, result="x" * 500))
    found = read(CALL + framed(rpc(method="a")) + head + framed(rpc(method="b")), limit=300)
    assert [message.method for message in found] == ["tools/call", "a", None, "b"]
    assert found[2].size_bytes == len(head)


@settings(max_examples=50)
@given(
    begin=st.sampled_from([b"", CALL, CALL[:9], b"Content-Length: 99999999\r\n\r\n", b"[", b"{"]),
    filling=st.sampled_from(
        [b"x", b"[", b'{"jsonrpc":', b"\r", b"Content-Length: 9\r\n", b"a: b\r\n", b" "]
    ),
)
def test_memory_is_bounded(begin: bytes, filling: bytes) -> None:
    limit = 8000
    reader = JsonRpcReader(limit)
    reader.feed(begin, 0)
    block = filling * (2000 // len(filling))
    for _ in range(30):
        reader.feed(block, 0)
        assert sum(map(len, reader._unit._parts or ())) <= limit
        assert reader._headers is None or reader._headers.size <= limit


def test_a_batch_of_very_many_is_cut() -> None:
    member = b'{"jsonrpc":"2.0","method":"m"}'
    reader = JsonRpcReader()
    found = read_by(reader, [b"[" + b",".join([member] * (MAX_BATCH_MEMBERS + 50)) + b"]\n", CALL])
    assert len(found) == MAX_BATCH_MEMBERS + 1
    assert reader.skipped_bytes["not_json_rpc"] > 50 * len(member)


# Gaps


def test_after_a_gap_decoding_begins_with_the_next_line() -> None:
    reader = JsonRpcReader()
    found = read_by(reader, [INITIALIZE + CALL[:20], 15, CALL[35:] + RESULT, 100, ERROR, FAILED])
    assert [message.rpc_id for message in found] == ["0", '"a-1"', "7"]
    assert found[-1].kind == "response", "the line at which the gap ended is not trusted"
    assert reader.skipped_bytes == {"gap": len(CALL) - 15 + len(ERROR)}
    assert found[-1].position == sum(map(len, (INITIALIZE, CALL, RESULT, ERROR))) + 100


def test_a_gap_in_a_framed_body_ends_with_the_body() -> None:
    first, second = framed(rpc(method="lost", params=["x" * 50])), framed(rpc(method="b"))
    at = len(first) - 30
    for length in (10, 30):
        found = read(framed(rpc(method="a")) + first[:at], length, first[at + length :] + second)
        assert [message.method for message in found] == ["a", "b"]


def test_after_a_longer_gap_framing_is_found_at_the_next_header() -> None:
    first, second, third = (framed(rpc(method=name)) for name in "abc")
    for end in range(1, len(second) - 1):
        found = read(first, len(second) - end, second[-end:] + third + first)
        methods = [message.method for message in found]
        assert methods[0] == "a"
        assert methods[1:] in (["c", "a"], ["b", "c", "a"])
        assert "c" in methods


MESSAGES = [
    *(INITIALIZE, INITIALIZED, CALL, RESULT, FAILED, ERROR),
    framed(rpc(id=3, method="shutdown")),
    b"[" + rpc(method="a") + b", " + rpc(id=4, result=None) + b"]\n",
    b"log line\n",
    b"\r\n",
    b'{"not": "rpc"}\n',
    b"Content-Length: 5\r\nGarbage\r\n",
    b"Content-Length: 4\r\n\r\nnull",
]
wires = st.lists(st.sampled_from(MESSAGES), max_size=10).map(b"".join)
cuts = st.lists(st.integers(0, 1500), max_size=20)
limits = st.sampled_from([60, 120, MAX_MESSAGE_BYTES])


@given(wire=wires, cuts=cuts, limit=limits)
def test_any_split_gives_the_same_messages(wire: bytes, cuts: list[int], limit: int) -> None:
    whole, split = JsonRpcReader(limit), JsonRpcReader(limit)
    expected = timeless(read_by(whole, [wire]))
    assert timeless(read_by(split, pieces(wire, cuts))) == expected
    assert split.skipped_bytes == whole.skipped_bytes
    assert split.verdict == whole.verdict


def test_byte_by_byte_gives_the_same_messages() -> None:
    wire = b"".join(MESSAGES)
    assert timeless(read(*pieces(wire, range(len(wire))))) == timeless(read(wire))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    wire = bytearray(draw(wires))
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(wire)))
        wire[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=4))
    return bytes(wire)


@settings(max_examples=60)
@given(st.lists(st.one_of(st.binary(max_size=40), mutated(), st.integers(1, 200)), max_size=10))
@example([framed(rpc(method="a"))[:-3], 3, CALL])
@example([b"Content-Length: 10\r\n\r\n", 10, b"Content-Length: 1\n", 4])
def test_every_byte_is_accounted_for_once(script: list[bytes | int]) -> None:
    read(*script)


@settings(max_examples=60)
@given(
    numbers=st.lists(st.booleans(), min_size=2, max_size=8),
    hole=st.tuples(st.integers(0, 800), st.integers(1, 300)),
    cuts=cuts,
)
def test_a_gap_never_joins_two_messages(
    numbers: list[bool], hole: tuple[int, int], cuts: list[int]
) -> None:
    sent = []
    for number, is_framed in enumerate(numbers):
        mark = chr(ord("A") + number)
        body = rpc(id=number, method=f"m{number}", params=[mark * 40])
        sent.append(framed(body) if is_framed else body + b"\n")
    wire = b"".join(sent)
    begin = min(hole[0], len(wire) - 1)
    end = min(begin + hole[1], len(wire))
    script: list[bytes | int] = [
        *pieces(wire[:begin], cuts),
        end - begin,
        *pieces(wire[end:], cuts),
    ]
    found = read(*script)
    at = 0
    touched, before = set(), set()
    for number, message in enumerate(sent):
        if at + len(message) <= begin:
            before.add(number)
        elif at + len(message) - len(message.rpartition(b"\r\n")[2]) < end:
            touched.add(number)
        at += len(message)
    seen = set()
    for each in found:
        assert each.text is not None
        number = int(each.rpc_id or "-1")
        assert each.text in sent[number]
        assert json.loads(each.text)["params"] == [chr(ord("A") + number) * 40]
        seen.add(number)
    assert before <= seen
    assert not touched & seen
