"""Harnesses of whole connections and captures: exchanges, redaction, the pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field

from collector import secret_shapes
from collector.exchange import HTTP1, Exchange, ExchangeObserver, HttpCounters, SocketMessage
from collector.http import http2_frames as h2
from collector.http.hpack_fields import BlockItem, Field, HpackDecoder, MalformedField
from collector.http.websocket_deflate import Inflater, negotiated
from collector.http.websocket_frames import FrameReader
from collector.http.websocket_messages import Message
from collector.http_connection import HttpConnection
from collector.origin import Origin
from collector.pipeline import Pipeline
from collector.redaction import _MASKED, Redactor
from collector.rows import Batch
from probes import frames
from probes.events import Direction, Source
from tests.frames import CONNECTION, INFO, SALT, closed, final_rows, opened, payload, plain_data
from tests.fuzz.steps import Input, Step, both_directions, parsed, with_gaps

OF_CALLS = (
    "request_body",
    "response_body",
    "response_events",
    "socket_message",
)  # undecoded bytes that are in exchanges too


@dataclass(slots=True)
class _Told:
    """What was told of one exchange."""

    exchange: Exchange
    state: str = "request"  # answered before it was sent: `both`
    holes: list[int] = field(default_factory=lambda: [0, 0])  # when its messages began


class OrderChecker:
    """An `ExchangeObserver` that raises when it is told things in a wrong order."""

    def __init__(self, behind: ExchangeObserver | None = None) -> None:
        self._behind = behind
        self._told: dict[int, _Told] = {}
        self.exchanges: list[Exchange] = []
        self.socket_bytes = 0
        self.sockets_closed: set[int] = set()
        self.holes = [0, 0]  # so far, by direction

    def _of(self, exchange: Exchange) -> _Told:
        told = self._told[id(exchange)]
        assert told.exchange is exchange
        assert told.state != "ended"
        return told

    def request_started(self, exchange: Exchange) -> None:
        assert id(exchange) not in self._told
        place = (exchange.connection, exchange.number)
        assert all((one.connection, one.number) != place for one in self.exchanges)
        self.exchanges.append(exchange)
        told = self._told[id(exchange)] = _Told(exchange)
        told.holes[Direction.WRITE] = self.holes[Direction.WRITE]
        if self._behind is not None:
            self._behind.request_started(exchange)

    def request_body(self, exchange: Exchange, data: bytes) -> None:
        self._of(exchange)
        assert data
        assert exchange.request_end is None
        if self._behind is not None:
            self._behind.request_body(exchange, data)

    def request_ended(self, exchange: Exchange) -> None:
        told = self._of(exchange)
        end = exchange.request_end
        assert end is not None
        if exchange.protocol == HTTP1 and told.holes[Direction.WRITE] < self.holes[Direction.WRITE]:
            assert not end.complete
        if self._behind is not None:
            self._behind.request_ended(exchange)

    def response_started(self, exchange: Exchange) -> None:
        told = self._of(exchange)
        assert told.state == "request"
        assert exchange.response is not None
        told.state = "response"
        told.holes[Direction.READ] = self.holes[Direction.READ]
        if self._behind is not None:
            self._behind.response_started(exchange)

    def response_body(self, exchange: Exchange, data: bytes, ktime_ns: int) -> None:
        assert data
        assert self._of(exchange).state == "response"
        if self._behind is not None:
            self._behind.response_body(exchange, data, ktime_ns)

    def exchange_ended(self, exchange: Exchange, ktime_ns: int) -> None:
        told = self._of(exchange)
        end = exchange.response_end
        if exchange.protocol == HTTP1 and told.holes[Direction.READ] < self.holes[Direction.READ]:
            assert end is None or not end.complete
        assert not exchange.complete or exchange.response is not None
        told.state = "ended"
        if self._behind is not None:
            self._behind.exchange_ended(exchange, ktime_ns)

    def socket_message(self, exchange: Exchange, message: SocketMessage) -> None:
        assert self._told[id(exchange)].state == "ended"
        assert id(exchange) not in self.sockets_closed
        assert message.data is None or not message.lost_bytes
        if message.data is not None:  # else they count as undecoded
            self.socket_bytes += message.wire_bytes
        if self._behind is not None:
            self._behind.socket_message(exchange, message)

    def socket_closed(self, exchange: Exchange, ktime_ns: int) -> None:
        assert self._told[id(exchange)].state == "ended"
        assert id(exchange) not in self.sockets_closed
        self.sockets_closed.add(id(exchange))
        if self._behind is not None:
            self._behind.socket_closed(exchange, ktime_ns)

    def accounted_bytes(self, counters: HttpCounters) -> int:
        """Once closed: bytes of exchanges and sockets, of the connection, and of nothing known."""
        assert all(told.state == "ended" for told in self._told.values())
        ends = [end for one in self.exchanges for end in (one.request_end, one.response_end) if end]
        undecoded = sum(
            length for reason, length in counters.undecoded_bytes.items() if reason not in OF_CALLS
        )
        framing = sum(counters.framing_bytes.values())
        return sum(end.wire_bytes for end in ends) + self.socket_bytes + undecoded + framing


def connection(raw: bytes) -> None:
    """Both directions of a connection; the first choice is its origin."""
    source = parsed(raw)
    choice = source.choice(0)
    origin = Origin(Source.OPENSSL, None, bool(choice & 1), bool(choice & 2))
    observer, counters = OrderChecker(), HttpCounters()
    followed = HttpConnection(CONNECTION, observer, counters, origin)
    fed = at = 0
    for at, step in enumerate(both_directions(Input(source.choices[1:], source.data))):
        if step.data is None:
            observer.holes[step.direction] += 1
            followed.gap(step.direction, step.lost, at)
        else:
            fed += len(step.data)
            followed.chunk(step.direction, step.data, at)
    followed.close(at + 1)
    assert observer.accounted_bytes(counters) == fed


# Redaction


def redaction(raw: bytes) -> None:
    """Both directions of a connection, as frames."""
    source = parsed(raw)
    _redacted(list(both_directions(source)))


def http2_redaction(raw: bytes) -> None:
    """One direction that begins with a preface."""
    choices, data = parsed(raw)
    steps = list(with_gaps(h2.PREFACE + data, choices))
    masked = _redacted([step._replace(direction=Direction.WRITE) for step in steps])
    if all(step.data is not None for step in steps):
        _same_headers(data, masked[len(h2.PREFACE) :])


def _redacted(steps: list[Step]) -> bytes:
    """The bytes of all steps, masked. Masking them once more must change nothing; not so with
    HTTP/2 that is no HPACK, of which a part is read anew each time."""
    redactor, again = Redactor(SALT), Redactor(SALT)
    positions = [0, 0]
    result = []
    for step in steps:
        way = step.direction
        if step.data is None:
            positions[way] += step.lost
            continue
        one = plain_data(step.data, way, position=positions[way], source=Source.GO)
        positions[way] += len(step.data)
        masked = redactor.frame(one)
        assert len(masked) == len(one)
        head = frames.PLAIN_DATA_OFFSET - 2  # then, how much of the data is blank
        assert masked[:head] == one[:head]
        streams = redactor._streams.values()
        if all(one.http2._frames is None and one.socket is None for one in streams):
            assert again.frame(masked) == masked
            _keys_are_masked(step.data, payload(masked))
        result.append(payload(masked))
    return b"".join(result)


_EXTENSIONS = ("", "permessage-deflate", "permessage-deflate; server_no_context_takeover", "x-a")


def websocket_redaction(raw: bytes) -> None:
    """A direction of a WebSocket; the first choice is who sends it, and what was agreed."""
    source = parsed(raw)
    by_client = bool(source.choice(0) & 4)
    extensions = _EXTENSIONS[source.choice(0) % 4]
    heads = (
        b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: %s\r\n\r\n"
        % extensions.encode(),
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
    )
    redactor, again = Redactor(SALT), Redactor(SALT)
    positions = [0, 0]
    recorded, whole = b"", True
    opening = [Step(int(way), heads[way]) for way in (True, False)]
    steps = [
        step._replace(direction=int(by_client))
        for step in with_gaps(source.data, source.choices[1:])
    ]
    for number, step in enumerate([*opening, *steps]):
        way = step.direction
        if step.data is None:
            positions[way] += step.lost
            whole = False
            continue
        one = plain_data(step.data, way, position=positions[way], source=Source.GO)
        positions[way] += len(step.data)
        masked = redactor.frame(one)
        assert len(masked) == len(one)
        head = frames.PLAIN_DATA_OFFSET - 2  # then, how much of the data is blank
        assert masked[:head] == one[:head]
        if not redactor.blanked_bytes:
            assert again.frame(masked) == masked
        if number >= len(opening):
            recorded += payload(masked)
    if whole and all(stream.socket is not None for stream in redactor._streams.values()):
        _no_key_in_messages(recorded, extensions, by_client)


def _no_key_in_messages(recorded: bytes, extensions: str, by_client: bool) -> None:
    agreed = negotiated((("sec-websocket-extensions", extensions),))
    takeover = agreed.client_takeover if by_client else agreed.server_takeover
    inflater = Inflater(takeover=takeover, limit_bytes=1 << 20) if agreed.deflate else None
    for event in FrameReader(inflater, any_rsv=agreed.others).feed(recorded, 0):
        if isinstance(event, Message) and event.data is not None:
            for start, end in secret_shapes.keys(event.data):
                assert _MASKED.fullmatch(event.data[start:end])


def _keys_are_masked(data: bytes, masked: bytes) -> None:
    for start, end in secret_shapes.keys(data):
        if start < 16:
            continue  # in a word that began in the last read
        assert data[start:end] != masked[start:end] or _MASKED.fullmatch(data[start:end])


def redacted_text(raw: bytes) -> None:
    """Text that only decoding joined."""
    redactor = Redactor(SALT)
    text = parsed(raw).data.decode("utf-8", "surrogateescape")
    masked = redactor.redact_text(text)
    assert len(masked.encode("utf-8", "surrogatepass")) == len(
        text.encode("utf-8", "surrogatepass")
    )
    assert redactor.redact_text(masked) == masked


def _same_headers(data: bytes, masked: bytes) -> None:
    """Blocks that stand whole in a HEADERS frame decode to fields of equal lengths."""
    before, after = HpackDecoder(), HpackDecoder()
    at = 0
    while at + h2.HEAD_BYTES <= len(data):
        head = h2.head_at(data, at)
        if head is None:
            return
        assert masked[at : at + h2.HEAD_BYTES] == data[at : at + h2.HEAD_BYTES]
        at += h2.HEAD_BYTES
        end = at + head.size
        if head.kind in (h2.PUSH_PROMISE, h2.CONTINUATION) or end > len(data):
            return
        if head.kind == h2.HEADERS:
            if head.flags & (h2.PADDED | h2.PRIORITY) or not head.flags & h2.END_HEADERS:
                return
            fields = before.read(data[at:end])
            if any(isinstance(item, MalformedField) for item in fields):
                return
            assert _shape(after.read(masked[at:end])) == _shape(fields)
        at = end


def _shape(items: list[BlockItem]) -> list[object]:
    return [
        (item.start, item.end, item.representation, len(item.name or b""), len(item.value or b""))
        if isinstance(item, Field)
        else item
        for item in items
    ]


# The pipeline


def pipeline(raw: bytes) -> None:
    """A connection from frames to rows; the first choice says when rows are taken."""
    source = parsed(raw)
    redactor = Redactor(SALT, bodies=bool(source.choice(0) & 1))
    stages = Pipeline(INFO, redactor.redact_text)
    checker = OrderChecker(stages._connections.observer)
    stages._connections.observer = checker
    batches: list[Batch] = []
    positions, fed = [0, 0], 0
    captured = [opened(at=1)]
    for at, step in enumerate(both_directions(Input(source.choices[1:], source.data)), 2):
        if step.data is not None:
            place = positions[step.direction]
            captured.append(plain_data(step.data, step.direction, position=place, at=at))
            fed += len(step.data)
        positions[step.direction] += step.lost if step.data is None else len(step.data)
    if source.choice(0) & 2:
        read, written = positions
        captured.append(closed(read, written, at=len(captured) + 2))
    for number, one in enumerate(captured):
        stages.feed(redactor.frame(one))
        if source.choice(0) >> 2 & 1 << number % 5:
            batches.append(stages.take())
    batches.append(stages.finish())
    rows = final_rows(batches)
    assert all(row.status != "running" for row in rows["calls"].values())  # type: ignore[attr-defined]
    streams = stages._streams
    told = streams.delivered_bytes + streams.unwanted_bytes
    assert told <= fed if redactor.blanked_bytes else told == fed
    if source.choice(0) & 2:
        assert told + streams.gap_bytes == sum(positions) or stages._connections.ignored
    if not stages._connections.ignored:  # what was pending then is told by nobody
        assert checker.accounted_bytes(stages._http) == told


def captured_frames(raw: bytes) -> None:
    """Any frames, as a recording may hold them, up to rows."""
    try:
        captured = frames.FrameSplitter().feed(parsed(raw).data)
    except ValueError:
        return
    redactor = Redactor(SALT)
    stages = Pipeline(INFO, redactor.redact_text)
    for one in captured:
        masked = redactor.frame(one)
        assert len(masked) == len(one) or one[4] in (frames.PROCESS_SEEN, frames.FILE_CONTENT)
        stages.feed(masked)
    stages.take()
    stages.finish()
