"""LLM calls: exchanges that an API of `collector.llm` recognises, turned into rows.

In: an `ExchangeObserver`'s events. Out: `CallRow`, `ToolCallRow`, `SessionRow` and the rows of
`collector.conversations`, in a `Batch`. A call is written when its request was sent, again when
its first token came, and finally at its end; a tool call when the model made it, and again when
a later request of its session carries the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import orjson

from collector import pricing
from collector.capture_info import CaptureInfo
from collector.content_sightings import ContentSightings
from collector.conversations import Conversations, MessageList, digest
from collector.exchange import WEBSOCKET, Exchange, SocketMessage
from collector.http.codings import ContentDecoder
from collector.http.events import Headers, header
from collector.identity import Identity, identify
from collector.llm.api import Api, ResponseDecoder
from collector.llm.fields import parse_object, word
from collector.llm.model import LlmRequest, LlmResponse, ToolResults
from collector.llm.rate_limits import all_limits, retry_after_s, stored
from collector.llm.registry import match, match_body, match_socket, provider_of
from collector.llm.token_estimate import ESTIMATED, OUTPUT_ESTIMATED, REPORTED, completed
from collector.processes import ProcessTable
from collector.redaction import TextRedactor
from collector.request_headers import (
    attempt_of,
    credential_of,
    idempotency_key_of,
    initiator_of,
)
from collector.retries import Retries
from collector.rows import Batch, CallRow
from collector.running_answers import Heard, RunningAnswers
from collector.session_origins import Opening, user_texts
from collector.sessions import Sessions
from collector.socket_calls import SocketCalls
from collector.tool_calls import ToolCalls

REQUEST_LIMIT_BYTES = 64 << 20
RESPONSE_LIMIT_BYTES = 256 << 20
_WITHOUT_CONVERSATION = ("embeddings", "rerank")
_NO_REQUEST = LlmRequest(request_model=None, stream=False)
_NO_MESSAGES = MessageList(None, (), 0)


@dataclass(slots=True)
class _Call:
    """A call in progress: what decodes it, and its row as it stands."""

    api: Api | None  # None: the body will tell
    content: ContentDecoder
    parts: list[bytes] = field(default_factory=list)
    size_bytes: int = 0
    request: LlmRequest = _NO_REQUEST
    messages: MessageList = _NO_MESSAGES
    decoder: ResponseDecoder | None = None
    response_content: ContentDecoder | None = None
    row: CallRow | None = None
    first_token_shown: bool = False
    heard_ns: int = 0  # when the last of its answer came


class CallTracker:
    """Follows every exchange that may be an LLM call. Not thread-safe."""

    def __init__(
        self,
        info: CaptureInfo,
        processes: ProcessTable,
        redact: TextRedactor,
        *,
        content: bool,
        overrides: tuple[pricing.Override, ...] = (),
        undecoded: Callable[[str, int], None],
        sightings: ContentSightings | None = None,
        running_answers: RunningAnswers | None = None,
    ) -> None:
        self.batch = Batch()
        self._info = info
        self._processes = processes
        self._redact = redact
        self._content = content
        self._overrides = overrides
        self._undecoded = undecoded
        self._sightings = sightings
        self._running_answers = running_answers if content else None
        self._sessions = Sessions()
        self._conversations = Conversations(redact, content=content)
        self._running: dict[str, tuple[Exchange, _Call]] = {}
        self._calls: dict[str, CallRow] = {}
        self._tools = ToolCalls(redact, info.wall_ns, content=content)
        self._retries = Retries()
        self._sockets = SocketCalls(self, undecoded)

    def take(self) -> Batch:
        """Everything that is new since the last call, the state of running calls included."""
        for call_id, (exchange, call) in self._running.items():
            if not call.first_token_shown and call.decoder is not None and call.row is not None:
                response = call.decoder.snapshot()
                if response.first_token_ns is not None:
                    call.first_token_shown = True
                    self._calls[call_id] = self._filled(exchange, call.row, response)
        batch, self.batch = self.batch, Batch()
        batch.calls = list(self._calls.values())
        if self._running_answers is not None:
            heard = (
                Heard(call_id, call.heard_ns, call.decoder)
                for call_id, (_, call) in self._running.items()
                if call.decoder is not None
            )
            batch.running_answers = self._running_answers.take(
                heard, self._info.wall_ns, urgent=self.answered
            )
        batch.tool_calls = self._tools.take()
        self._calls = {}
        return batch

    @property
    def answered(self) -> bool:
        """Was a result of a tool call told since the last `take`?"""
        return self._tools.answered

    # Follower

    def request_started(self, exchange: Exchange) -> bool:
        """An exchange whose head could be a call is followed."""
        if exchange.protocol == WEBSOCKET:
            return False
        api = match(exchange.request)
        if api is None and match_socket(exchange.request) is not None:
            return True
        if api is None and exchange.request.target:
            return False
        coding = header(exchange.request.headers, "content-encoding")
        exchange.state = _Call(api, ContentDecoder(coding, REQUEST_LIMIT_BYTES))
        return True

    def request_body(self, exchange: Exchange, data: bytes) -> None:
        """The body is kept until it is whole; beyond the limit it is not."""
        call: _Call | None = exchange.state
        if call is not None and call.size_bytes < REQUEST_LIMIT_BYTES:
            plain = call.content.feed(data)
            call.size_bytes += len(plain)
            call.parts.append(plain)

    def request_ended(self, exchange: Exchange) -> None:
        """The request is parsed and the call is known to run."""
        call: _Call | None = exchange.state
        if call is None or exchange.request_end is None:
            return
        call.parts.append(call.content.finish())
        body, call.parts = b"".join(call.parts), []
        whole = (
            exchange.request_end.complete and not call.content.failed and not call.content.capped
        )
        if call.api is None and whole:
            call.api = match_body(parse_object(body) or {})
        # What is around a hole may well parse, as something that nobody asked.
        request = call.api.parse_request(exchange.request, body) if call.api and whole else None
        if request is None and whole:
            exchange.state = None  # not of that API's shape after all
            return
        if call.api is None:
            exchange.state = None
            return
        if not whole:
            self._undecoded("request_body", call.content.undecoded_bytes)
        call.request = request or _NO_REQUEST
        self._begin(exchange, call)

    def response_started(self, exchange: Exchange) -> None:
        """The answer to a followed request begins."""
        call: _Call | None = exchange.state
        if call is None or call.api is None or exchange.response is None:
            return
        call.decoder = call.api.response_decoder(exchange.response, call.request)
        coding = header(exchange.response.headers, "content-encoding")
        call.response_content = ContentDecoder(coding, RESPONSE_LIMIT_BYTES)

    def response_body(self, exchange: Exchange, data: bytes, ktime_ns: int) -> None:
        """Body bytes go to the decoder as they come."""
        call: _Call | None = exchange.state
        if call is not None and call.decoder is not None and call.response_content is not None:
            call.heard_ns = ktime_ns
            feed = call.decoder.feed
            call.response_content.feed_to(lambda plain: feed(plain, ktime_ns), data)

    def exchange_ended(self, exchange: Exchange, ktime_ns: int) -> bool:
        """The call is written for good."""
        call: _Call | None = exchange.state
        if call is not None and call.row is None:
            whole = exchange.request_end is not None and exchange.request_end.complete
            if whole or call.api is None:
                call = None
            else:
                self._begin(exchange, call)
        if call is not None:
            self._finish(exchange, call, ktime_ns)
            exchange.state = None  # what its connection carries after an upgrade is no part of it
            return True
        head = exchange.response
        opened = exchange.request.method == "CONNECT" and head is not None and head.status < 300
        return opened or (head is not None and head.status == 101)

    def socket_message(self, exchange: Exchange, message: SocketMessage) -> None:
        """A message may begin a call, be part of its response, or end it."""
        self._sockets.message(exchange, message)

    def socket_closed(self, exchange: Exchange, ktime_ns: int) -> None:
        """A call under way is cut."""
        self._sockets.closed(exchange, ktime_ns)

    def socket_request(self, exchange: Exchange, api: Api, body: bytes) -> None:
        """A call begins that `collector.socket_calls` has found."""
        exchange.state = _Call(api, ContentDecoder(None, REQUEST_LIMIT_BYTES))
        self.request_body(exchange, body)
        self.request_ended(exchange)

    # Rows

    def _begin(self, exchange: Exchange, call: _Call) -> None:
        """The first row of a call: status `running`."""
        key, head, request = exchange.connection, exchange.request, call.request
        assert call.api is not None
        call_id = call_id_of(self._info, exchange)
        started_ns = self._info.wall_ns(head.ktime_ns)
        identity = identify(head.headers, request.params, request)
        comm = self._processes.comm(key.tgid)
        if identity.agent is None:
            identity = replace(identity, agent=comm)
        process_key = self._processes.key(key.tgid, key.start_ns)
        call.messages = self._conversations.request(request, self.batch, started_ns)
        tool_set = self._conversations.tool_set(request.tools, self.batch)
        opening = Opening(user_texts(request.messages), call.messages.system, tool_set)
        session_id = self._session(
            call_id, identity, call, process_key, key.tgid, started_ns, opening
        )
        self._processes.link(key.tgid, self._sessions.family_of(session_id, key.tgid))
        end, origin = exchange.request_end, exchange.origin
        attempt = attempt_of(head.headers)
        call.row = CallRow(
            call_id=call_id,
            session_id=session_id,
            agent=identity.agent,
            agent_version=identity.agent_version,
            pid=key.tgid,
            comm=comm,
            provider=provider_of(head, call.api),
            api=call.api.name,
            model=None,
            request_model=request.request_model,
            host=header(head.headers, "host") or header(head.headers, ":authority"),
            started_ns=started_ns,
            first_byte_ns=None,
            first_token_ns=None,
            ended_ns=None,
            status="running",
            http_status=None,
            error_type=None,
            error_message=None,
            stream=request.stream or exchange.protocol == WEBSOCKET,
            complete=False,
            input_tokens=None,
            output_tokens=None,
            cache_read_tokens=None,
            cache_write_tokens=None,
            reasoning_tokens=None,
            cost_usd=None,
            cost_source=None,
            finish_reason=None,
            tool_call_count=0,
            request_bytes=end.wire_bytes if end else 0,
            response_bytes=None,
            lost_bytes=exchange.lost_bytes,
            response_id=None,
            provider_request_id=None,
            retry_of=self._retries.begun(
                call_id,
                call.messages.leaf
                and (session_id, call.messages.leaf, request.request_model, tool_set),
                idempotency_key_of(head.headers),
                attempt,
            ),
            credential=credential_of(head.headers),
            params=self._params(request),
            rate_limits=None,
            input_node=call.messages.leaf,
            output_node=None,
            tool_set=tool_set,
            tls_stack=origin.tls_stack,
            local_address=origin.local_address,
            remote_address=origin.remote_address,
            capture_id=self._info.capture_id,
            operation=request.operation or call.api.operation,
            protocol=exchange.protocol,
            initiator=initiator_of(head.headers),
            attempt=attempt,
            service_tier=_asked_tier(request),
        )
        self._calls[call_id] = call.row
        self._running[call_id] = (exchange, call)
        if self._sightings is not None:
            self._sightings.call(call.row, exchange, request, call.messages.resent)
        results = request.tool_results
        if isinstance(results, ToolResults):  # the others were told when they were new
            results = results.behind(call.messages.resent)
        for result in results:
            self._tools.answer(session_id, result, call_id, started_ns)

    def _session(
        self,
        call_id: str,
        identity: Identity,
        call: _Call,
        process_key: str,
        pid: int,
        started_ns: int,
        opening: Opening,
    ) -> str:
        return self._sessions.assign(
            call_id=call_id,
            identity=identity,
            lineage=call.messages.lineage,
            previous_response_id=call.request.previous_response_id,
            process_key=process_key,
            pid=pid,
            started_ns=started_ns,
            batch=self.batch,
            conversation=call.api is None or call.api.operation not in _WITHOUT_CONVERSATION,
            opening=opening,
            above=lambda: self._processes.spoken_above(pid),
            ended=self._processes.is_gone,
        )

    def _params(self, request: LlmRequest) -> str | None:
        if not self._content:
            return None
        try:
            return self._redact(orjson.dumps(request.params).decode())
        except (TypeError, orjson.JSONEncodeError):
            return None

    def _filled(self, exchange: Exchange, row: CallRow, response: LlmResponse) -> CallRow:
        """The row with what the response says, as far as it has come."""
        usage, head = response.usage, exchange.response
        wall = self._info.wall_ns
        return replace(
            row,
            model=response.model,
            first_byte_ns=None if exchange.first_byte_ns is None else wall(exchange.first_byte_ns),
            first_token_ns=None
            if response.first_token_ns is None
            else wall(response.first_token_ns),
            http_status=(head.status or None) if head else None,
            input_tokens=usage.input_tokens if usage else None,
            output_tokens=usage.output_tokens if usage else None,
            cache_read_tokens=usage.cache_read_tokens if usage else None,
            cache_write_tokens=usage.cache_write_tokens if usage else None,
            reasoning_tokens=usage.reasoning_tokens if usage else None,
            finish_reason=response.finish_reason,
            tool_call_count=len(response.tool_calls),
            response_id=response.response_id,
            service_tier=response.service_tier or row.service_tier,
        )

    def _finish(self, exchange: Exchange, call: _Call, ktime_ns: int) -> None:
        row = call.row
        if row is None:
            return
        self._running.pop(row.call_id, None)
        if self._running_answers is not None:
            self._running_answers.ended(row.call_id, self._info.wall_ns(ktime_ns))
        content, end = call.response_content, exchange.response_end
        response = LlmResponse()
        usage_source: str | None = None
        if call.decoder is not None and content is not None:
            rest = content.finish()
            if rest:
                call.decoder.feed(rest, ktime_ns)
            self._undecoded("response_body", content.undecoded_bytes)
            intact = exchange.complete and not content.failed and not content.capped
            response = call.decoder.finish(intact)
            self._undecoded("response_events", call.decoder.skipped_bytes)
            if not (exchange.lost_bytes or content.failed or content.capped):
                usage, usage_source = completed(call.request, response)
                response = replace(response, usage=usage)
            elif response.usage is not None:
                usage_source = REPORTED
        row = self._filled(exchange, row, response)
        wall = self._info.wall_ns
        http_status = row.http_status or 0
        complete = exchange.complete and response.complete
        error_type = response.error.error_type if response.error else None
        if error_type is None and http_status >= 400:
            error_type = str(http_status)
        status = "error" if error_type else "ok" if complete else "incomplete"
        model = pricing.billed_model(response.model, row.request_model, row.provider, row.host)
        cost = pricing.price(
            response.usage,
            model,
            row.provider,
            row.host,
            row.started_ns / 1e9,
            self._overrides,
            tier=row.service_tier,
            speed=response.speed,
            estimated=usage_source in (ESTIMATED, OUTPUT_ESTIMATED),
        )
        head = exchange.response
        headers = head.headers if head else ()
        answered_s = wall(head.ktime_ns if head else ktime_ns) / 1e9
        wait_s = retry_after_s(headers, answered_s)
        if wait_s is None and response.error is not None:
            wait_s = response.error.retry_after_s
        message = response.error.message if response.error and self._content else None
        answered = self._conversations.extend(
            call.messages, response.output, self.batch, row.started_ns
        )
        if status == "ok":
            self._conversations.answered(
                answered, response.response_id, call.request.conversation_id
            )
        row = replace(
            row,
            ended_ns=wall(end.ktime_ns if end else ktime_ns),
            status=status,
            error_type=error_type,
            error_message=self._redact(message) if message else None,
            stream=row.stream or response.first_token_ns is not None,
            complete=complete,
            cost_usd=cost.cost_usd,
            cost_source=cost.source,
            usage_source=usage_source,
            retry_after_s=wait_s,
            response_bytes=end.wire_bytes if end else None,
            lost_bytes=exchange.lost_bytes,
            provider_request_id=_first(
                head.headers, "request-id", "x-request-id", "x-amzn-requestid"
            )
            if head
            else None,
            rate_limits=stored(headers, all_limits(headers, response.limit_events, answered_s)),
            output_node=answered.leaf if response.output else None,
            chunk_ns=tuple(wall(at) - row.started_ns for at in response.chunk_ns),
        )
        call.row = row
        self._calls[row.call_id] = row
        self._remember(exchange, call, row, response)
        for index, tool_call in enumerate(response.tool_calls):
            self._tools.asked(row, index, tool_call)
            self._sessions.origins.asked(row.session_id, tool_call.arguments)

    def _remember(
        self, exchange: Exchange, call: _Call, row: CallRow, response: LlmResponse
    ) -> None:
        """What later requests may refer to: an answered list, or a failure to be retried."""
        self._retries.ended(row.call_id, ok=row.status == "ok")
        if row.status == "ok":
            connection = exchange.connection
            process_key = self._processes.key(connection.tgid, connection.start_ns)
            self._sessions.answered(
                session_id=row.session_id,
                lineage=call.messages.lineage,
                process_key=process_key,
                response_id=response.response_id,
            )
            opening = Opening((), call.messages.system, row.tool_set)
            self._sessions.origins.answered(row.session_id, process_key, response.output, opening)


def call_id_of(info: CaptureInfo, exchange: Exchange) -> str:
    """The id of the call that an exchange is, or would be."""
    key = exchange.connection
    number = exchange.number if exchange.turn is None else f"{exchange.number}.{exchange.turn}"
    name = f"{info.boot_id}:{key.tgid}:{key.start_ns}:{key.handle}:{key.epoch}:{number}"
    return "c" + digest(name.encode())[:16]


def _first(headers: Headers, *names: str) -> str | None:
    return next((value for name in names if (value := header(headers, name))), None)


def _asked_tier(request: LlmRequest) -> str | None:
    return word(request.params, "service_tier") or word(request.params, "serviceTier")
