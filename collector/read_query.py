"""One read-only query, bounded in time, rows and size.

In: SQL text and parameters, from `analysis.reading` or over the socket of
`collector.query_service`. Out: an Arrow table whose fields carry DuckDB's type names and whose
metadata says whether rows were left out. Whatever the text asks for, nothing is written and no
other file is read.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from collector.database import first_line, run
from collector.store_errors import QueryFailed

Parameters = Sequence[Any] | Mapping[str, Any] | None

TYPE_KEY = b"duckdb_type"
TRUNCATED_KEY = b"truncated"
_BATCH_ROWS = 2048
_READING = frozenset({duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN})


@dataclass(frozen=True, slots=True)
class Limits:
    """What one query may take. Rows beyond `max_rows` or `max_bytes` are left out, and said so."""

    max_rows: int = 1_000_000
    max_bytes: int = 512 << 20
    timeout_s: float = 60.0


def read_query(
    cursor: duckdb.DuckDBPyConnection, sql: str, parameters: Parameters, limits: Limits
) -> pa.Table:
    """Run one SELECT, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN on a cursor of its own, and close it.

    Raises `QueryFailed`, with DuckDB's words when they are DuckDB's.
    """
    stop = threading.Timer(limits.timeout_s, cursor.interrupt)
    stop.daemon = True
    try:
        statements = cursor.extract_statements(sql)
        if len(statements) != 1 or statements[0].type not in _READING:
            raise QueryFailed("a query is one SELECT, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN")
        run(cursor, "BEGIN TRANSACTION READ ONLY")
        stop.start()
        return _fetch(cursor, sql, parameters, limits)
    except duckdb.InterruptException as error:
        raise QueryFailed(
            f"the query took longer than {limits.timeout_s:g} s",
            hint="narrow it with WHERE, or read the store when no collector runs",
        ) from error
    except duckdb.Error as error:
        raise QueryFailed(str(error).strip()) from error
    except pa.ArrowException as error:
        raise QueryFailed(first_line(error)) from error
    finally:
        stop.cancel()
        cursor.close()


def _fetch(
    cursor: duckdb.DuckDBPyConnection, sql: str, parameters: Parameters, limits: Limits
) -> pa.Table:
    relation: Any = cursor.sql(sql, params=parameters)
    types = [str(each) for each in relation.types]
    # DuckDB 1.4 calls the same method fetch_record_batch.
    stream = getattr(relation, "to_arrow_reader", None) or relation.fetch_record_batch
    batches: list[pa.RecordBatch] = []
    rows = size_bytes = 0
    truncated = False
    with stream(_BATCH_ROWS) as reader:
        schema = reader.schema
        for batch in reader:
            truncated = rows + batch.num_rows > limits.max_rows or size_bytes > limits.max_bytes
            batches.append(batch.slice(0, max(0, limits.max_rows - rows)))
            rows += batches[-1].num_rows
            size_bytes += batch.nbytes
            if truncated:
                break
    described = pa.schema(
        [field.with_metadata({TYPE_KEY: name}) for field, name in zip(schema, types, strict=True)],
        metadata={TRUNCATED_KEY: b"1" if truncated else b"0"},
    )
    arrays = pa.Table.from_batches(batches, schema=schema)
    return pa.Table.from_arrays(arrays.columns, schema=described)
