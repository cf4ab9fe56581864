"""How the rows of a `Batch` become Arrow tables, and which table of the store takes each.

In: the row types of `collector.rows`, whose annotations are the one declaration of names and
types. Out: for each table its key, its insert statement and, per batch, a `pyarrow.Table`.
Hostile values never stop a batch: lone surrogates are replaced, integers beyond 64 bits are
not known.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, fields
from enum import Enum
from functools import cached_property
from operator import attrgetter
from typing import Any

import pyarrow as pa

from collector import rows

_ARROW = {
    "str": pa.string(),
    "str | None": pa.string(),
    "int": pa.int64(),
    "int | None": pa.int64(),
    "float | None": pa.float64(),
    "bool": pa.bool_(),
    "bool | None": pa.bool_(),
    "tuple[int, ...]": pa.list_(pa.int64()),
    "tuple[str, ...]": pa.list_(pa.string()),
}
_INT64 = range(-(2**63), 2**63)


class OnKnownKey(Enum):
    """What a row does whose key is stored already."""

    REPLACE = "replace"  # the newer row wins, column by column
    KEEP = "keep"  # the first row wins
    FILL_BODY = "fill body"  # the first row wins, but a body is added where there was none
    UNTIL_EMPTY = "until empty"  # the newer row wins; one without a body takes it away


@dataclass(frozen=True)
class Table:
    """One table: the field of `Batch` that fills it, its key, and what a known key does.

    `content_columns` are written as NULL when content is not to be stored. A table takes the
    columns `only` (all of the row type's when empty), of rows whose `filled_by` is not empty. A
    NULL does not replace what `kept_columns` hold.
    """

    batch_field: str
    name: str
    row_type: type
    key: tuple[str, ...]
    on_known_key: OnKnownKey = OnKnownKey.REPLACE
    content_columns: frozenset[str] = frozenset()
    only: tuple[str, ...] = ()
    filled_by: str = ""
    kept_columns: frozenset[str] = frozenset()

    @property
    def write_once(self) -> bool:
        """Whether a row, once stored, never changes."""
        return self.on_known_key in (OnKnownKey.KEEP, OnKnownKey.FILL_BODY)

    def merge_sql(self, source: str) -> str:
        """The statement that takes the rows of the relation `source`."""
        merge = f"MERGE INTO {self.name} USING {source} AS new USING ({', '.join(self.key)}) "
        insert = "WHEN NOT MATCHED THEN INSERT BY NAME"
        if self.on_known_key is OnKnownKey.KEEP:
            return merge + insert
        if self.on_known_key is OnKnownKey.FILL_BODY:
            return (
                f"{merge}WHEN MATCHED AND {self.name}.body IS NULL AND new.body IS NOT NULL"
                f" THEN UPDATE SET body = new.body {insert}"
            )
        changed = (name for name in self.schema.names if name not in self.key)
        update = ", ".join(f"{name} = {self._newer(name)}" for name in changed)
        if self.on_known_key is OnKnownKey.UNTIL_EMPTY:
            return (
                f"{merge}WHEN MATCHED AND new.body IS NULL THEN DELETE"
                f" WHEN MATCHED THEN UPDATE SET {update}"
                " WHEN NOT MATCHED AND new.body IS NOT NULL THEN INSERT BY NAME"
            )
        return f"{merge}WHEN MATCHED THEN UPDATE SET {update} {insert}"

    def _newer(self, column: str) -> str:
        kept = column in self.kept_columns
        return f"coalesce(new.{column}, {self.name}.{column})" if kept else f"new.{column}"

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema, from the row type's annotations."""
        return pa.schema(
            [
                (field.name, _ARROW[str(field.type)])
                for field in fields(self.row_type)
                if field.name in self.only or not self.only
            ]
        )

    def rows_of(self, batch: rows.Batch) -> dict[Hashable, Any]:
        """The batch's rows for this table, by key; of two with one key the later."""
        key_of = attrgetter(*self.key)
        taken = getattr(batch, self.batch_field)
        if self.filled_by:
            taken = [row for row in taken if getattr(row, self.filled_by)]
        return {key_of(row): row for row in taken}

    def arrow(self, batch_rows: Iterable[Any], *, content: bool) -> pa.Table:
        """The rows as one Arrow table; an unknown text in a key is the empty text."""
        batch_rows = list(batch_rows)
        columns = []
        for field in self.schema:
            if field.name in self.content_columns and not content:
                values: list[Any] = [None] * len(batch_rows)
            else:
                values = [getattr(row, field.name) for row in batch_rows]
            if field.name in self.key:
                values = ["" if value is None else value for value in values]
            columns.append(_array(values, field.type))
        return pa.Table.from_arrays(columns, schema=self.schema)


_CALL_COLUMNS = tuple(field.name for field in fields(rows.CallRow) if field.name != "chunk_ns")

TABLES = (
    Table(
        "captures",
        "capture",
        rows.CaptureRow,
        ("capture_id",),
        kept_columns=frozenset({"raw_path", "raw_bytes", "raw_state"}),
    ),
    Table("sessions", "session", rows.SessionRow, ("session_id",)),
    Table(
        "contents",
        "content",
        rows.ContentRow,
        ("content_hash",),
        OnKnownKey.FILL_BODY,
        content_columns=frozenset({"body"}),
    ),
    Table("nodes", "message_node", rows.MessageNodeRow, ("node",), OnKnownKey.KEEP),
    Table(
        "tool_sets",
        "tool_set_member",
        rows.ToolSetRow,
        ("tool_set", "position"),
        OnKnownKey.KEEP,
    ),
    Table(
        "calls",
        "llm_call",
        rows.CallRow,
        ("call_id",),
        content_columns=frozenset({"params", "error_message"}),
        only=_CALL_COLUMNS,
    ),
    # A list cannot be updated in place: apart, it leaves the call's own row updatable.
    Table(
        "calls",
        "chunk_timing",
        rows.CallRow,
        ("call_id",),
        only=("call_id", "chunk_ns"),
        filled_by="chunk_ns",
    ),
    Table(
        "tool_calls",
        "tool_call",
        rows.ToolCallRow,
        ("call_id", "tool_call_id"),
        content_columns=frozenset({"arguments", "result_preview"}),
    ),
    Table(
        "provider_requests",
        "provider_request",
        rows.ProviderRequestRow,
        ("request_id",),
        content_columns=frozenset({"error_message"}),
    ),
    Table("processes", "process", rows.ProcessRow, ("process_key",)),
    # The time, which never changes, leads to the few blocks of a long table that may hold a key.
    Table("file_events", "file_event", rows.FileEventRow, ("first_ns", "file_event_id")),
    Table(
        "network_events", "network_event", rows.NetworkEventRow, ("first_ns", "network_event_id")
    ),
    Table(
        "privilege_changes",
        "privilege_change",
        rows.PrivilegeChangeRow,
        ("at_ns", "privilege_change_id"),
        OnKnownKey.KEEP,
    ),
    Table("content_sightings", "content_sighting", rows.ContentSightingRow, ("sighting_id",)),
    Table("rpc_channels", "rpc_channel", rows.RpcChannelRow, ("channel_id",)),
    Table(
        "rpc_messages",
        "rpc_message",
        rows.RpcMessageRow,
        ("message_id",),
        content_columns=frozenset({"error_message"}),
    ),
    Table(
        "health",
        "health_counter",
        rows.HealthRow,
        ("capture_id", "source", "counter", "cause"),
    ),
    Table(
        "coverage",
        "tls_coverage",
        rows.CoverageRow,
        ("capture_id", "process_key", "stack", "path", "build_id"),
    ),
    Table(
        "running_answers",
        "running_answer",
        rows.RunningAnswerRow,
        ("call_id",),
        OnKnownKey.UNTIL_EMPTY,
        content_columns=frozenset({"body"}),
    ),
)


def _array(values: list[Any], arrow_type: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, arrow_type)
    except (UnicodeEncodeError, OverflowError, pa.ArrowInvalid):
        return pa.array([_storable(value) for value in values], arrow_type)


def _storable(value: Any) -> Any:
    """The value as UTF-8 and 64 bits can hold it."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, tuple):
        return [_storable(item) for item in value]
    if isinstance(value, int) and value not in _INT64:
        return None
    return value
