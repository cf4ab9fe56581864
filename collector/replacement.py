"""What a store holds of one capture, exchanged for what was decoded anew, in one transaction.

In: the store's connection inside a transaction, and the store into which the capture was decoded.
Out: the rows of the capture as if it had been decoded so at once, and a `Change` that says what
is different. Rows that other captures share stay; of messages, schemas and sessions those go
that only the old rows needed.

When the raw data does not reach as far as what is stored (`covers_all` is False), only calls that
ended in it are exchanged, and nothing is taken away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import duckdb
import pyarrow as pa

from collector.database import run
from collector.decoding import Decoded
from collector.raw_data import HEALTH_SOURCE
from collector.rows import CaptureRow
from collector.tables import TABLES, OnKnownKey, Table

_BATCH_ROWS = 2048
_LARGE_BYTES = 16 << 20
_MERGED_ROWS = 128  # at once, as a row may hold megabytes
_BY_NAME = {table.name: table for table in TABLES}
_OF_THE_WHOLE = (
    *("capture", "health_counter", "tls_coverage"),
    *("file_event", "network_event", "privilege_change", "content_sighting"),
)
_OF_A_CALL = ("llm_call", "chunk_timing", "tool_call")
_MODEL = ("provider", "api", "model", "request_model")
_USAGE = (
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("reasoning_tokens", "usage_source"),
)
_COST = ("cost_usd", "cost_source")
_REST = tuple(
    name
    for name in _BY_NAME["llm_call"].schema.names
    if name not in ("call_id", "capture_id", *_MODEL, *_USAGE, *_COST)
)
_REFERRING = tuple(
    table for table in TABLES if "content_hash" in table.schema.names and table.name != "content"
)
_TEMPORARY = (
    *("old_call", "new_call", "cut_call", "replaced_call"),
    *("new_node", "old_node", "old_content"),
)
_RESULT = ("result_preview", "result_hash", "is_error", "result_ns", "result_call_id")


@dataclass(frozen=True, slots=True)
class Change:
    """What a redecoded capture is to the one stored. All but `covers_all` are numbers of calls.

    `added` counts new ones by API; `gone` were stored and are no more; `kept` are stored and were
    not decoded again. Of those stored before and after, `changed_models` have another model,
    provider or API, `changed_usage` other tokens, `changed_cost` another price,
    `changed_otherwise` any other difference.
    """

    calls_before: int
    calls_after: int
    added: dict[str, int]
    gone: int
    kept: int
    changed_models: int
    changed_usage: int
    changed_cost: int
    changed_otherwise: int
    covers_all: bool


class Replacement:
    """Exchanges the rows of one capture. Used once, inside a transaction of `store`."""

    def __init__(
        self,
        store: duckdb.DuckDBPyConnection,
        fresh: duckdb.DuckDBPyConnection,
        capture: CaptureRow,
        decoded: Decoded,
        *,
        force: bool,
    ) -> None:
        self._store = store
        self._fresh = fresh
        self._capture = capture
        self._decoded = decoded
        self._force = force
        self._covers_all = True

    def apply(self, *, dry_run: bool) -> Change:
        """Compare and, unless `dry_run`, exchange."""
        self._load()
        self._covers_all = self._force or self._reaches_end()
        change = self._compare()
        if not dry_run:
            self._mark_stale()
            self._take_away()
            self._put()
            self._mark_stale()
            self._forget_unneeded()
        for name in _TEMPORARY:
            run(self._store, f"DROP TABLE IF EXISTS temp.{name}")
        return change

    def _load(self) -> None:
        """What both sides know of their calls, each difference in a hash of its own."""
        hashes = ", ".join(
            f"hash({', '.join(columns)}) AS {name}"
            for name, columns in (
                ("model", _MODEL),
                ("usage", _USAGE),
                ("cost", _COST),
                ("rest", _REST),
            )
        )
        columns = f"call_id, api, session_id, input_node, output_node, tool_set, {hashes}"
        self._copy("new_call", f"SELECT {columns} FROM llm_call")
        self._copy("new_node", "SELECT node FROM message_node")
        run(
            self._store,
            f"CREATE TEMP TABLE old_call AS SELECT {columns}, capture_id FROM llm_call"
            " WHERE capture_id = ? OR call_id IN (SELECT call_id FROM temp.new_call)",
            self._capture.capture_id,
        )
        run(
            self._store,
            "CREATE TEMP TABLE old_content AS SELECT content_hash FROM tool_set_member"
            " WHERE tool_set IN (SELECT tool_set FROM temp.old_call)",
        )
        for table in _REFERRING:
            if "capture_id" in table.schema.names:
                run(
                    self._store,
                    f"INSERT INTO temp.old_content SELECT content_hash FROM {table.name}"
                    " WHERE capture_id = ?",
                    self._capture.capture_id,
                )
        run(self._store, "CREATE TEMP TABLE cut_call (call_id TEXT)")
        cut = pa.table({"call_id": pa.array(sorted(self._decoded.cut_calls), pa.string())})
        self._take(cut, "INSERT INTO temp.cut_call SELECT * FROM incoming")

    def _copy(self, name: str, sql: str) -> None:
        """A temporary table in the store's connection with the answer of the other."""
        self._take(
            _stream(self._fresh, sql).read_all(),
            f"CREATE TEMP TABLE {name} AS SELECT * FROM incoming",
        )

    def _take(self, rows: pa.Table, sql: str) -> None:
        self._store.register("incoming", rows)
        try:
            run(self._store, sql)
        finally:
            self._store.unregister("incoming")

    def _reaches_end(self) -> bool:
        """Does the raw data go as far as what is stored of the capture?"""
        ((stored_ns,),) = run(
            self._store,
            "SELECT max(told_ns) FROM ("
            " SELECT ended_ns AS told_ns FROM capture WHERE capture_id = $1"
            " UNION ALL SELECT greatest(started_ns, ended_ns) FROM llm_call WHERE capture_id = $1"
            " UNION ALL SELECT ended_ns FROM rpc_message WHERE capture_id = $1)",
            self._capture.capture_id,
        )
        if stored_ns is None:  # nothing of it is stored, so nothing can be lost
            return True
        return self._decoded.damage is None and stored_ns <= self._decoded.ended_ns

    def _compare(self) -> Change:
        if self._covers_all:
            replaced = "SELECT call_id FROM temp.old_call"
        else:
            replaced = (
                "SELECT call_id FROM temp.old_call SEMI JOIN temp.new_call USING (call_id)"
                " ANTI JOIN temp.cut_call USING (call_id)"
            )
        run(self._store, f"CREATE TEMP TABLE replaced_call AS {replaced}")
        added = run(
            self._store,
            "SELECT api, count(*) FROM temp.new_call ANTI JOIN temp.old_call USING (call_id)"
            " GROUP BY api ORDER BY api",
        )
        ((before, replaced_calls, gone),) = run(
            self._store,
            "SELECT count(*), count(replaced.call_id),"
            " count(*) FILTER (replaced.call_id IS NOT NULL AND new.call_id IS NULL)"
            " FROM temp.old_call AS old"
            " LEFT JOIN temp.replaced_call AS replaced USING (call_id)"
            " LEFT JOIN temp.new_call AS new USING (call_id)",
        )
        (changed,) = run(
            self._store,
            "SELECT count(*) FILTER (new.model <> old.model),"
            " count(*) FILTER (new.usage <> old.usage),"
            " count(*) FILTER (new.cost <> old.cost), count(*) FILTER (new.rest <> old.rest)"
            " FROM temp.new_call AS new JOIN temp.old_call AS old USING (call_id)"
            " SEMI JOIN temp.replaced_call USING (call_id)",
        )
        models, usage, cost, otherwise = changed
        return Change(
            calls_before=before,
            calls_after=before - gone + sum(number for _, number in added),
            added=dict(added),
            gone=gone,
            kept=before - replaced_calls,
            changed_models=models,
            changed_usage=usage,
            changed_cost=cost,
            changed_otherwise=otherwise,
            covers_all=self._covers_all,
        )

    # Away with the old rows

    def _mark_stale(self) -> None:
        """The sessions of the capture, before and after, are to be analysed anew."""
        run(
            self._store,
            "INSERT INTO stale_session SELECT DISTINCT session_id FROM llm_call"
            " WHERE capture_id = ? AND session_id NOT IN (FROM stale_session)",
            self._capture.capture_id,
        )

    def _take_away(self) -> None:
        capture_id = self._capture.capture_id
        run(
            self._store,
            "DELETE FROM llm_call WHERE call_id IN (SELECT call_id FROM temp.replaced_call)",
        )
        run(
            self._store,
            "DELETE FROM chunk_timing WHERE call_id IN (SELECT call_id FROM temp.replaced_call)",
        )
        if not self._covers_all:
            return  # results of tools may have come where the raw data does not reach
        run(
            self._store,
            "DELETE FROM tool_call WHERE call_id IN (SELECT call_id FROM temp.replaced_call)",
        )
        for table in TABLES:
            if "capture_id" in table.schema.names and table.name not in ("capture", "llm_call"):
                live = f"AND source <> '{HEALTH_SOURCE}'" if table.name == "health_counter" else ""
                run(
                    self._store,
                    f"DELETE FROM {table.name} WHERE capture_id = ? {live}",
                    capture_id,
                )
        run(
            self._store,
            "DELETE FROM session WHERE session_id IN (SELECT session_id FROM temp.old_call)"
            f" AND {_unused_session()}",
        )
        if self._alone_of_its_boot():
            run(
                self._store,
                "DELETE FROM process WHERE starts_with(process_key, ?)",
                f"{self._capture.boot_id[:8]}:",
            )

    def _alone_of_its_boot(self) -> bool:
        """Is no other capture stored that may have seen the same processes?"""
        ((others,),) = run(
            self._store,
            "SELECT count(*) FROM capture WHERE boot_id = ? AND capture_id <> ?",
            self._capture.boot_id,
            self._capture.capture_id,
        )
        return not others

    # In with the new ones

    def _put(self) -> None:
        for table in TABLES:
            if table.name in _OF_THE_WHOLE and not self._covers_all:
                continue
            merge = self._merging(table).merge_sql("incoming")
            for batch in self._rows(table):
                step = _MERGED_ROWS if batch.nbytes > _LARGE_BYTES else _BATCH_ROWS
                for begin in range(0, batch.num_rows, step):
                    self._take(pa.Table.from_batches([batch.slice(begin, step)]), merge)

    def _rows(self, table: Table) -> Iterator[pa.RecordBatch]:
        left_out = ""
        if not self._covers_all and table.name in _OF_A_CALL:
            kept = run(
                self._store,
                "SELECT call_id FROM temp.cut_call SEMI JOIN temp.old_call USING (call_id)",
            )
            self._fresh.register(
                "kept", pa.table({"call_id": pa.array([one for (one,) in kept], pa.string())})
            )
            left_out = " WHERE call_id NOT IN (SELECT call_id FROM kept)"
        columns = ", ".join(table.schema.names)
        yield from _stream(self._fresh, f"SELECT {columns} FROM {table.name}{left_out}")

    def _merging(self, table: Table) -> Table:
        """The table with what a row that is still stored does when a new one comes."""
        if table.name == "process":  # others may have seen what this capture did not
            return replace(table, kept_columns=frozenset(table.schema.names))
        if table.name == "tool_call":
            return replace(table, kept_columns=frozenset(() if self._covers_all else _RESULT))
        keep = table.name == "session" or not (self._covers_all or table.name in _OF_A_CALL)
        if keep and not table.write_once:
            return replace(table, on_known_key=OnKnownKey.KEEP)
        return table

    # What nothing needs any more

    def _forget_unneeded(self) -> None:
        run(
            self._store,
            "DELETE FROM session WHERE session_id IN (SELECT session_id FROM temp.old_call)"
            " AND session_id NOT IN (SELECT session_id FROM temp.new_call)"
            f" AND {_unused_session()}",
        )
        run(
            self._store,
            "UPDATE process SET session_id = NULL WHERE session_id IN"
            " (SELECT session_id FROM temp.old_call)"
            " AND session_id NOT IN (SELECT session_id FROM session)",
        )
        self._forget_messages()

    def _forget_messages(self) -> None:
        """Nodes, schemas and contents that only the old rows led to.

        A node leads to those before it, so one that the new rows have ends the search.
        """
        run(
            self._store,
            "CREATE TEMP TABLE old_node AS WITH RECURSIVE old AS ("
            " SELECT node, parent_node, content_hash FROM message_node WHERE node IN ("
            "  SELECT input_node FROM temp.old_call UNION SELECT output_node FROM temp.old_call)"
            " AND node NOT IN (SELECT node FROM temp.new_node)"
            " UNION SELECT message_node.node, message_node.parent_node,"
            "  message_node.content_hash FROM old"
            "  JOIN message_node ON message_node.node = old.parent_node"
            "  ANTI JOIN temp.new_node ON new_node.node = message_node.node"
            ") SELECT * FROM old",
        )
        run(
            self._store,
            "DELETE FROM temp.old_node WHERE node IN ("
            " WITH RECURSIVE needed AS ("
            "  SELECT node, parent_node FROM temp.old_node WHERE node IN ("
            "   SELECT input_node FROM llm_call UNION SELECT output_node FROM llm_call"
            "   UNION SELECT parent_node FROM message_node"
            "    WHERE node NOT IN (SELECT node FROM temp.old_node))"
            "  UNION SELECT old_node.node, old_node.parent_node FROM needed"
            "   JOIN temp.old_node ON old_node.node = needed.parent_node"
            " ) SELECT node FROM needed)",
        )
        run(self._store, "DELETE FROM message_node WHERE node IN (SELECT node FROM temp.old_node)")
        run(
            self._store,
            "DELETE FROM tool_set_member WHERE tool_set IN (SELECT tool_set FROM temp.old_call)"
            " AND tool_set NOT IN"
            " (SELECT tool_set FROM llm_call WHERE tool_set IS NOT NULL)",
        )
        referring = " UNION ".join(
            f"SELECT content_hash FROM {table.name} WHERE content_hash IS NOT NULL"
            for table in _REFERRING
        )
        run(
            self._store,
            "DELETE FROM content WHERE content_hash IN (SELECT content_hash FROM temp.old_content"
            " UNION SELECT content_hash FROM temp.old_node)"
            f" AND content_hash NOT IN ({referring})",
        )


def _unused_session() -> str:
    """The condition that no row says a session's id."""
    saying = (
        f"session_id NOT IN (SELECT session_id FROM {table.name} WHERE session_id IS NOT NULL)"
        for table in TABLES
        if "session_id" in table.schema.names and table.name not in ("session", "process")
    )
    return " AND ".join(saying)


def _stream(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.RecordBatchReader:
    relation = connection.sql(sql)
    stream = getattr(relation, "to_arrow_reader", None) or relation.fetch_record_batch
    return stream(_BATCH_ROWS)
