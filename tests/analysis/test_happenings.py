"""What happens in a store is told once, whatever happens to the store meanwhile."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis import happenings
from analysis.derived import FindingRow
from analysis.happenings import KINDS, Happenings
from analysis.reading import Reader
from analysis.where import BadFilter
from collector.database import run
from collector.rows import Batch
from collector.store import Store
from tests.collector.store_rows import MS, START_NS, call, process, tool_call


def running(call_id: str, started_ns: int, **more: Any) -> Any:
    return call(
        call_id=call_id, started_ns=started_ns, first_byte_ns=None, first_token_ns=None,
        ended_ns=None, status="running", **more,
    )  # fmt: skip


def finding(name: str, found_ns: int) -> FindingRow:
    return FindingRow(name, "s1", "s1", "repeat", "warning", found_ns, found_ns, f"finding {name}",
                      3, None, None, None, "[]", found_ns)  # fmt: skip


def exchange_findings(store: Store, rows: list[FindingRow]) -> None:
    """As the analyst does: away with the old ones, in with the new ones."""

    def change(connection: Any) -> None:
        run(connection, "DELETE FROM finding")
        for row in rows:
            values = [getattr(row, name) for name in row.__slots__]
            run(connection, f"INSERT INTO finding VALUES ({', '.join('?' * len(values))})", *values)

    store.derive(change)


def told(follower: Happenings, store: Store) -> list[tuple[str, str]]:
    reader = Reader.of_store(store)
    return [(one.event, name(one.kind, one.record)) for one in follower.read(reader)]


def name(kind: str, record: dict[str, Any]) -> str:
    return "/".join(str(record[each]) for each in KINDS[kind].key)


def test_a_day_in_the_life_of_a_store(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store.open(path) as store:
        store.write(Batch(calls=[running("old", START_NS - MS), call(call_id="over")]))
        follower = Happenings(("call", "tool", "finding"), START_NS + 1)
        follower.connected(Reader.of_store(store))
        assert told(follower, store) == [("call_ended", "over")]  # it began before, and ended after
        assert told(follower, store) == []
        store.write(Batch(calls=[running("a", START_NS + 5 * MS)]))
        assert told(follower, store) == [("call_started", "a")]
        store.write(
            Batch(
                calls=[
                    call(call_id="a", started_ns=START_NS + 5 * MS, ended_ns=START_NS + 9 * MS),
                    call(call_id="b", started_ns=START_NS + 7 * MS, ended_ns=START_NS + 8 * MS),
                    call(call_id="old", started_ns=START_NS - MS, ended_ns=START_NS + 10 * MS),
                ],
                tool_calls=[
                    tool_call(tool_call_id="t", call_id="a", requested_ns=START_NS + 9 * MS,
                              result_ns=None, result_hash=None),
                ],
            )
        )  # fmt: skip
        assert told(follower, store) == [
            ("call_started", "b"),
            ("call_ended", "b"),
            ("call_ended", "a"),
            ("tool", "a/t"),
            ("call_ended", "old"),
        ]
        exchange_findings(store, [finding("f", START_NS + 20 * MS)])
        assert told(follower, store) == [("finding", "f")]
        exchange_findings(store, [finding(x, START_NS + y * MS) for x, y in (("f", 20), ("g", 19))])
        assert told(follower, store) == [("finding", "g")]
    with Store.open(path) as store:  # another owner
        follower.connected(Reader.of_store(store))
        store.write(
            Batch(tool_calls=[tool_call(tool_call_id="t", call_id="a",
                                        requested_ns=START_NS + 9 * MS,
                                        result_ns=START_NS + 30 * MS)])
        )  # fmt: skip
        assert told(follower, store) == [("tool_result", "a/t")]
    path.unlink()  # and another store in its place: what is known is not told again
    with Store.open(path) as store:
        store.write(Batch(calls=[call(call_id=x, started_ns=START_NS + MS) for x in "abc"]))
        follower.connected(Reader.of_store(store))
        assert told(follower, store) == [("call_started", "c"), ("call_ended", "c")]


@pytest.mark.parametrize("seed", [7])
def test_each_event_once_in_a_random_life(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oracle is what was written: a beginning and, unless it is open, an end of each row."""
    monkeypatch.setattr(happenings, "_PAGE_ROWS", 7)
    chance = random.Random(seed)
    follower = Happenings(("call", "tool", "process"), START_NS)
    path = tmp_path / "s.db"
    store = Store.open(path)
    follower.connected(Reader.of_store(store))
    clock, known, expected, seen = START_NS, dict[str, Any](), list[str](), list[str]()
    for number in range(30):
        clock += chance.randrange(10**9)
        batch = Batch()
        for each in range(chance.choice((0, 1, 20))):
            key, early = f"{number}.{each}", clock - chance.randrange(10**9) * (clock > 2 * 10**9)
            early = max(early, START_NS)
            made = chance.choice(
                (
                    running(key, early),
                    process(process_key=key, started_ns=early, ended_ns=None),
                    tool_call(tool_call_id=key, requested_ns=early, result_ns=None),
                    call(call_id=key, started_ns=early, ended_ns=clock),
                )
            )
            known[key] = made
            _into(batch, made)
            expected.append(f"begin {key}")
            if getattr(made, "status", "running") == "ok":
                expected.append(f"end {known.pop(key).call_id}")
        store.write(batch)
        batch = Batch()
        for key in chance.sample(sorted(known), min(len(known), chance.choice((0, 1, 5)))):
            made = known.pop(key)
            ended = {"result_ns": clock} if hasattr(made, "result_ns") else {"ended_ns": clock}
            if hasattr(made, "status"):
                ended["status"] = "error"  # type: ignore[assignment]
            _into(batch, replace(made, **ended))
            expected.append(f"end {key}")
        store.write(batch)
        if chance.random() < 0.5:
            seen += _told(follower, store)
        if chance.random() < 0.1:
            store.checkpoint()
        if chance.random() < 0.05:
            store.close()
            store = Store.open(path)
            follower.connected(Reader.of_store(store))
    for _ in range(happenings._LONG_EVERY + 1):
        seen += _told(follower, store)
    store.close()
    assert sorted(seen) == sorted(expected)


def _told(follower: Happenings, store: Store) -> list[str]:
    what = {"call_ended": "end", "tool_result": "end", "process_ended": "end"}
    return [f"{what.get(event, 'begin')} {key.rpartition('/')[2]}"
            for event, key in told(follower, store)]  # fmt: skip


def _into(batch: Batch, row: Any) -> None:
    rows: dict[str, Any] = {
        "CallRow": batch.calls,
        "ProcessRow": batch.processes,
        "ToolCallRow": batch.tool_calls,
    }
    rows[type(row).__name__].append(row)


def test_a_filter_leaves_out_kinds_that_lack_its_column(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.db") as store:
        reader = Reader.of_store(store)
        follower = Happenings(("call", "tool"), START_NS, where="model:opus", session="s2")
        follower.connected(reader)
        assert follower.left_out == ("tool",)
        store.write(
            Batch(
                calls=[
                    call(call_id="x", model="claude-opus-5", session_id="s2-and-more"),
                    call(call_id="y", model="claude-opus-5", session_id="s1"),
                    call(call_id="z", session_id="s2"),
                ]
            )
        )
        assert told(follower, store) == [("call_started", "x"), ("call_ended", "x")]
        with pytest.raises(BadFilter):
            Happenings(("call", "tool"), START_NS, where="colour:red").connected(reader)
