"""`underglass export`: send what is stored to other systems."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from underglass import __version__
from underglass.options import db_option, session_option, since_option
from underglass.progress import SESSIONS_FROM, Done, progress_bar
from underglass.service import reading_from

if TYPE_CHECKING:
    from analysis.reading import Reader
    from collector.exporters.messages import Conversation
    from collector.exporters.spans import ExportedSession

_SESSIONS_AT_ONCE = 100
_IN_SESSIONS = "WHERE session_id IN (SELECT unnest($sessions))"
_MESSAGES = f"""
WITH RECURSIVE listed AS (
    SELECT unnest([input_node, output_node]) AS node FROM llm_call {_IN_SESSIONS}
    UNION
    SELECT link.parent_node FROM listed JOIN message_node AS link USING (node)
)
SELECT link.node, link.parent_node, content.kind, content.role, content.body
FROM listed
JOIN message_node AS link USING (node)
LEFT JOIN content USING (content_hash)
"""
_TOOL_SCHEMAS = f"""
SELECT member.tool_set, content.body
FROM tool_set_member AS member
JOIN content USING (content_hash)
WHERE content.body IS NOT NULL
  AND member.tool_set IN (SELECT tool_set FROM llm_call {_IN_SESSIONS})
ORDER BY member.tool_set, member.position
"""


@click.group("export")
def command() -> None:
    """Send what is stored to other systems."""


@command.command("otlp")
@click.option(
    "--endpoint",
    metavar="URL",
    help="The backend. Default: $OTEL_EXPORTER_OTLP_ENDPOINT, else http://localhost:4318.",
)
@click.option(
    "--protocol",
    type=click.Choice(["grpc", "http/protobuf"]),
    help="Default: $OTEL_EXPORTER_OTLP_PROTOCOL, else grpc for port 4317, else http/protobuf.",
)
@db_option
@since_option
@session_option
@click.option("--content", is_flag=True, help="Send messages, tool arguments and results as well.")
def otlp(
    endpoint: str | None,
    protocol: str | None,
    db: str | None,
    since: str | None,
    session: str | None,
    content: bool,
) -> None:
    """Send sessions as OpenTelemetry traces, one each, with GenAI attributes.

    Ids and times are those of the capture: exporting again sends the same spans. Calls that
    still run are left for the next export. Headers, certificates, compression and timeout come
    from the OTEL_EXPORTER_OTLP_* variables.
    """
    import time

    from analysis.since import parse_since
    from collector.exporters.otlp import export, target_of
    from collector.exporters.spans import session_spans

    target = target_of(endpoint, protocol)
    since_ns = parse_since(since, time.time_ns()) if since else None
    with reading_from(db) as reader:
        loader = SessionLoader(reader, content=content)
        sessions = loader.ids(since_ns, session)
        with progress_bar("sending sessions", len(sessions), least=SESSIONS_FROM) as done:
            delivery = export(
                (
                    span
                    for exported in _told(loader.load(sessions), done)
                    for span in session_spans(exported, since_ns)
                ),
                target,
                __version__,
            )
    if loader.running_calls:
        left = _counted(loader.running_calls, "running call")
        click.echo(f"underglass: {left} left for the next export", err=True)
    sent = f"{_counted(delivery.traces, 'trace')}, {_counted(delivery.spans, 'span')}"
    click.echo(f"underglass: {sent} sent to {target}", err=True)


def _told(sessions: Iterable[ExportedSession], done: Done | None) -> Iterator[ExportedSession]:
    """The sessions; `done` is told how many of them were taken."""
    for number, each in enumerate(sessions):
        if done is not None:
            done(number)
        yield each


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@dataclass(slots=True)
class SessionLoader:
    """Reads sessions for the exporters, a few at a time, so that a large store fits in memory.

    `running_calls` counts the calls left out because a collector is still writing them; in a
    store that no collector has open, a call without an end will never have one, and is loaded.
    """

    reader: Reader
    content: bool = False
    running_calls: int = field(default=0, init=False)

    def ids(self, since_ns: int | None, session: str | None) -> Sequence[str]:
        """Sessions active at or after `since_ns`, oldest first.

        Raises `QueryFailed` when there is no session of the id asked for.
        """
        from analysis.reading import sessions
        from collector.store_errors import QueryFailed

        if session is not None and not len(sessions(self.reader, session=session)):
            raise QueryFailed(
                f"no session {session}", hint="`underglass sessions` lists the sessions"
            )
        found: Sequence[str] = _whole(sessions(self.reader, since_ns, session)).column("session_id")
        return found

    def load(self, session_ids: Sequence[str]) -> Iterator[ExportedSession]:
        """The sessions, whole, in that order. Raises `QueryFailed`."""
        ids = iter(session_ids)
        while some := list(islice(ids, _SESSIONS_AT_ONCE)):
            yield from self._exported(some)

    def _exported(self, ids: list[str]) -> Iterator[ExportedSession]:
        from collector.exporters.spans import ExportedSession
        from collector.rows import CallRow, SessionRow, ToolCallRow

        sessions = {row.session_id: row for row in self._rows(SessionRow, "session", ids)}
        calls: dict[str, list[CallRow]] = defaultdict(list)
        for call in self._rows(CallRow, "llm_call", ids, "started_ns, call_id"):
            if call.status == "running" and self.reader.source != "file":
                self.running_calls += 1
            else:
                calls[call.session_id].append(call)
        tools: dict[str, list[ToolCallRow]] = defaultdict(list)
        for tool in self._rows(
            ToolCallRow, "tool_call", ids, "requested_ns, call_id, tool_call_id"
        ):
            tools[tool.session_id].append(tool)
        for session_id in ids:
            if session_id in sessions:
                yield ExportedSession(
                    sessions[session_id],
                    tuple(calls[session_id]),
                    tuple(tools[session_id]),
                    self._conversation(session_id) if self.content else None,
                )

    def _rows(self, row_type: type[Any], table: str, ids: list[str], order: str = "1") -> list[Any]:
        """Rows of a table as the pipeline wrote them; chunk timings, which no span has, apart."""
        names = [each.name for each in fields(row_type) if each.name != "chunk_ns"]
        sql = f"SELECT {', '.join(names)} FROM {table} {_IN_SESSIONS} ORDER BY {order}"
        return [row_type(*row) for row in self._ask(sql, ids)]

    def _conversation(self, session_id: str) -> Conversation:
        from collector.exporters.messages import Conversation, StoredMessage

        messages = (StoredMessage(*row) for row in self._ask(_MESSAGES, [session_id]))
        tool_sets: dict[str, list[str]] = defaultdict(list)
        for tool_set, body in self._ask(_TOOL_SCHEMAS, [session_id]):
            tool_sets[tool_set].append(body)
        return Conversation(
            {message.node: message for message in messages},
            {name: tuple(bodies) for name, bodies in tool_sets.items()},
        )

    def _ask(self, sql: str, ids: list[str]) -> Sequence[tuple[Any, ...]]:
        rows: Sequence[tuple[Any, ...]] = _whole(self.reader.rows(sql, {"sessions": ids})).rows
        return rows


def _whole(found: Any) -> Any:
    """The result, unless rows were left out: half a session would be a wrong trace."""
    from collector.store_errors import QueryFailed

    if found.truncated:
        raise QueryFailed(
            "there is more to export than one query may return",
            hint="export less at a time with `--since` or `--session`, or when no collector runs",
        )
    return found
