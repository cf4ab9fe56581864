"""Reading a store: from the file, or from the collector that has it open.

In: the path of a store. Out: a `Reader` that answers SQL, and the queries that the CLI and the
dashboard ask, whose text is in `analysis/queries`. All of it only reads.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from analysis.result import Record, ResultSet, json_value, result_set
from collector.store_errors import (
    CollectorDiffers,
    CollectorForbidden,
    CollectorGone,
    QueryFailed,
    StoreLocked,
    StoreMissing,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from collector.read_query import Parameters
    from collector.store import Store

_QUERIES = Path(__file__).parent / "queries"
_ORDERS = {
    "agents": "last_seen_at, agent, agent_version, executable",
    "calls": "started_at, call_id",
    "connections": "first_at, network_event_id",
    "coverage": "rank, len(hosts) DESC, started_at NULLS FIRST, pid, stack, path",
    "files": "first_at, file_event_id",
    "health": "source, counter, cause",
    "processes": "started_at NULLS FIRST, pid",
    "requests": "started_at, request_id",
    "rpc": "started_at, position, message_id",
    "rpc_calls": "started_at, message_id",
    "sessions": "started_at, session_id",
    "tools": "requested_at, call_id, tool_call_id",
}


class _Select(Protocol):
    """Runs one read-only query."""

    def __call__(self, sql: str, parameters: Parameters) -> pa.Table: ...


@dataclass(frozen=True, slots=True)
class Reader:
    """Answers queries on one store. `source` says who answers: `file` or `collector pid N`."""

    path: Path
    source: str
    _select: _Select

    def rows(self, sql: str, parameters: Parameters = None) -> ResultSet:
        """Run one read-only query. `QueryFailed` when DuckDB refuses it."""
        return result_set(self._select(sql, parameters))

    @classmethod
    def of_store(cls, store: Store) -> Reader:
        """A reader in the process that writes, beside the writer."""
        from collector.read_query import Limits, read_query

        return cls(
            store.path,
            f"collector pid {os.getpid()}",
            lambda sql, parameters: read_query(store.cursor(), sql, parameters, Limits()),
        )


@contextmanager
def open_reader(path: str | os.PathLike[str]) -> Iterator[Reader]:
    """Open the store for reading; when a collector has it open, ask that collector.

    Raises `StoreMissing`, `NotAStore`, `StoreTooNew`, `StoreTooOld`, `StoreUnreadable` or
    `StoreLocked`, which names the owner.
    """
    from collector.ownership import is_owned, locked

    place = Path(os.path.abspath(path))
    if not place.exists():
        raise StoreMissing(place)
    with ExitStack() as opened:
        for last in (False, False, True):
            owned, owner = is_owned(place)
            if not owned:
                reader = opened.enter_context(_file_reader(place))
                break
            if owner is None or owner.socket is None:
                raise locked(place, owner, writing=False)
            try:
                reader = opened.enter_context(open_service(owner.socket))
                break
            except CollectorGone as error:
                if last:
                    raise locked(place, owner, writing=False) from error
        try:
            yield reader
        except CollectorGone as error:
            raise locked(place, is_owned(place)[1], writing=False) from error


@contextmanager
def open_service(socket: str) -> Iterator[Reader]:
    """Ask the collector that listens on `socket`; its store's file need not be in reach.

    Raises `CollectorGone` when none answers, also later; `CollectorForbidden`, or
    `CollectorDiffers` when its store's tables are of another version.
    """
    from collector.migrations import known_version
    from collector.query_client import QueryClient

    try:
        client = QueryClient(socket)
    except PermissionError as error:
        raise CollectorForbidden(socket) from error
    except OSError as error:
        raise CollectorGone(socket) from error
    with client:

        def select(sql: str, parameters: Parameters) -> pa.Table:
            try:
                return client.ask(sql, parameters)
            except ConnectionError as error:
                raise CollectorGone(socket) from error

        try:
            answering = client.about()
        except ConnectionError as error:
            raise CollectorGone(socket) from error
        if answering.schema != known_version():
            raise CollectorDiffers(answering.pid, answering.schema, known_version())
        yield Reader(answering.store, f"collector pid {answering.pid}", select)


@contextmanager
def _file_reader(path: Path) -> Iterator[Reader]:
    from collector.database import attach, run
    from collector.migrations import check_version
    from collector.read_query import Limits, read_query

    connection = attach(path, writing=False)
    try:
        check_version(connection, path, reading=True)

        def select(sql: str, parameters: Parameters) -> pa.Table:
            cursor = connection.cursor()
            run(cursor, "USE store")
            return read_query(cursor, sql, parameters, Limits())

        yield Reader(path, "file", select)
    finally:
        connection.close()


def sql(reader: Reader, text: str) -> ResultSet:
    """A query that the user wrote: read-only, and bounded in time and rows."""
    return reader.rows(text)


def calls(reader: Reader, since_ns: int | None = None, session: str | None = None) -> ResultSet:
    """LLM calls that started at or after `since_ns`, oldest first, as in the view `calls`."""
    return _listed(reader, "calls", since_ns, session)


def tools(reader: Reader, since_ns: int | None = None, session: str | None = None) -> ResultSet:
    """Tool calls requested at or after `since_ns`, oldest first, as in the view `tools`."""
    return _listed(reader, "tools", since_ns, session)


def processes(reader: Reader, since_ns: int | None = None, session: str | None = None) -> ResultSet:
    """Processes alive at or after `since_ns`, oldest first, as in the view `processes`."""
    return _listed(reader, "processes", since_ns, session)


def files(reader: Reader, since_ns: int | None = None, session: str | None = None) -> ResultSet:
    """File events not over before `since_ns`, oldest first, as in the view `file_events`."""
    return _listed(reader, "files", since_ns, session)


def connections(
    reader: Reader, since_ns: int | None = None, session: str | None = None
) -> ResultSet:
    """Network events not over before `since_ns`, oldest first, as in the view `network_events`."""
    return _listed(reader, "connections", since_ns, session)


def rpc(reader: Reader, since_ns: int | None = None, session: str | None = None) -> ResultSet:
    """JSON-RPC messages begun at or after `since_ns`, oldest first, as in `rpc_messages`.

    Those of a `session` are the ones that a process of it sent or received.
    """
    return _listed(reader, "rpc", since_ns, session)


def rpc_calls(reader: Reader, since_ns: int | None = None, session: str | None = None) -> ResultSet:
    """Requests over JSON-RPC or A2A, each with its answer, oldest first, as in `rpc_calls`.

    Those of a `session` are the ones that a process of it sent or received.
    """
    return _listed(reader, "rpc_calls", since_ns, session)


def requests(reader: Reader, since_ns: int | None = None, session: str | None = None) -> ResultSet:
    """Requests to providers that infer nothing, oldest first, as in `provider_requests`.

    Those of a `session` are the ones whose client named it.
    """
    return _listed(reader, "requests", since_ns, session)


def sessions(reader: Reader, since_ns: int | None = None, session: str | None = None) -> ResultSet:
    """Sessions active at or after `since_ns`, oldest first, as in the view `sessions`."""
    return _listed(reader, "sessions", since_ns, session)


def agents(reader: Reader, since_ns: int | None = None) -> ResultSet:
    """Agents seen at or after `since_ns`, the latest last, as in the view `agents`."""
    return reader.rows(_in_order("agents"), {"since_ns": since_ns})


def health(reader: Reader) -> ResultSet:
    """What was captured and what was lost, over all captures, as in the view `health`."""
    return reader.rows(_in_order("health"))


def coverage(reader: Reader) -> ResultSet:
    """Each process's TLS stacks, those that are not seen first, as in the view `coverage`."""
    return reader.rows(_in_order("coverage"))


def session_named(reader: Reader, beginning: str) -> str:
    """The session that is meant by its id or the beginning of it.

    `QueryFailed` when there is none, or more than one.
    """
    found = reader.rows(query("sessions_named"), {"beginning": beginning}).column("session_id")
    if not found or not beginning:
        raise QueryFailed(
            f"no session {beginning}", hint="`underglass sessions` lists the sessions"
        )
    if len(found) > 1 and found[0] != beginning:
        raise QueryFailed(
            f"several sessions begin with {beginning}: {', '.join(found)}...",
            hint="give more of the id",
        )
    return str(found[0])


def timeline(reader: Reader, session_id: str, kinds: Sequence[str] | None = None) -> ResultSet:
    """What happened in a session and its sub-agents, in order of time, as in `timeline`."""
    family = reader.rows(query("session_steps"), {"sessions": [session_id]}).column("session_id")
    asked = {f"session{number}": each for number, each in enumerate(family)}
    names = ", ".join(f"${name}" for name in asked)
    sql = query("timeline").replace("{sessions}", names)
    return reader.rows(sql, {**asked, "kinds": None if kinds is None else list(kinds)})


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a call. `side` is `input` or `output`; `body` is None without content.

    `node`: equal in two lists that are equal up to here.
    """

    position: int
    side: str
    kind: str | None
    role: str | None
    size_bytes: int | None
    content_hash: str
    body: Any
    node: str = ""


@dataclass(frozen=True, slots=True)
class RunningAnswer:
    """What a running call has said so far: messages in the provider's shape, cut where the answer
    has come to. `output_tokens` is estimated; `updated_at`: RFC 3339, when the last of it came."""

    messages: tuple[Any, ...]
    output_tokens: int | None
    updated_at: str


@dataclass(frozen=True, slots=True)
class CallDetail:
    """One call with everything that belongs to it. `chunk_ms` counts from the call's start.

    `running`: of a call whose answer comes just now.
    """

    call: Record
    messages: tuple[Message, ...]
    tool_schemas: tuple[Any, ...]
    tool_calls: ResultSet
    chunk_ms: tuple[float, ...]
    running: RunningAnswer | None = None


def call_detail(reader: Reader, call_id: str) -> CallDetail:
    """The call, its whole message list, tools offered and called, and chunk timings.

    `QueryFailed` when there is no such call.
    """
    about = {"call_id": call_id}
    call = _call(reader, call_id)
    ((begun_ns, until_ns),) = reader.rows(query("call_span"), about).rows
    span = {"begun_ns": begun_ns, "until_ns": until_ns}
    messages = reader.rows(query("call_messages"), about | span)
    contents = contents_of(reader, messages.column("content_hash"))
    schemas = reader.rows(query("call_tool_schemas"), about)
    chunks = reader.rows(query("call_chunks"), about)
    return CallDetail(
        call=call,
        messages=tuple(
            _message(position, side, contents.get(key), key, node)
            for position, side, key, node in messages
        ),
        tool_schemas=tuple(json_value(body, "JSON") for body in schemas.column("body")),
        tool_calls=reader.rows(query("call_tools"), about),
        chunk_ms=tuple(chunks.rows[0][0]) if chunks.rows else (),
        running=_running(reader, call_id) if call["status"] == "running" else None,
    )


def call_now(reader: Reader, call_id: str) -> tuple[Record, RunningAnswer | None]:
    """The call's facts, and what it has said so far: what changes while it runs."""
    return _call(reader, call_id), _running(reader, call_id)


def _call(reader: Reader, call_id: str) -> Record:
    found = reader.rows(query("call"), {"call_id": call_id}).records()
    if not found:
        raise QueryFailed(f"no call {call_id}", hint="`underglass calls` lists the calls")
    return found[0]


def _running(reader: Reader, call_id: str) -> RunningAnswer | None:
    for row in reader.rows(query("call_running"), {"call_id": call_id}).records():
        return RunningAnswer(tuple(row["body"] or ()), row["output_tokens"], row["updated_at"])
    return None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Calls of the same session: those before and after one, and the latest before it whose
    whole message list its own goes on from. None: there is none."""

    previous: str | None
    following: str | None
    continues: str | None


def call_neighbours(reader: Reader, detail: CallDetail) -> Neighbours:
    """What stands beside a call in its session."""
    nodes = [message.node for message in detail.messages if message.side == "input"]
    about = {"call_id": detail.call["call_id"], "nodes": nodes}
    return Neighbours(*reader.rows(query("call_neighbours"), about).rows[0])


def contents_of(
    reader: Reader, hashes: Iterable[str]
) -> dict[str, tuple[str | None, str | None, int | None, str | None]]:
    """Kind, role, size and body (JSON text) of contents, by hash; those that are not stored are
    left out."""
    asked = {"hashes": list(dict.fromkeys(hashes))}
    return {row[0]: tuple(row[1:]) for row in reader.rows(query("contents"), asked)}


def _message(position: int, side: str, found: Any, key: str, node: str) -> Message:
    kind, role, size_bytes, body = found or (None, None, None, None)
    return Message(position, side, kind, role, size_bytes, key, json_value(body, "JSON"), node)


@cache
def query(name: str) -> str:
    """The text of `analysis/queries/<name>.sql`."""
    return (_QUERIES / f"{name}.sql").read_text(encoding="utf-8")


def _listed(reader: Reader, name: str, since_ns: int | None, session: str | None) -> ResultSet:
    return reader.rows(_in_order(name), {"since_ns": since_ns, "session": session})


def _in_order(name: str) -> str:
    return f"{query(name)} ORDER BY {_ORDERS[name]}"


__all__ = [
    "CallDetail",
    "Message",
    "Neighbours",
    "Reader",
    "RunningAnswer",
    "StoreLocked",
    "agents",
    "call_detail",
    "call_neighbours",
    "calls",
    "connections",
    "coverage",
    "files",
    "health",
    "open_reader",
    "open_service",
    "processes",
    "query",
    "requests",
    "rpc",
    "rpc_calls",
    "session_named",
    "sessions",
    "sql",
    "timeline",
    "tools",
]
