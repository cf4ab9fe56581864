"""How an exchange of JSON-RPC over HTTP, or of A2A, is told from others, and what is known of it.

In: request heads and the first bytes of bodies. Out: `SpokenExchange`, the state that
`collector.rpc_http` keeps in the exchange. A head alone rarely tells: what it allows is `likely` or
only possible, and a possible body is looked at while it comes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from collector import a2a
from collector.http.codings import ContentDecoder
from collector.http.events import RequestHead, header
from collector.http.sse import SseDecoder
from collector.rows import RpcMessageRow
from collector.rpc_about import A2A, MCP, About, text
from collector.rpc_links import Link
from collector.rpc_messages import Fields, RpcMessage, batch_members, read_fields

EARLY_BYTES = 64 << 10  # a body that says nothing of JSON-RPC so far is something else
SESSION_HEADER = "mcp-session-id"
MARK = b'"jsonrpc"'

_BEGIN_BYTES = 128
_BEGIN = re.compile(rb'\s*\[?\s*\{\s*"(?:jsonrpc|id|method|params|result|error)"\s*:')

Members = list[tuple[int | None, bytes, Fields]]  # place in a batch, text, and what it says


@dataclass(slots=True)
class SpokenExchange:
    """An exchange that is followed. `likely`: its head, or its early bytes, say what it is."""

    likely: bool
    link: Link | None = None
    content: ContentDecoder | None = None  # of the request's body
    parts: list[bytes] = field(default_factory=list)
    size_bytes: int = 0
    asked_all: bool = False  # nothing more of the request is to come
    operation: a2a.Operation | None = None
    card: RpcMessage | None = None  # the request for an agent's card, shown if it is one
    asks_card: bool = False
    listens: bool = False  # GET of a stream
    confirmed: bool = False  # a message was read
    asked: dict[str, RpcMessageRow] = field(default_factory=dict)  # requests, by id
    answered: set[str] = field(default_factory=set)
    sent: int = 0  # messages, each way
    received: int = 0
    response: ContentDecoder | None = None
    stream: SseDecoder | None = None
    body: list[bytes] = field(default_factory=list)
    body_bytes: int = 0
    early: list[tuple[bytes, int]] = field(default_factory=list)  # came before the request ended
    early_bytes: int = 0
    gaps: int = 0
    foreign_events: int = 0

    def keep(self, data: bytes) -> bool:
        """Keep decoded bytes of the request's body; false when it is no message."""
        self.parts.append(data)
        before, self.size_bytes = self.size_bytes, self.size_bytes + len(data)
        if self.likely or before > EARLY_BYTES:
            return True
        if before < _BEGIN_BYTES <= self.size_bytes and not _BEGIN.match(self._first(_BEGIN_BYTES)):
            return False
        if self.size_bytes > EARLY_BYTES:
            self.likely = MARK in self._first(EARLY_BYTES)
            return self.likely
        return True

    def _first(self, size: int) -> bytes:
        if len(self.parts) > 1:
            self.parts = [b"".join(self.parts)]
        return self.parts[0][:size]


def may_speak(head: RequestHead) -> SpokenExchange | None:
    """What a head may begin, or None."""
    headers, method = head.headers, head.method
    accept = (header(headers, "accept") or "").lower()
    mcp = any(name.startswith("mcp-") for name, _ in headers)
    if method == "GET" and a2a.card_base(head) is not None:
        return SpokenExchange(likely=True, asks_card=True)
    operation = a2a.operation(head)
    if operation is not None and (operation.sure or method == "POST"):
        return SpokenExchange(likely=True, operation=operation)
    if method == "GET":
        listens = "text/event-stream" in accept
        return SpokenExchange(likely=mcp, listens=True) if listens else None
    if method == "DELETE" and header(headers, SESSION_HEADER) is not None:
        return SpokenExchange(likely=True, confirmed=True)
    content_type = (header(headers, "content-type") or "").partition(";")[0].strip().lower()
    if method != "POST" or not ("json" in content_type or mcp):
        return None
    both = "application/json" in accept and "text/event-stream" in accept
    return SpokenExchange(likely=both or mcp or a2a.says_a2a(head))


def said_by(head: RequestHead) -> About | None:
    """What the headers of a request say of the protocol."""
    version = text(header(head.headers, "mcp-protocol-version"))
    if version is not None:
        return About(MCP, version)
    version = text(header(head.headers, "a2a-version"))
    if version is not None:
        return About(A2A, version)
    if header(head.headers, SESSION_HEADER) is not None:
        return About(MCP)
    return About(A2A) if a2a.says_a2a(head) else None


def members(body: bytes) -> Members:
    """The messages of a body or event, each with its place in a batch."""
    body = body.strip(b" \t\r\n")
    if not body.startswith(b"["):
        fields = read_fields(body)
        return [] if fields is None else [(None, body, fields)]
    found: Members = []
    for index, member in enumerate(batch_members(body)[0]):
        fields = read_fields(member)
        if fields is not None:
            found.append((index, member, fields))
    return found
