"""HTTP/2 that the `h2` library made, and what was said in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes
from hyperframe.frame import Frame

from collector.http.events import MessageEnd, RequestHead, ResponseHead, Skipped
from collector.http.http2 import Http2Reader
from collector.http.http2_events import DataRead, HeadRead, Http2Event, MessageRead, TrailersRead
from probes.events import Direction

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
READ, WRITE = Direction.READ, Direction.WRITE
Field = tuple[bytes, bytes]


def unmasked(name: bytes, value: bytes) -> bytes:
    return value


def reader(*, requests: bool) -> Http2Reader:
    return Http2Reader(requests=requests, mask=unmasked)


@dataclass
class Said:
    """One message."""

    heads: list[list[Field]] = field(default_factory=list)
    body: bytes = b""
    trailers: list[Field] | None = None
    complete: bool = False


@dataclass
class Traffic:
    """`calls`: (direction, what one call wrote), in order. `said` by direction and stream."""

    calls: list[tuple[Direction, bytes]]
    said: dict[tuple[Direction, int], Said]

    def sent(self, direction: Direction) -> bytes:
        return b"".join(data for way, data in self.calls if way == direction)


def frame_bounds(data: bytes) -> list[int]:
    """Where the frames of a direction begin, and its end."""
    at = len(PREFACE) if data.startswith(PREFACE) else 0
    bounds = [at]
    while at < len(data):
        at += 9 + Frame.parse_frame_header(memoryview(data[at : at + 9]))[1]
        bounds.append(at)
    return bounds


_VALUES = (b"", b"a", b"text/event-stream", b"x" * 300, b"\xff\x00", b"Bearer abc", b"req_011CS")
_NAMES = (b"accept", b"x-a", b"x-b", b"x-trace", b"content-type", b"cookie", b"etag")


class _Peers:
    """A client and a server that know each other; every action is one call."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.client = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.server = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        for one in (self.client, self.server):
            one.config.validate_outbound_headers = one.config.validate_inbound_headers = False
            one.config.normalize_outbound_headers = False
        self.traffic = Traffic([], {})
        self.resized: set[Direction] = set()
        self.client.initiate_connection()
        self.server.initiate_connection()
        self.exchange()

    def exchange(self) -> None:
        while True:
            there, back = self.client.data_to_send(), self.server.data_to_send()
            if there:
                self.traffic.calls.append((WRITE, there))
                self.server.receive_data(there)
            if back:
                self.traffic.calls.append((READ, back))
                self.client.receive_data(back)
            if not there and not back:
                return

    def fields(self, *, large: bool) -> list[Field]:
        random = self.random
        found = [
            (random.choice(_NAMES), random.choice(_VALUES)) for _ in range(random.randrange(6))
        ]
        if large:
            found += [(b"x-large", random.randbytes(500)) for _ in range(30)]
        return found

    def message(self, direction: Direction, stream: int) -> list[tuple[str, object]]:
        """The steps of a message."""
        random = self.random
        steps: list[tuple[str, object]] = []
        large = random.random() < 0.1
        if direction == WRITE:
            head = [
                (b":method", random.choice((b"POST", b"GET", b"PUT"))),
                (b":scheme", b"https"),
                (b":authority", b"llm.example"),
                (b":path", random.choice((b"/v1/messages", b"/", b"/v1/x?a=b"))),
            ]
        else:
            if random.random() < 0.2:
                steps.append(("interim", [(b":status", b"103"), (b"link", b"</x>")]))
            head = [(b":status", random.choice((b"200", b"404", b"429", b"529")))]
        steps.append(("head", head + self.fields(large=large)))
        for _ in range(random.randrange(4)):
            steps.append(("data", random.randbytes(random.choice((0, 1, 9, 200, 900)))))
        trailers = self.fields(large=False)
        steps.append(("trailers", trailers) if trailers and random.random() < 0.3 else ("", 0))
        ends_at_once = len(steps) == 2 or (len(steps) == 3 and steps[0][0] == "interim")
        if ends_at_once and steps[-1][0] == "":
            steps = [*steps[:-2], ("only", steps[-2][1])]
        return steps

    def act(self, direction: Direction, stream: int, kind: str, what: object) -> None:
        random, said = self.random, self.traffic.said.setdefault((direction, stream), Said())
        side = self.client if direction == WRITE else self.server
        pad = random.choice((None, None, 0, 7, 255))
        if kind in ("head", "only", "interim"):
            assert isinstance(what, list)
            said.heads.append(what)
            priority: dict[str, Any] = {}
            if direction == WRITE and random.random() < 0.3 and what[-1][0] != b"x-large":
                priority = {"priority_weight": 3, "priority_depends_on": 0}
            side.send_headers(stream, what, end_stream=kind == "only", **priority)
        elif kind == "data":
            assert isinstance(what, bytes)
            said.body += what
            side.send_data(stream, what, pad_length=pad)
        elif kind == "trailers":
            assert isinstance(what, list)
            said.trailers = what
            side.send_headers(stream, what, end_stream=True)
        else:
            side.end_stream(stream)
        said.complete = kind in ("only", "trailers", "")
        if random.random() < 0.1:
            side.ping(b"12345678")
        if random.random() < 0.1 and direction not in self.resized:
            self.resized.add(direction)  # h2 refuses what it sends itself after a second one
            size = random.choice((0, 60, 4096, 65536))
            self.exchange()
            side.update_settings({SettingCodes.HEADER_TABLE_SIZE: size})
            self.exchange()


@cache
def traffic(seed: int, streams: int = 6) -> Traffic:
    """Interleaved exchanges, all of them whole."""
    random = Random(seed)
    peers = _Peers(random)
    waiting = [2 * number + 1 for number in range(streams)]
    running: list[tuple[Direction, int, list[tuple[str, object]]]] = []
    while waiting or running:
        if waiting and (not running or random.random() < 0.4):
            stream = waiting.pop(0)
            running.append((WRITE, stream, peers.message(WRITE, stream)))
            first = running[-1][2].pop(0)
            peers.act(WRITE, stream, *first)
            peers.exchange()
            running.append((READ, stream, peers.message(READ, stream)))
            if not running[-2][2]:
                del running[-2]
            continue
        place = random.randrange(len(running))
        direction, stream, steps = running[place]
        peers.act(direction, stream, *steps.pop(0))
        if not steps:
            del running[place]
        if random.random() < 0.7:
            peers.exchange()
    peers.exchange()
    return peers.traffic


# What a reader tells


def told(events: Iterable[Http2Event]) -> dict[int, Said]:
    """By stream what the events say of its message."""
    found: dict[int, Said] = {}
    for event in events:
        if isinstance(event, HeadRead):
            said = found.setdefault(event.stream, Said())
            said.heads.append(_sent(event.head))
        elif isinstance(event, DataRead):
            assert event.data
            found[event.stream].body += event.data
        elif isinstance(event, TrailersRead):
            found[event.stream].trailers = _fields(event.headers)
        elif isinstance(event, MessageRead):
            assert not found[event.stream].complete
            found[event.stream].complete = event.end.complete
    return found


def _sent(head: RequestHead | ResponseHead) -> list[Field]:
    fields = _fields(head.headers)
    names = [name for name, _ in fields]
    if isinstance(head, RequestHead) and b":authority" in names:
        assert fields.pop() == (b"host", b"llm.example")
    return fields


def _fields(headers: Iterable[tuple[str, str]]) -> list[Field]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def merged(events: Iterable[Http2Event]) -> list[Http2Event]:
    """Adjacent data of one stream, and adjacent skips of one reason, made one."""
    result: list[Http2Event] = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, DataRead) and isinstance(last, DataRead):
            if event.stream == last.stream:
                result[-1] = DataRead(event.stream, event.ktime_ns, last.data + event.data)
                continue
        elif (
            isinstance(event, Skipped) and isinstance(last, Skipped) and last.reason == event.reason
        ):
            result[-1] = Skipped(event.ktime_ns, last.length + event.length, event.reason)
            continue
        result.append(event)
    return result


def ends(events: Iterable[Http2Event]) -> dict[int, MessageEnd]:
    return {event.stream: event.end for event in events if isinstance(event, MessageRead)}


def accounted_bytes(events: Iterable[Http2Event]) -> int:
    total = 0
    for event in events:
        if isinstance(event, MessageRead):
            total += event.end.wire_bytes
        elif isinstance(event, Skipped):
            total += event.length
    return total
