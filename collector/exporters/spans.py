"""Sessions as spans: what an exporter sends, before any exporter's own types.

In: a session's rows as the store keeps them. Out: `SpanPlan`s, the session's root first, then its
children by start. Pure: the same rows give the same spans, ids included, so that a second export
repeats the first. Times are the captured ones, in nanoseconds since the epoch.

A session is one trace. Its root is `invoke_agent`; LLM calls (`chat`) and tool calls
(`execute_tool`) are the root's children, side by side: the agent runs a tool, after the call that
asked for it has ended, so the call's span cannot hold the tool's. A link names that call.
What is not known is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b

from collector.exporters import semconv
from collector.exporters.call_attributes import Attribute, call_attributes, known
from collector.exporters.messages import Conversation
from collector.rows import CallRow, SessionRow, ToolCallRow

PREVIEW_CHARACTERS = 2000  # of `ToolCallRow.result_preview`


@dataclass(frozen=True, slots=True)
class ExportedSession:
    """A session with all of its calls and tool calls. `conversation` only when content goes out."""

    session: SessionRow
    calls: tuple[CallRow, ...]
    tool_calls: tuple[ToolCallRow, ...]
    conversation: Conversation | None = None


class Kind(Enum):
    """A span's kind, as OpenTelemetry names it."""

    CLIENT = "CLIENT"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class SpanLink:
    """Another span that this one has to do with, and how."""

    trace_id: int
    span_id: int
    relation: str


@dataclass(frozen=True, slots=True)
class SpanPlan:
    """One span. `error` is None unless the status is ERROR; then its description, maybe empty."""

    name: str
    kind: Kind
    trace_id: int  # 128 bits
    span_id: int  # 64 bits
    parent_span_id: int | None
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Attribute]
    links: tuple[SpanLink, ...] = ()
    error: str | None = None


def trace_id(session_id: str) -> int:
    """The id of a session's trace."""
    return _hash(16, "trace", session_id)


def root_span_id(session_id: str) -> int:
    """The id of the span that stands for the whole session."""
    return _hash(8, "session", session_id)


def call_span_id(call_id: str) -> int:
    """The id of an LLM call's span."""
    return _hash(8, "call", call_id)


def tool_span_id(call_id: str, tool_call_id: str) -> int:
    """The id of a tool call's span; a tool call's own id is unique only within its LLM call."""
    return _hash(8, "tool", call_id, tool_call_id)


def session_spans(exported: ExportedSession, since_ns: int | None = None) -> Iterator[SpanPlan]:
    """The session's root span, then its calls and tool calls from `since_ns` on, by start.

    The root spans the whole session whatever `since_ns` is, so that exports in instalments
    agree on it.
    """
    yield _root(exported)
    rows: list[CallRow | ToolCallRow] = [*exported.calls, *exported.tool_calls]
    rows.sort(key=_start)
    for row in rows:
        if since_ns is not None and _start(row) < since_ns:
            continue
        yield _call(exported, row) if isinstance(row, CallRow) else _tool(exported, row)


def _start(row: CallRow | ToolCallRow) -> int:
    return row.started_ns if isinstance(row, CallRow) else row.requested_ns


def _end(row: CallRow | ToolCallRow) -> int:
    """When it ended; when that is not known, the last moment that is."""
    if isinstance(row, CallRow):
        times = (row.ended_ns,) if row.ended_ns else (row.first_byte_ns, row.first_token_ns)
        return max(row.started_ns, *(at or 0 for at in times))
    return max(row.requested_ns, row.result_ns or 0)


def _root(exported: ExportedSession) -> SpanPlan:
    session = exported.session
    rows: list[CallRow | ToolCallRow] = [*exported.calls, *exported.tool_calls]
    agent = session.agent or _first(call.agent for call in exported.calls)
    version = session.agent_version or _first(call.agent_version for call in exported.calls)
    links: tuple[SpanLink, ...] = ()
    if session.parent_session_id is not None:
        parent = session.parent_session_id
        links = (SpanLink(trace_id(parent), root_span_id(parent), "parent_session"),)
    return SpanPlan(
        name=_named(semconv.INVOKE_AGENT, agent),
        kind=Kind.INTERNAL,
        trace_id=trace_id(session.session_id),
        span_id=root_span_id(session.session_id),
        parent_span_id=None,
        start_ns=min((session.started_ns, *map(_start, rows))),
        end_ns=max((session.started_ns, *map(_end, rows))),
        attributes=known(
            {
                semconv.OPERATION_NAME: semconv.INVOKE_AGENT,
                semconv.AGENT_NAME: agent,
                semconv.AGENT_VERSION: version,
                semconv.PROVIDER_NAME: _only(call.provider for call in exported.calls),
                semconv.REQUEST_MODEL: _only(call.request_model for call in exported.calls),
                semconv.OWN_SESSION_CONFIDENCE: session.confidence,
                semconv.OWN_SESSION_PARENT_ID: session.parent_session_id,
                semconv.OWN_PID: session.root_pid,
                **_session_ids(session),
            }
        ),
        links=links,
    )


def _call(exported: ExportedSession, call: CallRow) -> SpanPlan:
    session = exported.session
    trace = trace_id(session.session_id)
    error = None
    if call.status == "error":
        error = (call.error_message if exported.conversation is not None else None) or ""
    return SpanPlan(
        name=_named(call.operation, call.request_model),
        kind=Kind.CLIENT,
        trace_id=trace,
        span_id=call_span_id(call.call_id),
        parent_span_id=root_span_id(session.session_id),
        start_ns=call.started_ns,
        end_ns=_end(call),
        attributes=known({**_session_ids(session), **call_attributes(call, exported.conversation)}),
        links=(SpanLink(trace, call_span_id(call.retry_of), "retry_of"),) if call.retry_of else (),
        error=error,
    )


def _tool(exported: ExportedSession, tool: ToolCallRow) -> SpanPlan:
    session = exported.session
    trace = trace_id(session.session_id)
    made_up = tool.tool_call_id.startswith(f"{tool.call_id}#")
    answered = tool.result_ns is not None
    attributes: dict[str, Attribute | None] = {
        semconv.OPERATION_NAME: semconv.EXECUTE_TOOL,
        semconv.TOOL_NAME: tool.name,
        semconv.TOOL_CALL_ID: None if made_up else tool.tool_call_id,
        # That the agent sent the result shows that it ran the tool; providers run some themselves.
        semconv.TOOL_TYPE: "function" if answered else None,
        semconv.ERROR_TYPE: "tool_error" if tool.is_error else None,
        semconv.OWN_CALL_ID: tool.call_id,
        semconv.OWN_TOOL_ANSWERED: answered,
        **_session_ids(session),
    }
    if exported.conversation is not None:
        preview = tool.result_preview
        cut = preview is not None and len(preview) >= PREVIEW_CHARACTERS
        attributes[semconv.TOOL_CALL_ARGUMENTS] = tool.arguments
        attributes[semconv.TOOL_CALL_RESULT] = preview
        attributes[semconv.OWN_TOOL_RESULT_IS_PREVIEW] = cut or None
    return SpanPlan(
        name=_named(semconv.EXECUTE_TOOL, tool.name),
        kind=Kind.INTERNAL,
        trace_id=trace,
        span_id=tool_span_id(tool.call_id, tool.tool_call_id),
        parent_span_id=root_span_id(session.session_id),
        start_ns=tool.requested_ns,
        end_ns=_end(tool),
        attributes=known(attributes),
        links=(SpanLink(trace, call_span_id(tool.call_id), "requested_by"),),
        error="" if tool.is_error else None,
    )


def _session_ids(session: SessionRow) -> dict[str, Attribute | None]:
    """The session's id, as the conversation's only when it was read from the wire."""
    read = session.confidence == "read"
    return {
        semconv.CONVERSATION_ID: session.session_id if read else None,
        semconv.OWN_SESSION_ID: session.session_id,
    }


def _named(operation: str, target: str | None) -> str:
    return f"{operation} {target}" if target else operation


def _first(values: Iterable[str | None]) -> str | None:
    return next((value for value in values if value), None)


def _only(values: Iterable[str | None]) -> str | None:
    """The value, when all of them are the same and known."""
    found = set(values)
    return found.pop() if len(found) == 1 else None


def _hash(size_bytes: int, *parts: str) -> int:
    hashed = blake2b(digest_size=size_bytes)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        hashed.update(len(data).to_bytes(8, "little") + data)
    return int.from_bytes(hashed.digest(), "big") or 1
