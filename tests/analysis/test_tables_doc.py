"""docs/tables.md describes every view and column that the store has, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from analysis.reading import open_reader
from collector.store import Store

DOCUMENT = Path(__file__).parents[2] / "docs" / "tables.md"


def documented() -> dict[str, list[tuple[str, str]]]:
    text = DOCUMENT.read_text(encoding="utf-8")
    views: dict[str, list[tuple[str, str]]] = {}
    for heading, section in re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.M | re.S):
        rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", section, re.M)
        assert all(meaning.strip() for _, _, meaning in rows), heading
        views[heading] = [(name, type_name.strip()) for name, type_name, _ in rows]
    return views


def test_every_view_and_column_is_documented_in_order(tmp_path: Path) -> None:
    Store.open(tmp_path / "s.db").close()
    with open_reader(tmp_path / "s.db") as reader:
        columns = reader.rows(
            "SELECT table_name, column_name, data_type FROM information_schema.columns"
            " JOIN information_schema.tables USING (table_catalog, table_schema, table_name)"
            " WHERE table_type = 'VIEW' AND table_catalog = 'store'"
            " ORDER BY table_name, ordinal_position"
        )
    found: dict[str, list[tuple[str, str]]] = {}
    for view, name, type_name in columns:
        found.setdefault(view, []).append((name, type_name))
    assert found == documented()
