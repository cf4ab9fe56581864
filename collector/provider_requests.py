"""Requests to providers that infer nothing, turned into rows.

In: exchanges that no LLM call claims and whose method and path are those of a `RequestKind`.
Out: `ProviderRequestRow`s, each written when its exchange has ended. They belong to no session
of their own and count as no call; their tokens and prices are no usage.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from collector.capture_info import CaptureInfo
from collector.conversations import digest
from collector.exchange import WEBSOCKET, Exchange, SocketMessage
from collector.http.codings import ContentDecoder
from collector.http.events import header
from collector.identity import identify
from collector.llm.endpoint import host_of, path_of
from collector.llm.fields import error_of, parse_object
from collector.llm.model import Json, JsonObject, LlmError, LlmRequest
from collector.llm.registry import known_provider, match_request, model_provider
from collector.llm.request_kinds import FILE_UPLOAD, LINES, NOTHING, Facts, RequestKind
from collector.processes import ProcessTable
from collector.redaction import TextRedactor
from collector.request_headers import credential_of
from collector.rows import Batch, ProviderRequestRow

BODY_LIMIT_BYTES = 4 << 20
_DECODED_LIMIT_BYTES = 1 << 30
_NAME_CHARS = 1_000
_LINE_MARK = b'"custom_id"'  # once in each request of a batch, and in each result


class _Body:
    """A message's body: its beginning, and how many lines of a batch go by."""

    __slots__ = ("_content", "_last", "_parts", "_tail", "lines", "marks", "size_bytes")

    def __init__(self, coding: str | None) -> None:
        self._content = ContentDecoder(coding, _DECODED_LIMIT_BYTES)
        self._parts: list[bytes] = []
        self._tail = b""
        self._last = b"\n"
        self.lines = 0
        self.marks = 0
        self.size_bytes = 0

    def feed(self, data: bytes) -> None:
        self._content.feed_to(self._take, data)

    def finish(self) -> None:
        self._take(self._content.finish())
        self.lines += self._last != b"\n"

    def _take(self, plain: bytes) -> None:
        if not plain:
            return
        if self.size_bytes < BODY_LIMIT_BYTES:
            self._parts.append(plain[: BODY_LIMIT_BYTES - self.size_bytes])
        self.size_bytes += len(plain)
        self.lines += plain.count(b"\n")
        self.marks += (self._tail + plain).count(_LINE_MARK)
        self._tail = (self._tail + plain)[1 - len(_LINE_MARK) :]
        self._last = plain[-1:]

    @property
    def start(self) -> bytes:
        """The first `BODY_LIMIT_BYTES`."""
        self._parts = [b"".join(self._parts)]
        return self._parts[0]

    @property
    def whole(self) -> bytes:
        """All of it; nothing when it is longer than the limit."""
        decoded = not self._content.failed and not self._content.capped
        return self.start if decoded and self.size_bytes <= BODY_LIMIT_BYTES else b""


@dataclass(slots=True)
class _Request:
    """A request under way, and the kinds that it may be of."""

    kinds: tuple[tuple[str, RequestKind], ...]
    known: bool  # the host is a provider's
    request: _Body
    response: _Body = field(default_factory=lambda: _Body(None))


class ProviderRequests:
    """A `Follower` of `collector.exchange_router`. Not thread-safe."""

    def __init__(
        self, info: CaptureInfo, processes: ProcessTable, redact: TextRedactor, *, content: bool
    ) -> None:
        self._info = info
        self._processes = processes
        self._redact = redact
        self._content = content
        self._rows: list[ProviderRequestRow] = []

    def take(self, batch: Batch) -> None:
        """Move what is new since the last call to the batch."""
        batch.provider_requests, self._rows = self._rows, []

    # Follower

    def request_started(self, exchange: Exchange) -> bool:
        """Method and path decide whether it may be one."""
        head = exchange.request
        if exchange.protocol == WEBSOCKET or not head.target:
            return False
        kinds = match_request(head)
        if not kinds:
            return False
        known = model_provider(host_of(head) or "") is not None
        exchange.state = _Request(kinds, known, _Body(header(head.headers, "content-encoding")))
        return True

    def request_body(self, exchange: Exchange, data: bytes) -> None:
        """Kept up to a limit."""
        exchange.state.request.feed(data)

    def request_ended(self, exchange: Exchange) -> None:
        """Nothing is known of it until it is answered."""

    def response_started(self, exchange: Exchange) -> None:
        """The answer begins."""
        if exchange.response is not None:
            coding = header(exchange.response.headers, "content-encoding")
            exchange.state.response = _Body(coding)

    def response_body(self, exchange: Exchange, data: bytes, ktime_ns: int) -> None:
        """Kept up to a limit."""
        exchange.state.response.feed(data)

    def exchange_ended(self, exchange: Exchange, ktime_ns: int) -> bool:
        """The request is written, if its answer shows that it was one."""
        state: _Request = exchange.state
        state.request.finish()
        state.response.finish()
        sent = parse_object(state.request.whole) or {}
        status = exchange.response.status if exchange.response else 0
        found = _recognised(state, sent, status)
        if found is None:
            return False
        provider, kind, facts = found
        self._rows.append(self._row(exchange, ktime_ns, provider, kind, facts, sent))
        return True

    def socket_message(self, exchange: Exchange, message: SocketMessage) -> None:
        """None of these requests opens a WebSocket."""

    def socket_closed(self, exchange: Exchange, ktime_ns: int) -> None:
        """None of these requests opens a WebSocket."""

    # Rows

    def _row(
        self,
        exchange: Exchange,
        ktime_ns: int,
        provider: str,
        kind: RequestKind,
        facts: Facts,
        sent: JsonObject,
    ) -> ProviderRequestRow:
        key, head, end = exchange.connection, exchange.request, exchange.response_end
        state: _Request = exchange.state
        identity = identify(head.headers, sent, LlmRequest(None, False))
        comm = self._processes.comm(key.tgid)
        error = _error(exchange, state)
        message = error.message if error and self._content else None
        name = f"{self._info.boot_id}:{key.tgid}:{key.start_ns}:{key.handle}:{key.epoch}"
        path = kind.path.search(path_of(head))
        groups = path.groupdict() if path else {}
        started_ns = self._info.wall_ns(head.ktime_ns)
        return ProviderRequestRow(
            request_id="q" + digest(f"{name}:{exchange.number}".encode())[:16],
            capture_id=self._info.capture_id,
            session_id=identity.session_id,
            pid=key.tgid,
            comm=comm,
            agent=identity.agent or comm,
            agent_version=identity.agent_version,
            provider=known_provider(head) or provider,
            host=header(head.headers, "host") or header(head.headers, ":authority"),
            kind=kind.name,
            model=_clipped(facts.model or groups.get("model")),
            started_ns=started_ns,
            ended_ns=self._info.wall_ns(end.ktime_ns if end else ktime_ns),
            http_status=exchange.response.status if exchange.response else None,
            status="error" if error else "ok" if exchange.complete else "incomplete",
            error_type=error.error_type if error else None,
            error_message=self._redact(message) if message else None,
            counted_tokens=facts.counted_tokens,
            item_count=facts.item_count,
            batch_id=_clipped(facts.batch_id or groups.get("batch")),
            batch_status=_clipped(facts.batch_status),
            request_bytes=exchange.request_end.wire_bytes if exchange.request_end else 0,
            response_bytes=end.wire_bytes if end else None,
            credential=credential_of(head.headers),
            protocol=exchange.protocol,
        )


def _recognised(
    state: _Request, sent: JsonObject, status: int
) -> tuple[str, RequestKind, Facts] | None:
    """Whose request of which kind it was; None when its answer is that of something else."""
    answer = _json(state.response.whole)
    if 200 <= status < 300:
        for provider, kind in state.kinds:
            facts = _read(kind, state, sent, answer)
            if facts is not None and (state.known or kind.distinct or facts.item_count != 0):
                return provider, kind, facts
    unread = answer is None or not 200 <= status < 300
    for provider, kind in state.kinds:
        if kind.distinct or (state.known and unread):
            return provider, kind, NOTHING
    return None


def _read(kind: RequestKind, state: _Request, sent: JsonObject, answer: Json) -> Facts | None:
    if kind.name in LINES:
        first = _json(state.response.start.partition(b"\n")[0])
        facts = kind.read(sent, first)
        return facts and facts._replace(item_count=state.response.lines)
    facts = kind.read(sent, answer)
    if facts is not None and kind.name == FILE_UPLOAD and state.request.marks:
        return facts._replace(item_count=state.request.marks)
    return facts


def _error(exchange: Exchange, state: _Request) -> LlmError | None:
    status = exchange.response.status if exchange.response else 0
    if status < 400:
        return None
    text = state.response.start[:_NAME_CHARS].decode("utf-8", "replace").strip()
    return error_of(_json(state.response.whole) or text, str(status))


def _json(body: bytes) -> Json:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _clipped(name: str | None) -> str | None:
    return name[:_NAME_CHARS] if name else None
