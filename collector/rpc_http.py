"""JSON-RPC over HTTP, and A2A's HTTP+JSON binding: exchanges turned into rows.

In: exchanges that no LLM API claims. Out: the rows of `collector.rpc_rows`, over the links of
`collector.rpc_links`. Followed are (MCP, "Transports"; A2A, "JSON-RPC Protocol Binding" and
"HTTP+JSON/REST Protocol Binding"):

- POST of a JSON-RPC message or batch, answered by JSON, by a stream of messages as server-sent
  events, or by nothing (202);
- GET of such a stream, which a server may also open with the `endpoint` for its client's POSTs;
- DELETE of an MCP session;
- GET of an agent's card, and the operations of A2A that are told by method and path.

A head alone rarely tells: a body that is no JSON-RPC is let go as soon as that shows. Memory of an
exchange is bounded by `MAX_BODY_BYTES` for each body or event; of what is longer only the size is
told. Nothing is joined across a gap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from collector import a2a
from collector.capture_info import CaptureInfo
from collector.exchange import WEBSOCKET, Exchange, SocketMessage
from collector.http.codings import ContentDecoder
from collector.http.events import header
from collector.http.sse import SseDecoder
from collector.llm.fields import parse_object
from collector.processes import ProcessTable
from collector.redaction import TextRedactor
from collector.rows import Batch, RpcMessageRow
from collector.rpc_about import A2A, MCP, About, about_card, about_error, about_result
from collector.rpc_links import SSE, Link, Links, address_of
from collector.rpc_messages import UNKNOWN, Fields, RpcMessage
from collector.rpc_rows import RpcRows
from collector.rpc_spoken import (
    MARK,
    SESSION_HEADER,
    Members,
    SpokenExchange,
    may_speak,
    members,
    said_by,
)

MAX_BODY_BYTES = 16 << 20
MAX_COMPRESSED_BYTES = 256 << 20  # what a compressed stream may hold
EARLY_RESPONSE_BYTES = 1 << 20  # what is kept of a response that comes before its request's end
MAX_FOREIGN_EVENTS = 4  # a stream without a message among so many events is something else
_NO_LIMIT = 1 << 62
_UNTYPED = frozenset({"", "text/plain", "application/octet-stream"})


class RpcHttp:
    """The `Follower` of JSON-RPC and A2A on all connections. Not thread-safe."""

    def __init__(
        self,
        info: CaptureInfo,
        processes: ProcessTable,
        redact: TextRedactor,
        *,
        content: bool,
        undecoded: Callable[[str, int], None],
    ) -> None:
        self._info = info
        self._undecoded = undecoded
        self._rows = RpcRows(info, redact, content=content)
        self._links = Links(info, processes, redact, self._rows)
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._capture_ends = False

    def take(self, batch: Batch) -> None:
        """Add the rows that are new or changed."""
        self._rows.take(batch)

    def counts(self) -> dict[tuple[str, str, str], int]:
        """Health counters: (source, counter, cause) -> value."""
        return dict(self._counts)

    def finish(self) -> None:
        """End of the capture: what ends from now on was not ended by its client."""
        self._capture_ends = True

    # Follower

    def request_started(self, exchange: Exchange) -> bool:
        """The head was read: could this be JSON-RPC or A2A?"""
        if exchange.protocol == WEBSOCKET:
            return False
        posts = exchange.request.method == "POST"
        if posts and self._links.at_endpoint(exchange) is not None:
            spoken: SpokenExchange | None = SpokenExchange(likely=True)
        else:
            spoken = may_speak(exchange.request)
        if spoken is None:
            return False
        if posts:
            coding = header(exchange.request.headers, "content-encoding")
            spoken.content = ContentDecoder(coding, MAX_BODY_BYTES + 1)
        exchange.state = spoken
        return True

    def request_body(self, exchange: Exchange, data: bytes) -> None:
        """Body bytes are kept as long as they may be a message."""
        spoken: SpokenExchange | None = exchange.state
        if spoken is None or spoken.content is None:
            return
        plain = spoken.content.feed(data)
        if plain and not spoken.keep(plain):
            exchange.state = None

    def request_ended(self, exchange: Exchange) -> None:
        """The messages that were sent are read."""
        spoken: SpokenExchange | None = exchange.state
        if spoken is None or exchange.request_end is None:
            return
        spoken.asked_all = True
        whole = exchange.request_end.complete
        body = b""
        if spoken.content is not None:
            spoken.content.finish()
            self._undecoded("request_body", spoken.content.undecoded_bytes)
            whole = whole and not spoken.content.failed and not spoken.content.capped
            body = b"".join(spoken.parts)
            spoken.parts = []
        if spoken.operation is not None or spoken.asks_card:
            self._operate(exchange, spoken, body, whole)
        elif body:
            self._ask(exchange, spoken, body, whole)
        elif spoken.content is not None and not spoken.likely:
            exchange.state = None
        if exchange.state is not None and exchange.response is not None:
            self._respond(exchange, spoken)
            early, spoken.early = spoken.early, []
            for data, ktime_ns in early:
                self.response_body(exchange, data, ktime_ns)

    def response_started(self, exchange: Exchange) -> None:
        """The answer begins: JSON, a stream, or something else."""
        spoken: SpokenExchange | None = exchange.state
        if spoken is not None and spoken.asked_all:
            self._respond(exchange, spoken)

    def response_body(self, exchange: Exchange, data: bytes, ktime_ns: int) -> None:
        """Events are read as they come; a JSON body is kept until it is whole."""
        spoken: SpokenExchange | None = exchange.state
        if spoken is None:
            return
        if not spoken.asked_all:
            spoken.early_bytes += len(data)
            if spoken.early_bytes <= EARLY_RESPONSE_BYTES:
                spoken.early.append((data, ktime_ns))
            else:
                exchange.state = None
            return
        if exchange.response_gaps != spoken.gaps:
            spoken.gaps = exchange.response_gaps
            self._lost(exchange, spoken)
        if spoken.response is None:
            return
        spoken.response.feed_to(
            lambda plain: self._response_part(exchange, spoken, plain, ktime_ns), data
        )

    def _response_part(
        self, exchange: Exchange, spoken: SpokenExchange, plain: bytes, ktime_ns: int
    ) -> None:
        """Decoded bytes of a response."""
        if exchange.state is None:
            return
        if spoken.stream is None:
            spoken.body_bytes += len(plain)
            spoken.body.append(plain)
            return
        for event in spoken.stream.feed(plain):
            self._event(exchange, spoken, event.event, event.data, ktime_ns)
            if exchange.state is None:
                return

    def exchange_ended(self, exchange: Exchange, ktime_ns: int) -> bool:
        """Was it JSON-RPC or A2A? What was asked and not answered stays open, or was given up."""
        spoken: SpokenExchange | None = exchange.state
        if spoken is None:
            return False
        exchange.state = None
        if spoken.response is not None:
            spoken.response.finish()
            self._undecoded("response_body", spoken.response.undecoded_bytes)
        if spoken.stream is not None:
            self._counts["rpc", "skipped_bytes", "cut"] += spoken.stream.skipped_bytes
        elif spoken.body:
            self._answer(exchange, spoken)
        if spoken.link is not None and spoken.link.modern:
            self._given_up(exchange, spoken)
        return spoken.confirmed or (spoken.likely and spoken.listens)

    def socket_message(self, exchange: Exchange, message: SocketMessage) -> None:
        """No WebSocket is followed."""

    def socket_closed(self, exchange: Exchange, ktime_ns: int) -> None:
        """No WebSocket is followed."""

    # Requests

    def _ask(self, exchange: Exchange, spoken: SpokenExchange, body: bytes, whole: bool) -> None:
        """The body of a POST is a message or a batch."""
        assert exchange.request_end is not None
        found = members(body) if whole and MARK in body else []
        if not found and (whole or not spoken.likely):
            exchange.state = None
            return
        link = self._link(exchange, spoken, found)
        first_ns, last_ns = exchange.request.ktime_ns, exchange.request_end.ktime_ns
        if not found and spoken.content is not None and spoken.content.capped:
            size = exchange.request_end.wire_bytes
            self._counts["rpc", "truncated_messages", "too_long"] += 1
            cut = RpcMessage(0, None, *UNKNOWN, size, None, first_ns, last_ns)
            self._sent(exchange, spoken, link, cut)
        for index, text, fields in found:
            message = RpcMessage(spoken.sent, index, *fields, len(text), text, first_ns, last_ns)
            self._sent(exchange, spoken, link, message)

    def _link(self, exchange: Exchange, spoken: SpokenExchange, found: Members) -> Link:
        head = exchange.request
        session, url = header(head.headers, SESSION_HEADER) or None, address_of(head).url
        link = self._links.at_endpoint(exchange)
        if link is None:
            begins = session is None and any(
                fields.method == "initialize" for _, _, fields in found
            )
            if begins:
                link = self._links.begin(exchange, url)
            else:
                link = self._links.find(exchange, url, session)
        spoken.link = link
        said = said_by(head)
        if said is not None:
            self._links.tell(link, said)
        return link

    def _operate(
        self, exchange: Exchange, spoken: SpokenExchange, body: bytes, whole: bool
    ) -> None:
        """A request that is told by method and path."""
        assert exchange.request_end is not None
        head, operation = exchange.request, spoken.operation
        fields = parse_object(body) if body and whole else None
        task = a2a.task_of_request(fields) if fields else a2a.Task(None, None, None)
        if operation is None:
            method, url = a2a.CARD_METHOD, address_of(head).url
        else:
            if not operation.sure and not (fields is not None and a2a.asks_message(fields)):
                exchange.state = None
                return
            method = operation.method
            url = (address_of(head).authority + operation.base).rstrip("/")
            task = task._replace(task_id=operation.task_id or task.task_id)
        spoken.link = link = self._links.find(exchange, url, None)
        if operation is not None:
            self._links.tell(link, said_by(head) or About(A2A))
        about = About(task_id=task.task_id, context_id=task.context_id)
        message = RpcMessage(
            spoken.sent,
            None,
            *Fields("request", None, method, about=about),
            len(body),
            body if whole else b"",
            head.ktime_ns,
            exchange.request_end.ktime_ns,
        )
        if operation is not None:
            self._sent(exchange, spoken, link, message)
        else:
            spoken.card = message

    def _sent(
        self, exchange: Exchange, spoken: SpokenExchange, link: Link, message: RpcMessage
    ) -> None:
        """A message went to the server."""
        self._confirm(spoken, link)
        row = self._row(exchange, link, message, "request", spoken.sent)
        spoken.sent += 1
        if message.kind == "request":
            spoken.asked[row.rpc_id or ""] = row
        if message.about.tells_who:
            self._links.tell(link, message.about)
        self._links.paired(
            link, row, to_server=True, asked=spoken.asked, cancels=message.about.cancels
        )

    # Responses

    def _respond(self, exchange: Exchange, spoken: SpokenExchange) -> None:
        """Choose how the answer is read."""
        head = exchange.response
        assert head is not None
        coding = header(head.headers, "content-encoding")
        media_type = (header(head.headers, "content-type") or "").partition(";")[0].strip().lower()
        session = header(head.headers, SESSION_HEADER)
        link = spoken.link
        if link is not None and session and link.asking.mcp_session is None:
            self._links.joins_session(exchange, link, address_of(exchange.request).url, session)
        for rpc_id, row in spoken.asked.items():
            spoken.asked[rpc_id] = changed = replace(row, http_status=head.status)
            if link is not None and link.used:
                self._links.changed(link, changed)
        if media_type == "text/event-stream":
            spoken.stream = SseDecoder(MAX_BODY_BYTES)
            # What is not compressed needs no limit but that of an event.
            limit = MAX_COMPRESSED_BYTES if coding and coding != "identity" else _NO_LIMIT
            spoken.response = ContentDecoder(coding, limit)
        elif not spoken.listens and (
            "json" in media_type or (spoken.confirmed and media_type in _UNTYPED)
        ):
            spoken.response = ContentDecoder(coding, MAX_BODY_BYTES + 1)
        elif not spoken.confirmed:
            exchange.state = None

    def _lost(self, exchange: Exchange, spoken: SpokenExchange) -> None:
        """Bytes of the response are missing before those that come."""
        head = exchange.response
        coded = head is not None and header(head.headers, "content-encoding")
        if spoken.stream is not None and (not coded or coded == "identity"):
            spoken.stream.gap()
        else:
            spoken.response, spoken.body = None, []

    def _event(
        self, exchange: Exchange, spoken: SpokenExchange, name: str, data: bytes, ktime_ns: int
    ) -> None:
        """One event of a stream is a message, or the endpoint for messages."""
        if not data:
            return  # MCP 2025-11-25: an event that only gives an id to resume from
        if spoken.operation is not None:
            self._result(exchange, spoken, data, ktime_ns, ktime_ns, failed=name == "error")
            return
        if name == "endpoint" and spoken.listens and not spoken.confirmed:
            url = address_of(exchange.request).url
            link = spoken.link = self._links.begin(exchange, url, transport=SSE)
            self._links.endpoint(exchange, link, data)
            self._links.tell(link, About(MCP))
            spoken.confirmed = True
            return
        found = members(data)
        if not found:
            self._counts["rpc", "skipped_bytes", "not_json_rpc"] += len(data)
            spoken.foreign_events += 1
            if not spoken.confirmed and spoken.foreign_events >= MAX_FOREIGN_EVENTS:
                exchange.state = None
            return
        self._received(exchange, spoken, found, ktime_ns, ktime_ns)

    def _answer(self, exchange: Exchange, spoken: SpokenExchange) -> None:
        """A body that is whole is the answer to all that was asked."""
        end, head = exchange.response_end, exchange.response
        assert spoken.response is not None
        body, spoken.body = b"".join(spoken.body), []
        first_ns = exchange.first_byte_ns or (head.ktime_ns if head else 0)
        if spoken.response.capped and spoken.link is not None and end is not None:
            self._counts["rpc", "truncated_messages", "too_long"] += 1
            cut = (None, body, UNKNOWN)
            self._received(exchange, spoken, [cut], first_ns, end.ktime_ns, end.wire_bytes)
            return
        if end is None or not end.complete or spoken.response.failed or spoken.response.capped:
            return
        if spoken.operation is not None or spoken.asks_card:
            self._result(exchange, spoken, body, first_ns, end.ktime_ns, failed=False)
        elif MARK in body:
            self._received(exchange, spoken, members(body), first_ns, end.ktime_ns)

    def _received(
        self,
        exchange: Exchange,
        spoken: SpokenExchange,
        found: Members,
        first_ns: int,
        last_ns: int,
        truncated_bytes: int | None = None,
    ) -> None:
        """Messages came from the server."""
        link = spoken.link or self._link(exchange, spoken, [])
        if found:
            self._confirm(spoken, link)
        for index, member, fields in found:
            cut = truncated_bytes is not None
            message = RpcMessage(
                spoken.received,
                index,
                *fields,
                truncated_bytes if truncated_bytes is not None else len(member),
                None if cut else member,
                first_ns,
                last_ns,
            )
            row = self._row(exchange, link, message, "response", spoken.received)
            spoken.received += 1
            if message.about.tells_who:
                self._links.tell(link, message.about)
            key = self._links.paired(
                link,
                row,
                to_server=False,
                asked=spoken.asked,
                cancels=message.about.cancels,
            )
            if key is not None:
                spoken.answered.add(key)

    def _result(
        self,
        exchange: Exchange,
        spoken: SpokenExchange,
        body: bytes,
        first_ns: int,
        last_ns: int,
        *,
        failed: bool,
    ) -> None:
        """The answer to an operation that was told by method and path, or one event of it."""
        head, link = exchange.response, spoken.link
        payload = parse_object(body)
        if head is None or link is None or payload is None:
            return
        if spoken.asks_card:
            self._card(exchange, spoken, link, payload)
            if not spoken.confirmed:
                return
        error = payload.get("error")
        if failed or head.status >= 400 or isinstance(error, dict):
            about = about_error(error if isinstance(error, dict) else payload)
            fields = Fields("error", is_error=True, about=about)
        else:
            fields = Fields("response", is_error=False, about=about_result(payload))
        self._received(exchange, spoken, [(None, body, fields)], first_ns, last_ns)

    def _card(
        self, exchange: Exchange, spoken: SpokenExchange, link: Link, payload: object
    ) -> None:
        """What came may be an agent's card; then its request is shown too."""
        card = a2a.card_of(payload)
        if card is None:
            return
        self._links.card(exchange, card)
        self._links.tell(link, about_card(card))
        self._confirm(spoken, link)
        assert spoken.card is not None
        spoken.asked[""] = self._row(exchange, link, spoken.card, "request", spoken.sent)

    def _given_up(self, exchange: Exchange, spoken: SpokenExchange) -> None:
        """MCP 2026-07-28: closing the response's stream gives up the request."""
        end = exchange.response_end
        lost = exchange.lost_bytes or exchange.response_gaps
        if self._capture_ends or lost or (end is not None and end.complete):
            return
        for rpc_id, row in spoken.asked.items():
            if rpc_id not in spoken.answered and spoken.link is not None:
                self._links.changed(spoken.link, replace(row, cancelled=True))

    # Rows

    def _confirm(self, spoken: SpokenExchange, link: Link) -> None:
        spoken.confirmed = True
        self._links.use(link)

    def _row(
        self, exchange: Exchange, link: Link, message: RpcMessage, side: str, index: int
    ) -> RpcMessageRow:
        key = exchange.connection
        channel = link.asking if side == "request" else link.answering
        place = (
            f"{self._info.capture_id}:{key.tgid}:{key.start_ns}:{key.handle}:{key.epoch}:"
            f"{exchange.number}:{side}:{index}"
        )
        status = (exchange.response.status or None) if exchange.response else None
        self._counts["rpc", "messages", ""] += 1
        return self._rows.message(channel.channel_id, place, message, http_status=status)
