"""File events, folded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import file_events
from collector.file_events import FileEvents
from collector.folding import MAX_PAUSE_NS
from collector.processes import ProcessTable
from collector.redaction import Redactor
from collector.rows import FileEventRow
from probes import frames
from probes.events import FileOperation, FileTouched, ProcessExecuted
from tests.action_frames import (
    APPEND,
    CREATE,
    EXCLUSIVE,
    READ,
    READ_WRITE,
    TRUNCATE,
    WRITE,
    touch,
)
from tests.frames import AGENT, API_KEY, INFO, SALT, STARTED_NS, executed

RENAME, LINK = FileOperation.RENAME, FileOperation.LINK


def stage() -> FileEvents:
    return FileEvents(INFO, ProcessTable(INFO), Redactor(SALT).redact_text)


def rows_of(events: Iterable[FileTouched], takes: Sequence[int] = ()) -> list[FileEventRow]:
    """The rows as a store holds them at the end; rows are taken after the events `takes`."""
    stage_of_events = stage()
    stored: dict[str, FileEventRow] = {}
    for number, event in enumerate(events):
        stage_of_events.touched(event)
        if number in takes:
            stored.update((row.file_event_id, row) for row in stage_of_events.take())
    stored.update((row.file_event_id, row) for row in stage_of_events.take())
    return list(stored.values())


def told(rows: Iterable[FileEventRow]) -> list[tuple[str, str | None, str, int]]:
    return [(row.operation, row.access, row.path, row.count) for row in rows]


def test_an_open_with_all_that_it_asked_for() -> None:
    flags = READ_WRITE | CREATE | EXCLUSIVE | TRUNCATE | APPEND | 0o2000000  # O_CLOEXEC
    (row,) = rows_of([touch("/src/a", 5, flags=flags, device=7, inode=9)])
    assert row.process_key == ProcessTable(INFO).key(AGENT, STARTED_NS)
    assert asdict(row) == {
        "file_event_id": row.file_event_id,
        "capture_id": INFO.capture_id,
        "process_key": row.process_key,
        "pid": AGENT,
        "first_ns": INFO.wall_ns(5),
        "last_ns": INFO.wall_ns(5),
        "count": 1,
        "operation": "open",
        "access": "read_write",
        "path": "/src/a",
        "new_path": None,
        "error": None,
        "creates": True,
        "exclusive": True,
        "truncates": True,
        "appends": True,
        "mode": None,
        "size_bytes": None,
        "device": 7,
        "inode": 9,
        "sensitive": None,
        "truncated": False,
    }


@pytest.mark.parametrize(
    ("flags", "access"),
    [(READ, "read"), (WRITE | CREATE, "write"), (READ_WRITE, "read_write"), (3, None),
     (0o10000000, None)],
)  # fmt: skip
def test_what_an_open_was_for(flags: int, access: str | None) -> None:
    (row,) = rows_of([touch("/a", flags=flags)])
    assert row.access == access


def test_what_is_not_known_is_none() -> None:
    (row,) = rows_of([touch("", operation=FileOperation.UNLINK, result=-14, truncated=True)])
    assert (row.device, row.inode, row.access, row.mode, row.size_bytes) == (None,) * 5
    assert (row.error, row.truncated) == ("EFAULT", True)


def test_modes_and_lengths_stand_where_they_belong() -> None:
    events = [
        touch("/a", 1, operation=FileOperation.CHMOD, result=0, flags=0o100755),
        touch("/a", 2, operation=FileOperation.TRUNCATE, result=0, flags=1 << 33),
        touch("/a", 3, operation=FileOperation.MKDIR, result=-17, flags=0o777),
    ]
    chmod, truncate, mkdir = rows_of(events)
    assert (chmod.mode, chmod.size_bytes, chmod.creates) == (0o755, None, False)
    assert (truncate.mode, truncate.size_bytes) == (None, 1 << 33)
    assert (mkdir.mode, mkdir.error) == (None, "EEXIST")


def test_equal_events_in_a_row_are_one_row() -> None:
    events = [touch("/a", at, result=3 + at) for at in range(1, 6)]
    (row,) = rows_of([*events, touch("/b", 6)])[:1]
    assert (row.count, row.first_ns, row.last_ns) == (5, INFO.wall_ns(1), INFO.wall_ns(5))


def test_any_other_event_on_the_path_ends_the_row() -> None:
    events = [
        touch("/a", 1),
        touch("/a", 2, flags=WRITE),
        touch("/a", 3),
        touch("/a", 4, result=-13),
        touch("/a", 5, inode=4),
        touch("/a", 6, inode=4),
        touch("/b", 7),
        touch("/a", 8, inode=4),
    ]
    rows = rows_of(events)
    assert told(rows) == [
        ("open", "read", "/a", 1),
        ("open", "write", "/a", 1),
        ("open", "read", "/a", 1),
        ("open", "read", "/a", 1),
        ("open", "read", "/a", 3),
        ("open", "read", "/b", 1),
    ]
    assert len({row.file_event_id for row in rows}) == len(rows)


def test_a_rename_is_an_event_on_both_of_its_paths() -> None:
    move: dict[str, Any] = {"operation": RENAME, "result": 0, "new_path": "/b"}
    events = [touch("/b", 1), touch("/a", 2, **move), touch("/a", 3, **move), touch("/b", 4)]
    rows = rows_of(events)
    assert [(row.operation, row.count) for row in rows] == [("open", 1), ("rename", 2), ("open", 1)]
    assert (rows[1].path, rows[1].new_path) == ("/a", "/b")
    again = rows_of([*events, touch("/a", 5, **move)])
    assert [row.count for row in again] == [1, 2, 1, 1]  # /b was opened in between


def test_processes_and_their_programs_are_apart() -> None:
    processes = ProcessTable(INFO)
    events = FileEvents(INFO, processes, str)
    events.touched(touch("/a", 1))
    events.touched(touch("/a", 2, pid=7, tid=7))
    for at in (3, 5):
        event = frames.decode(executed(AGENT, 1, [b"sh"], at=at))
        assert isinstance(event, ProcessExecuted)
        processes.executed(event)
    events.touched(touch("/a", 6))
    events.touched(touch("/a", 4))  # of the first program, and late
    base, other = processes.key(AGENT, STARTED_NS), processes.key(7, STARTED_NS)
    assert [(row.process_key, row.count) for row in events.take()] == [
        (base, 2),
        (other, 1),
        (f"{base}:1", 1),
    ]


def test_an_event_that_is_older_than_its_row_begins_another() -> None:
    rows = rows_of([touch("/a", 9), touch("/a", 8, tid=5), touch("/a", 10)])
    assert [(row.first_ns, row.count) for row in rows] == [
        (INFO.wall_ns(9), 1),
        (INFO.wall_ns(8), 2),
    ]


def test_a_long_pause_ends_a_row() -> None:
    late = 3 + MAX_PAUSE_NS
    rows = rows_of([touch("/a", 1), touch("/a", 3), touch("/a", late), touch("/a", 2 * late)])
    assert [(row.first_ns, row.last_ns, row.count) for row in rows] == [
        (INFO.wall_ns(1), INFO.wall_ns(late), 3),
        (INFO.wall_ns(2 * late), INFO.wall_ns(2 * late), 1),
    ]


def test_rows_are_final_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_events, "OPEN_PLACES", 3)
    events = stage()
    for at in range(10_000):
        events.touched(touch(f"/{at % 4}", at))
        assert len(events._folding) <= 3
    assert [row.count for row in events.take()] == [1] * 10_000
    few = rows_of(touch(f"/{at % 3}", at) for at in range(9))
    assert [row.count for row in few] == [3, 3, 3]


def test_secrets_in_names_are_masked() -> None:
    key = API_KEY.decode()
    (row,) = rows_of([touch(f"/tmp/{key}", operation=RENAME, new_path=f"/tmp/b-{key}.json")])
    assert key not in row.path
    assert row.new_path is not None
    assert key not in row.new_path
    assert len(row.path) == len(f"/tmp/{key}")
    assert "[redacted:" in row.path


def test_sensitive_paths_say_why() -> None:
    moved = touch("/tmp/x", 2, operation=LINK, new_path="/home/me/.ssh/id_ed25519")
    rows = rows_of([touch("/home/me/.ssh/id_ed25519", 1), touch("/src/main.c", 3), moved])
    assert [row.sensitive for row in rows] == ["ssh_key", None, "ssh_key"]


EVENTS = st.lists(
    st.builds(
        lambda path, new_path, operation, flags, result, pid, pause: (
            *(path, new_path if operation in (RENAME, LINK) else None),
            *(operation, flags, result, pid, pause),
        ),
        st.sampled_from(["/a", "/b", "/c"]),
        st.sampled_from(["/a", "/b"]),
        st.sampled_from([FileOperation.OPEN, FileOperation.UNLINK, RENAME, LINK]),
        st.sampled_from([READ, WRITE, WRITE | CREATE]),
        st.sampled_from([0, 3, -2]),
        st.sampled_from([AGENT, 7]),
        st.sampled_from([1, 2, MAX_PAUSE_NS // 2, MAX_PAUSE_NS, MAX_PAUSE_NS + 1]),
    ),
    max_size=40,
)
Made = tuple[str, str | None, FileOperation, int, int, int, int]


def of_made(made: Iterable[Made]) -> list[FileTouched]:
    """Events; the last of what makes one is the time since the one before."""
    events, at = [], 0
    for path, new_path, operation, flags, result, pid, pause in made:
        at += pause
        one = touch(path, at, operation=operation, flags=flags, result=result, pid=pid)
        events.append(replace(one, new_path=new_path))
    return events


@given(EVENTS, st.sets(st.integers(0, 40)))
def test_no_count_is_lost_and_batches_make_no_difference(made: list[Made], takes: set[int]) -> None:
    events = of_made(made)
    rows = rows_of(events)
    assert sum(row.count for row in rows) == len(events)
    assert rows_of(events, sorted(takes)) == rows
    assert len({row.file_event_id for row in rows}) == len(rows)


@given(EVENTS)
def test_folding_is_what_its_rule_says(made: list[Made]) -> None:
    """Two events share a row if nothing else happened on their paths in that process, and no long
    time went by."""
    events = of_made(made)
    expected: list[list[FileTouched]] = []
    for number, event in enumerate(events):
        paths = {event.path, event.new_path} - {None}
        before = [
            one
            for one in events[:number]
            if one.pid == event.pid and {one.path, one.new_path} & paths
        ]
        same = bool(before) and _facts(before[-1]) == _facts(event)
        same = same and event.ktime_ns - before[-1].ktime_ns <= MAX_PAUSE_NS
        if same:
            next(group for group in expected if before[-1] in group).append(event)
        else:
            expected.append([event])
    rows = rows_of(events)
    assert [(row.first_ns, row.last_ns, row.count) for row in rows] == [
        (INFO.wall_ns(group[0].ktime_ns), INFO.wall_ns(group[-1].ktime_ns), len(group))
        for group in expected
    ]


def _facts(event: FileTouched) -> tuple[object, ...]:
    opens = event.operation is FileOperation.OPEN
    return (
        *(event.path, event.new_path, event.operation, min(event.result, 0), event.pid),
        event.flags if opens else 0,
    )
