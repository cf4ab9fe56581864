"""Row types, Arrow schemas and the tables of the store name the same columns."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from collector.database import run
from collector.rows import Batch
from collector.store import Store
from collector.tables import TABLES, Table

SQL_TYPES = {
    "string": "VARCHAR",
    "int64": "BIGINT",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "list<item: int64>": "BIGINT[]",
    "list<item: string>": "VARCHAR[]",
}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_has_the_columns_of_its_row_type(table: Table, tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.db") as store:
        cursor = store.cursor()
        found = run(
            cursor,
            "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?"
            " AND database_name = 'store' ORDER BY column_index",
            table.name,
        )
        cursor.close()
    assert found == [(field.name, SQL_TYPES[str(field.type)]) for field in table.schema]
    assert {*table.key, *table.content_columns} <= {name for name, _ in found}


def test_every_field_of_a_batch_goes_somewhere() -> None:
    assert {table.batch_field for table in TABLES} == {field.name for field in fields(Batch)}


def test_every_field_of_a_row_is_stored() -> None:
    for row_type in {table.row_type for table in TABLES}:
        stored = {
            name for table in TABLES if table.row_type is row_type for name in table.schema.names
        }
        assert stored == {field.name for field in fields(row_type)}
