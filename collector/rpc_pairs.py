"""Two that speak JSON-RPC with each other: which response answers which request.

In: the rows of both directions, each with who sent it. Out: the same rows, a response with its
request, and a request that was given up as such. Who is client and who is server is told by
methods that only one of them sends.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import NamedTuple

from collector.rows import RpcMessageRow

OPEN_REQUESTS = 10_000
EARLY_RESPONSES = 1000
# Two processors may tell of a request after its response, but not by much.
DISORDER_NS = 1_000_000_000

# Model Context Protocol, "Lifecycle", "Server features", "Client features"; LSP shares the first.
SENT_BY_CLIENTS = frozenset(
    {
        "initialize",
        "initialized",
        "notifications/initialized",
        "notifications/roots/list_changed",
        "server/discover",
        "subscriptions/listen",
        "tools/list",
        "tools/call",
        "resources/list",
        "resources/read",
        "resources/subscribe",
        "resources/unsubscribe",
        "resources/templates/list",
        "prompts/list",
        "prompts/get",
        "completion/complete",
        "logging/setLevel",
    }
)
SENT_BY_SERVERS = frozenset(
    {
        "sampling/createMessage",
        "elicitation/create",
        "roots/list",
        "notifications/message",
        "notifications/subscriptions/acknowledged",
        "notifications/tools/list_changed",
        "notifications/resources/list_changed",
        "notifications/resources/updated",
        "notifications/prompts/list_changed",
    }
)


class Process(NamedTuple):
    """A process, for as long as the machine is up."""

    pid: int
    start_ns: int


def role_of_sender(method: str | None) -> str | None:
    """`client` or `server`, when only that one sends this method."""
    if method in SENT_BY_CLIENTS:
        return "client"
    return "server" if method in SENT_BY_SERVERS else None


class Pair:
    """What is open between two. Of too many open requests the oldest is forgotten."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[Process, str], RpcMessageRow] = OrderedDict()
        self._early: OrderedDict[tuple[Process, str], RpcMessageRow] = OrderedDict()

    def message(
        self, row: RpcMessageRow, writer: Process, reader: Process, cancels: str | None = None
    ) -> RpcMessageRow | None:
        """The response that this message is, or that came before it, with its request; or the
        request, still open, that it `cancels`."""
        if cancels is not None:
            return self._cancel((writer, cancels))
        if row.rpc_id is None:
            return None
        if row.kind == "request":
            key = (writer, row.rpc_id)
            early = self._early.pop(key, None)
            if early is not None and _in_order(row, early):
                return answered(row, early)
            _put(self._open, key, row, OPEN_REQUESTS)
        elif row.kind in ("response", "error"):
            key = (reader, row.rpc_id)
            request = self._open.get(key)
            if request is not None and _in_order(request, row):
                del self._open[key]
                return answered(request, row)
            _put(self._early, key, row, EARLY_RESPONSES)
        return None

    def changed(self, request: RpcMessageRow, writer: Process) -> RpcMessageRow:
        """More is known of a request: what is known of it in all."""
        key = (writer, request.rpc_id or "")
        known = self._open.get(key)
        if known is not None and known.message_id == request.message_id:
            if known.cancelled:
                request = replace(request, cancelled=True)
            self._open[key] = request
        return request

    def settled(self, request: RpcMessageRow, writer: Process) -> None:
        """A request was answered elsewhere."""
        key = (writer, request.rpc_id or "")
        known = self._open.get(key)
        if known is not None and known.message_id == request.message_id:
            del self._open[key]

    def _cancel(self, key: tuple[Process, str]) -> RpcMessageRow | None:
        request = self._open.get(key)
        if request is None:
            return None
        self._open[key] = request = replace(request, cancelled=True)
        return request


def _in_order(request: RpcMessageRow, response: RpcMessageRow) -> bool:
    return request.started_ns <= response.ended_ns + DISORDER_NS


def answered(request: RpcMessageRow, response: RpcMessageRow) -> RpcMessageRow:
    """The response, with the request that it answers."""
    return replace(response, answers=request.message_id, method=request.method, tool=request.tool)


def _put(
    rows: OrderedDict[tuple[Process, str], RpcMessageRow],
    key: tuple[Process, str],
    row: RpcMessageRow,
    limit: int,
) -> None:
    rows[key] = row
    rows.move_to_end(key)
    if len(rows) > limit:
        rows.popitem(last=False)
