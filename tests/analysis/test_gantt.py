"""Rows, stretches and paging of the timeline, on a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.analyst import analyse
from analysis.gantt import GanttPage, Stretch, gantt_page
from analysis.reading import Reader, open_reader
from analysis.where import BadFilter
from collector.rows import Batch
from collector.store import Store
from tests.acted_store import acted_store, at, sub_agent
from tests.collector.store_rows import call, session


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return acted_store(tmp_path_factory.mktemp("gantt") / "store.db")


@pytest.fixture
def reader(path: Path) -> Iterator[Reader]:
    with open_reader(path) as reader:
        yield reader


def page(reader: Reader, **asked: object) -> GanttPage:
    found = gantt_page(reader, **asked)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_every_kind_of_time_has_its_stretch(reader: Reader) -> None:
    found = page(reader)
    rows = {row.id if row.kind != "retry" else "again": row for row in found.rows}
    assert [row.kind for row in found.rows if row.kind != "finding"] == [
        *("call", "tool", "tool", "process", "call", "retry", "call", "human", "call")
    ]  # fmt: skip
    assert rows["c1"].stretches == (
        Stretch(at(0), at(500), "queue"),
        Stretch(at(500), at(800), "generation"),
        Stretch(at(800), at(1900), "stall"),
        Stretch(at(1900), at(2000), "generation"),
    )
    assert rows["c2"].stretches == (Stretch(at(4000), at(4200), "retry"),)
    assert rows["again"].stretches == (Stretch(at(4200), at(5000), "retry"),)
    assert rows["t1"].stretches == (Stretch(at(2000), at(4000), "tools"),)
    human = next(row for row in found.rows if row.kind == "human")
    assert human.stretches == (Stretch(at(6500), at(10_000), "human"),)
    assert human.call_id == "c3"
    bad = {found.rows[place].id for place in found.marks}
    assert {"c2", "t1"} <= bad
    assert bad.isdisjoint({"c1", "c3", "c4", "t2"})
    shell = next(row for row in found.rows if row.kind == "process")
    assert (shell.tool_call_id, shell.pid) == ("t1", 4300)
    assert page(reader, whole=True).total > found.total


def test_the_parts_sum_to_the_wall_time(reader: Reader) -> None:
    times = page(reader).times
    assert times is not None
    assert times.wall_ns == sum(times.by_part.values()) == at(11_000) - at(0)
    assert times.turns == 2
    assert times.by_part["stall"] == 1_100_000_000
    assert times.by_part["human"] == 3_500_000_000
    assert times.by_part["retry"] == 1_000_000_000


def test_a_page_is_cut_around_a_row_or_a_moment(reader: Reader) -> None:
    everything = page(reader).rows
    cut = page(reader, row=5, limit=3)
    assert [row.place for row in cut.rows] == [4, 5, 6]
    assert cut.total == len(everything)
    assert cut.rows == everything[4:7]
    assert (cut.first_ns, cut.last_ns) == (page(reader).first_ns, page(reader).last_ns)
    assert [row.place for row in page(reader, row=0, limit=3).rows] == [0, 1, 2]
    last = len(everything) - 1
    assert [row.place for row in page(reader, row=10**9, limit=2).rows] == [last - 1, last]
    assert "c4" in {row.id for row in page(reader, at_ns=at(9_999), limit=2).rows}


def test_a_filter_leaves_what_fits(reader: Reader) -> None:
    assert {row.id for row in page(reader, where="status:error kind:call").rows} == {"c2"}
    assert {row.kind for row in page(reader, where="took:>3s !kind:finding").rows} == {"human"}
    assert page(reader, where="nowhere").total == 0
    with pytest.raises(BadFilter, match="bogus"):
        page(reader, where="bogus:1")


def test_a_sub_agent_belongs_to_its_parents_timeline(tmp_path: Path) -> None:
    path = acted_store(tmp_path / "store.db")
    below, running = sub_agent()
    with Store.open(path) as store:
        store.write(Batch(sessions=[below], calls=[running]))
        analyse(store)
    with open_reader(path) as reader:
        found = page(reader)
        assert found.session_id == "s1", "the family's first session, though s2 was active last"
        assert found.running
        assert dict(found.agents) == {"s1": 0, "s2": 1}
        row = next(row for row in found.rows if row.id == "d1")
        assert row.end_ns is None
        assert row.stretches[-1].end_ns == found.last_ns
        assert page(reader, session_id="s2").session_id == "s2"
        assert page(reader, session_id="gone").total == 0


def test_no_call_is_no_page_and_no_analysis_no_times(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store.db") as store:
        reader = Reader.of_store(store)
        assert gantt_page(reader) is None
        store.write(Batch(sessions=[session("s1")], calls=[call("c1")]))
        assert page(reader).times is None
        assert page(reader).total == 1
