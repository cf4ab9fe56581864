"""Connections of every source, from frames to calls."""

from __future__ import annotations

from typing import Any

import pytest

from collector.connections import EXCHANGES_BEFORE_IGNORING
from probes import frames
from probes.events import (
    ConnectionKey,
    Direction,
    LibrarySeen,
    ProcessSeen,
    SocketAddresses,
    Source,
)
from tests.collector.http.http2_traffic import PREFACE
from tests.collector.http.test_http2 import POST, Side, data
from tests.collector.test_pipeline import calls, health, other_traffic, run
from tests.frames import (
    AGENT,
    CONNECTION,
    SECOND,
    STARTED_NS,
    Wire,
    answer,
    ask,
    closed,
    executed,
    http_request,
    http_response,
    joined,
    opened,
    plain_data,
    text,
    user,
)

READ, WRITE = Direction.READ, Direction.WRITE
ENDS = SocketAddresses("127.0.0.1", 40000, "127.0.0.1", 8080)
V6 = SocketAddresses("::1", 40000, "2001:db8::1", 443)
SENDS = CONNECTION._replace(handle=0xA0)
RECEIVES = CONNECTION._replace(handle=0xB0, epoch=2)
REQUEST, RESPONSE = ask([user("a")]), answer(text("b"))


class Sourced(Wire):
    """A wire whose bytes a source of our choice delivers."""

    def __init__(self, source: Source, key: ConnectionKey = CONNECTION) -> None:
        super().__init__(key)
        self.source = source

    def _data(self, direction: Direction, data: bytes, cuts: Any) -> Wire:
        begin = len(self.frames)
        super()._data(direction, data, cuts)
        for number in range(begin, len(self.frames)):
            event: Any = frames.decode(self.frames[number])
            self.frames[number] = plain_data(
                event.data, event.direction, position=event.position, key=self.key,
                at=event.ktime_ns, source=self.source,
            )  # fmt: skip
        return self


def ran_before(pid: int = AGENT) -> bytes:
    return frames.encode(
        ProcessSeen(1, pid, STARTED_NS, 1, "agent", "/bin/agent", ("agent",), "/", 0)
    )


# How a call was seen


@pytest.mark.parametrize(
    "source", [one for one in Source if one not in (Source.RUSTLS, Source.CHANNEL)]
)
def test_calls_say_through_which_stack_they_were_seen(source: Source) -> None:
    wire = Sourced(source).sends(REQUEST).receives(RESPONSE).closes()
    (call,) = calls(run(wire.frames)[1])
    assert call.tls_stack == ("none" if source is Source.SOCKET else source.name.lower())
    assert (call.status, call.local_address, call.remote_address) == ("ok", None, None)


@pytest.mark.parametrize(
    ("ends", "local", "remote"),
    [
        (ENDS, "127.0.0.1:40000", "127.0.0.1:8080"),
        (V6, "[::1]:40000", "[2001:db8::1]:443"),
        (None, None, None),
    ],
)
def test_calls_say_between_which_addresses(
    ends: SocketAddresses | None, local: str | None, remote: str | None
) -> None:
    wire = Sourced(Source.SOCKET).sends(REQUEST).receives(RESPONSE).closes()
    begin = opened(source=Source.SOCKET, ends=ends)
    (call,) = calls(run([begin, *wire.frames])[1])
    assert (call.local_address, call.remote_address) == (local, remote)


# Plain sockets


def test_a_call_between_two_watched_processes_counts_once() -> None:
    server = Sourced(Source.SOCKET, ConnectionKey(AGENT + 1, STARTED_NS, 77, 5))
    client = Sourced(Source.SOCKET, ConnectionKey(AGENT, STARTED_NS, 76, 4))
    client.sends(REQUEST)
    server.receives(REQUEST).sends(RESPONSE)
    client.receives(RESPONSE)
    ignored: list[ConnectionKey] = []
    rows = run([*client.frames, *server.frames], ignored=ignored)[1]
    (call,) = calls(rows)
    assert (call.pid, call.status, call.tls_stack) == (AGENT, "ok", "none")
    assert health(rows)["http", "connections_ignored", "server_side"] == 1
    assert ignored == [server.key]


def test_http2_with_prior_knowledge_on_a_plain_socket() -> None:
    client, server = Side(requests=True, begun=False), Side(requests=False, begun=False)
    settings = b"\0\0\0\4\0\0\0\0\0"
    wire = Sourced(Source.SOCKET).sends(PREFACE + settings)
    wire.sends(client.head(POST) + data(REQUEST.partition(b"\r\n\r\n")[2], 1, "END_STREAM"))
    wire.receives(settings + server.head([(b":status", b"200")]))
    wire.receives(data(RESPONSE.partition(b"\r\n\r\n")[2], 1, "END_STREAM"))
    rows = run(wire.closes().frames)[1]
    (call,) = calls(rows)
    assert (call.status, call.protocol, call.tls_stack) == ("ok", "http/2", "none")
    assert call.host == "llm.example:8443"
    found = health(rows)
    assert found["http", "framing_bytes", "http/2"] == len(PREFACE) + 18
    assert not any(counter == "undecoded_bytes" for _, counter, _ in found)


# Joining late


def test_an_answer_under_way_is_counted_and_the_next_call_is_seen() -> None:
    wire = Wire().receives(RESPONSE[-60:]).sends(REQUEST).receives(RESPONSE).closes()
    rows = run([ran_before(), *wire.frames])[1]
    (call,) = calls(rows)
    assert (call.status, call.complete) == ("ok", True)
    found = health(rows)
    assert found["http", "joined_late_connections", ""] == 1
    assert found["http", "joined_late_calls", ""] == 1
    assert found["http", "undecoded_bytes", "joined_late"] == 60


def test_a_connection_that_never_shows_http_is_left_to_the_kernel() -> None:
    ignored: list[ConnectionKey] = []
    wire = Wire()
    for _ in range(20):
        wire.sends(b"*1\r\n$4\r\nPING, and so on\r\n").receives(b"+PONG, and so on\r\n")
    found = health(run([ran_before(), *wire.closes().frames], ignored=ignored)[1])
    assert ignored == [CONNECTION]
    assert ("http", "joined_late_connections", "") not in found
    undecoded = found["http", "undecoded_bytes", "not_http"]
    assert undecoded + found["stream", "ignored_bytes", "not_llm"] == sum(wire.positions)


def test_a_program_that_began_under_capture_is_no_older_process() -> None:
    wire = Wire().sends(REQUEST[:20]).sends(REQUEST[20:]).receives(RESPONSE).closes()
    captured = [ran_before(), executed(AGENT, 1, [b"agent"], at=2), *wire.frames]
    (call,) = calls(run(captured)[1])
    assert call.status == "ok"


# Handles that are used again


def found(source: Source, *, sees_ends: bool) -> bytes:
    stack = source.name.lower()
    return frames.encode(
        LibrarySeen(1, "/opt/a.node", "b", stack, "hooked", "", "", (AGENT,), sees_ends)
    )


@pytest.mark.parametrize(
    ("source", "sees_ends", "kept"),
    [
        (Source.BORINGSSL, False, True),
        (Source.BORINGSSL, True, False),
        (Source.OPENSSL, False, True),
        (Source.OPENSSL, True, False),
    ],
)
def test_a_handle_without_a_close_to_see_is_not_ignored_for_good(
    source: Source, sees_ends: bool, kept: bool
) -> None:
    ignored: list[ConnectionKey] = []
    wire = Sourced(source)
    other_traffic(EXCHANGES_BEFORE_IGNORING + 1, wire)
    wire.sends(REQUEST).receives(RESPONSE)
    begin = [executed(AGENT, 1, [b"agent"]), found(source, sees_ends=sees_ends)]
    rows = run([*begin, *wire.closes().frames], ignored=ignored)[1]
    assert (ignored == []) is kept
    assert len(rows["calls"]) == kept


# Halves


def halves(inode: int = 55) -> list[bytes]:
    """A call over rustls: each direction a connection of its own."""
    at = SECOND
    source = Source.RUSTLS
    return [
        opened(SENDS, at, -1, source=source),
        plain_data(REQUEST[:100], WRITE, key=SENDS, at=at + 1, source=source),
        joined(SENDS, WRITE, inode, at=at + 2, ends=ENDS),
        plain_data(REQUEST[100:], WRITE, position=100, key=SENDS, at=at + 3, source=source),
        opened(RECEIVES, at + 4, -1, source=source),
        joined(RECEIVES, READ, inode, at=at + 5, ends=ENDS),
        plain_data(RESPONSE, READ, key=RECEIVES, at=at + 6, source=source),
        closed(0, len(REQUEST), SENDS, at + 7),
        closed(len(RESPONSE), 0, RECEIVES, at + 8),
    ]


def test_a_call_over_halves() -> None:
    rows = run([executed(AGENT, 1, [b"codex"]), *halves()])[1]
    (call,) = calls(rows)
    assert (call.status, call.complete, call.lost_bytes) == ("ok", True, 0)
    assert (call.tls_stack, call.remote_address) == ("rustls", "127.0.0.1:8080")
    (covered,) = rows["coverage"].values()
    assert (covered.stack, covered.read_bytes) == ("rustls", len(RESPONSE))
    assert covered.written_bytes == len(REQUEST)


def test_halves_that_are_never_joined_are_counted() -> None:
    captured = [one for one in halves() if one[4] != frames.HALF_JOINED]
    rows = run(captured)[1]
    assert rows["calls"] == {}
    found = health(rows)
    assert found["http", "undecoded_bytes", "half_not_joined"] == len(REQUEST) + len(RESPONSE)


def test_a_hole_at_the_tail_of_a_half() -> None:
    captured = halves()
    captured[-1] = closed(len(RESPONSE) + 33, 0, RECEIVES, SECOND + 8)
    found = health(run(captured)[1])
    assert found["stream", "lost_bytes", "gap"] == 33


def test_halves_at_the_end_of_the_capture() -> None:
    rows = run(halves()[:-2])[1]
    assert [call.status for call in calls(rows)] == ["ok"]
    stranger = plain_data(b"x" * 9, WRITE, key=SENDS._replace(handle=1), source=Source.RUSTLS)
    captured = [stranger, *(one for one in halves() if one[4] != frames.CONNECTION_CLOSED)]
    rows = run(captured[:1] + captured[5:])[1]
    assert health(rows)["http", "undecoded_bytes", "half_not_joined"] == 9


def test_an_ignored_connection_is_ignored_in_both_halves_also_in_new_ones() -> None:
    ignored: list[ConnectionKey] = []
    source, at = Source.RUSTLS, SECOND
    get, page = http_request("/file", method="GET"), http_response(b"data")
    captured = [joined(SENDS, WRITE, 55, at=at), joined(RECEIVES, READ, 55, at=at)]
    for turn in range(EXCHANGES_BEFORE_IGNORING + 2):
        sent, received = turn * len(get), turn * len(page)
        captured += [
            plain_data(get, WRITE, position=sent, key=SENDS, at=at + turn, source=source),
            plain_data(page, READ, position=received, key=RECEIVES, at=at + turn, source=source),
        ]
    renewed = SENDS._replace(epoch=9)
    captured += [
        closed(0, 99, SENDS, at + 20),
        joined(renewed, WRITE, 55, at=at + 21),
        plain_data(get, WRITE, key=renewed, at=at + 22, source=source),
        plain_data(get, WRITE, position=len(get), key=renewed, at=at + 23, source=source),
        closed(0, 2 * len(get), renewed, at + 24),
        closed(99, 0, RECEIVES, at + 25),
    ]
    found = health(run(captured, ignored=ignored)[1])
    assert set(ignored) == {SENDS, RECEIVES, renewed}
    assert found["http", "connections_ignored", "no_llm_call"] == 1
    assert found["http", "undecoded_bytes", "no_llm_call"] == len(get)
    assert found["stream", "ignored_bytes", "not_llm"] == 2 * (len(get) + len(page)) + len(get)
