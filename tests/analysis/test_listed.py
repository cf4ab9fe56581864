"""Parts of tables: filtered, sorted and cut by the database as Python would do it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from analysis import reading
from analysis.columns import AGENTS, CALLS, COVERAGE, FINDINGS, PROCESSES, TABLES
from analysis.listed import Narrowed, counted, listed, pages, types_of
from analysis.reading import Reader
from analysis.table_layout import Table
from analysis.use_columns import CONTEXTS
from analysis.where import BadFilter
from collector.rows import Batch
from collector.store import Store
from tests.collector import store_rows as row
from tests.collector.store_rows import MS, START_NS
from tests.tui.stage import demo_batch, make_store

CALLS_STORED = 240
EVERY = [*TABLES.values(), CONTEXTS]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Calls in an order of chance, three of each time; one in eighty is of another model."""
    numbers = list(range(CALLS_STORED))
    random.Random(7).shuffle(numbers)
    calls = [
        row.call(
            f"c{number:03}", session_id=f"s{number % 3}",
            model="rare" if number % 80 == 5 else "usual",
            started_ns=START_NS + number // 3 * 1000 * MS, ended_ns=None,
            cost_usd=None if number % 7 == 0 else number % 11 / 8,
            cache_read_tokens=number % 5, input_tokens=number % 3,
        )
        for number in numbers
    ]  # fmt: skip
    processes = [
        row.process(f"p{number}", pid=number, started_ns=None if number % 3 == 0 else number)
        for number in numbers[:20]
    ]
    path = tmp_path_factory.mktemp("store") / "s.db"
    with Store.open(path) as store:
        store.write(Batch(calls=calls, processes=processes))
        yield Reader.of_store(store)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    path = make_store(tmp_path_factory.mktemp("demo") / "d.db", demo_batch(lost_events=3))
    with reading.open_reader(path) as opened:
        yield opened


def _ids(reader: Reader, narrowed: Narrowed) -> list[str]:
    return [str(each) for each in listed(reader, CALLS, narrowed).rows.column("call_id")]


NEWEST_FIRST = [
    f"c{number:03}"
    for number in sorted(range(CALLS_STORED), key=lambda n: (n // 3, n), reverse=True)
]
RARE = ["c165", "c085", "c005"]


@pytest.mark.parametrize(
    ("narrowed", "ids"),
    [
        (Narrowed(limit=None), NEWEST_FIRST),
        (Narrowed(), NEWEST_FIRST),
        (Narrowed(limit=4), NEWEST_FIRST[:4]),
        (Narrowed(limit=4, offset=5), NEWEST_FIRST[5:9]),
        (Narrowed(limit=4, offset=CALLS_STORED - 2), NEWEST_FIRST[-2:]),
        (Narrowed(limit=0), []),
        (Narrowed(limit=4, reverse=True), NEWEST_FIRST[::-1][:4]),
        # The newest of those rows are searched for among the newest of all, then among all.
        (Narrowed(limit=1, where="model:rare"), RARE[:1]),
        (Narrowed(limit=2, where="model:rare"), RARE[:2]),
        (Narrowed(limit=3, where="model:rare"), RARE),
        (Narrowed(limit=4, where="model:rare"), RARE),
        (Narrowed(limit=2, where="model:rare", session_id="s2"), ["c005"]),
        (Narrowed(limit=None, since_ns=START_NS + 78_500 * MS), NEWEST_FIRST[:3]),
        (Narrowed(where="model:nothing"), []),
    ],
)  # fmt: skip
def test_which_calls_and_in_which_order(reader: Reader, narrowed: Narrowed, ids: list[str]) -> None:
    assert _ids(reader, narrowed) == ids
    whole = replace(narrowed, limit=None, offset=0)
    assert counted(reader, CALLS, narrowed) == len(_ids(reader, whole))
    assert listed(reader, CALLS, narrowed, count=True).total == len(_ids(reader, whole))


def test_sorted_by_a_column_unknown_last_and_the_newest_first_among_equals(reader: Reader) -> None:
    def number(call_id: str) -> int:
        return int(call_id[1:])

    known = [one for one in NEWEST_FIRST if number(one) % 7]
    unknown = [one for one in NEWEST_FIRST if number(one) % 7 == 0]
    dearest = sorted(known, key=lambda one: -(number(one) % 11))
    assert _ids(reader, Narrowed(sort="cost", limit=None)) == [*dearest, *unknown]
    cheapest = sorted(known, key=lambda one: number(one) % 11)
    assert _ids(reader, Narrowed(sort="cost", reverse=True, limit=None)) == [*cheapest, *unknown]
    assert _ids(reader, Narrowed(sort="cost_usd", limit=3, offset=2)) == dearest[2:5]
    first = listed(reader, CALLS, Narrowed(sort="cache", limit=1)).rows.records()[0]
    assert first["cache_read_tokens"] / first["input_tokens"] == 4  # the share that is shown
    with pytest.raises(BadFilter, match="did you mean cost"):
        listed(reader, CALLS, Narrowed(sort="costs"))


def test_rows_of_unknown_time_are_the_oldest(reader: Reader) -> None:
    def keys(narrowed: Narrowed) -> list[Any]:
        return list(listed(reader, PROCESSES, narrowed).rows.column("started_at"))

    found = keys(Narrowed(limit=None))
    assert found == sorted((one for one in found if one), reverse=True) + [None] * found.count(None)
    assert found.count(None) >= 5
    assert keys(Narrowed(limit=None, reverse=True)) == found[::-1]
    assert keys(Narrowed(limit=len(found) - 2)) == found[:-2]


@pytest.mark.parametrize("table", EVERY, ids=lambda table: str(table.name))
def test_pages_are_the_whole_list(demo: Reader, table: Table) -> None:
    for narrowed in (Narrowed(), Narrowed(reverse=True), Narrowed(sort=table.columns[0].key)):
        whole = listed(demo, table, replace(narrowed, limit=None)).rows
        found: list[Sequence[Any]] = []
        for page in pages(demo, table, narrowed, rows=5):
            assert len(page) > 0
            assert page.columns == whole.columns
            found += page.rows
        assert found == list(whole.rows)


def test_pages_of_a_filter(reader: Reader) -> None:
    found = [
        call_id
        for page in pages(reader, CALLS, Narrowed(where="model:rare", reverse=True), rows=10)
        for call_id in page.column("call_id")
    ]
    assert found == RARE[::-1]
    sizes = [len(page) for page in pages(reader, CALLS, Narrowed(), rows=50)]
    assert sum(sizes) == CALLS_STORED
    assert max(sizes) <= 50 + 3  # rows of one moment stay together


@pytest.mark.parametrize("table", EVERY, ids=lambda table: str(table.name))
def test_every_field_is_there_and_every_column_sorts_and_filters(
    demo: Reader, table: Table
) -> None:
    assert set(table.fields) <= set(types_of(demo, table))
    total = counted(demo, table, Narrowed())
    names = [column.label.replace(" ", "_") for column in table.columns]
    for number, name in enumerate(names):
        asked = Narrowed(sort=name, reverse=number % 2 == 1)
        assert len(listed(demo, table, asked).rows) == total
    known = counted(demo, table, Narrowed(where=" ".join(f"{name}:any" for name in names)))
    also = counted(demo, table, Narrowed(where=" ".join(f"!{name}:none" for name in names)))
    assert known == also <= total


def test_kinds_of_findings(demo: Reader) -> None:
    kinds = set(listed(demo, FINDINGS, Narrowed()).rows.column("kind"))
    assert len(kinds) > 1
    one = min(kinds)
    for asked, found in ((None, kinds), ({one}, {one}), (set(), set())):
        rows = listed(demo, FINDINGS, Narrowed(kinds=asked)).rows
        assert set(rows.column("kind")) == found
        assert counted(demo, FINDINGS, Narrowed(kinds=asked)) == len(rows)


def test_tables_without_a_time_have_an_order_of_their_own(demo: Reader) -> None:
    ranks = listed(demo, COVERAGE, Narrowed()).rows.column("rank")
    assert list(ranks) == sorted(ranks)
    assert AGENTS.newest == "last_seen_at"
    seen = listed(demo, AGENTS, Narrowed()).rows.column("last_seen_at")
    assert list(seen) == sorted(seen, reverse=True)


def test_reading_answers_the_same_rows(demo: Reader) -> None:
    for table in (TABLES["calls"], TABLES["tools"], TABLES["sessions"], TABLES["processes"]):
        found = getattr(reading, table.name)(demo)
        whole = listed(demo, table, Narrowed(limit=None)).rows
        assert found.columns == whole.columns
        assert sorted(map(str, found.rows)) == sorted(map(str, whole.rows))
