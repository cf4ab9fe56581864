from __future__ import annotations

import pytest

from collector import processes
from collector.pipeline import Pipeline
from collector.processes import ProcessTable
from collector.rows import ProcessRow
from probes import frames
from probes.events import (
    ProbeState,
    ProcessExecuted,
    ProcessExited,
    ProcessForked,
    ProcessPath,
    ProcessSeen,
)
from tests.frames import INFO, SECOND, STARTED_NS, executed, exited, forked, path

AGENT, SHELL, TOOL = 100, 200, 300


def feed(table: ProcessTable, *captured: bytes) -> list[ProcessRow]:
    """Rows that change with these frames."""
    for frame in captured:
        event = frames.decode(frame)
        if isinstance(event, ProcessForked):
            table.forked(event)
        elif isinstance(event, ProcessExecuted):
            table.executed(event)
        elif isinstance(event, ProcessPath):
            table.path(event)
        elif isinstance(event, ProcessExited):
            table.exited(event)
        else:
            assert isinstance(event, ProcessSeen)
            table.seen(event)
    return table.take()


def seen(pid: int, ppid: int, comm: str = "agent") -> bytes:
    event = ProcessSeen(5, pid, STARTED_NS, ppid, comm, f"/bin/{comm}", (comm, "-v"), "/src", 1000)
    return frames.encode(event)


def sessions(rows: list[ProcessRow]) -> dict[int, str | None]:
    return {row.pid: row.session_id for row in rows}


def test_a_command_from_fork_to_exit() -> None:
    table = ProcessTable(INFO)
    (row,) = feed(table, seen(AGENT, 1))
    assert (row.exe, row.argv, row.cwd) == ("/bin/agent", ("agent", "-v"), "/src")
    assert row.started_ns == STARTED_NS + INFO.boottime_offset_ns
    assert table.comm(AGENT) == "agent"

    (row,) = feed(table, forked(SHELL, AGENT))
    # It still runs its parent's program.
    assert (row.ppid, row.exe, row.argv, row.cwd) == (AGENT, "/bin/agent", (), "/src")

    (row,) = feed(
        table,
        executed(SHELL, AGENT, [b"bash", b"-c", b"ls"], at=9),
        path(SHELL, [b"usr", b"bin", b"bash"]),
        path(SHELL, [b"home", b"me"], directory=True),
    )
    assert (row.comm, row.argv) == ("bash", ("bash", "-c", "ls"))
    assert (row.exe, row.cwd) == ("/usr/bin/bash", "/home/me")
    assert row.process_key == table.key(SHELL, STARTED_NS)

    (row,) = feed(table, exited(SHELL, 2 << 8, at=SECOND))
    assert (row.exit_code, row.signal, row.ended_ns) == (2, None, INFO.wall_ns(SECOND))
    assert table.comm(SHELL) is None
    assert feed(table, exited(SHELL, 0)) == []


def test_a_second_program_of_a_process_is_a_row_of_its_own() -> None:
    table = ProcessTable(INFO)
    feed(table, forked(SHELL, AGENT), executed(SHELL, AGENT, [b"sh", b"-c", b"exec sudo id"]))
    shell, sudo = feed(table, executed(SHELL, AGENT, [b"/usr/bin/sudo", b"id"], at=7))
    assert (shell.argv, shell.ended_ns) == (("sh", "-c", "exec sudo id"), INFO.wall_ns(7))
    assert (sudo.argv, sudo.started_ns) == (("/usr/bin/sudo", "id"), INFO.wall_ns(7))
    assert sudo.process_key != shell.process_key
    assert sudo.comm == "sudo"
    (_, third) = feed(table, executed(SHELL, AGENT, [b"id"], at=8))
    assert len({shell.process_key, sudo.process_key, third.process_key}) == 3
    (row,) = feed(table, exited(SHELL, 9))
    assert (row.process_key, row.signal, row.exit_code) == (third.process_key, 9, None)


def test_a_program_after_one_that_ran_before_capture_is_a_row_of_its_own() -> None:
    table = ProcessTable(INFO)
    (before,) = feed(table, seen(AGENT, 1))
    ended, after = feed(table, executed(AGENT, 1, [b"node"], at=7))
    assert ended.process_key == before.process_key
    assert after.process_key != before.process_key


def test_a_program_whose_fork_was_lost() -> None:
    (row,) = feed(ProcessTable(INFO), executed(TOOL, 1, [b"make"], cut_bytes=5))
    assert (row.pid, row.argv, row.argv_truncated, row.exe) == (TOOL, ("make",), True, None)


def test_what_is_not_known_is_passed_over() -> None:
    table = ProcessTable(INFO)
    assert feed(table, path(TOOL, [b"bin", b"x"]), exited(TOOL, 0)) == []
    table.link(TOOL, "s1")
    assert table.take() == []


def test_rows_are_given_out_once() -> None:
    table = ProcessTable(INFO)
    assert feed(table, forked(SHELL, AGENT))
    assert table.take() == []


def test_a_session_is_that_of_the_whole_tree() -> None:
    table = ProcessTable(INFO)
    feed(table, seen(1000, 1, "tmux"), forked(AGENT, 1000), forked(SHELL, AGENT))
    table.link(AGENT, "s1")
    assert sessions(table.take()) == {1000: "s1", AGENT: "s1", SHELL: "s1"}
    assert sessions(feed(table, forked(TOOL, SHELL))) == {TOOL: "s1"}
    (row,) = feed(table, executed(TOOL, SHELL, [b"pytest"]))
    assert row.session_id == "s1"


def test_the_nearest_ancestor_that_talks_to_a_model_decides() -> None:
    table = ProcessTable(INFO)
    feed(table, seen(AGENT, 1), forked(SHELL, AGENT))
    table.link(AGENT, "outer")
    table.link(SHELL, "inner")
    table.take()
    assert sessions(feed(table, forked(TOOL, SHELL))) == {TOOL: "inner"}
    table.link(AGENT, "outer")
    assert table.take() == []
    table.link(AGENT, "next")
    assert sessions(table.take()) == {AGENT: "next"}


def test_a_session_of_a_child_reaches_ancestors_without_one() -> None:
    table = ProcessTable(INFO)
    feed(table, seen(1000, 1, "runner"), seen(AGENT, 1000), forked(SHELL, AGENT))
    table.link(SHELL, "s1")
    assert sessions(table.take()) == {1000: "s1", AGENT: "s1", SHELL: "s1"}


def test_a_pid_that_is_used_again_is_another_process() -> None:
    table = ProcessTable(INFO)
    (first,) = feed(table, forked(SHELL, AGENT))
    feed(table, exited(SHELL, 0))
    (second,) = feed(table, forked(SHELL, AGENT, start_ns=STARTED_NS + SECOND))
    assert first.process_key != second.process_key
    assert second.ended_ns is None


def test_the_start_from_proc_and_from_the_kernel_give_one_key() -> None:
    table = ProcessTable(INFO)
    in_ticks = STARTED_NS // 10_000_000 * 10_000_000
    assert table.key(7, STARTED_NS + 9_999_999) == table.key(7, in_ticks)


def test_processes_that_ended_leave_nothing_behind() -> None:
    table = ProcessTable(INFO)
    feed(table, seen(AGENT, 1))
    for pid in range(1000, 1500):
        feed(table, forked(pid, AGENT), executed(pid, AGENT, [b"true"]), exited(pid, 0))
    assert len(table._living) == 1
    assert table._living[AGENT].children == []


def test_a_program_is_found_by_the_time_of_an_event() -> None:
    table = ProcessTable(INFO)
    base = table.key(SHELL, STARTED_NS)
    assert table.key_at(SHELL, STARTED_NS, 5) == base  # never heard of
    feed(table, forked(SHELL, AGENT, at=1), executed(SHELL, AGENT, [b"sh"], at=10))
    feed(table, *(executed(SHELL, AGENT, [b"sudo"], at=at) for at in (20, 30)))
    keys = [table.key_at(SHELL, STARTED_NS, at) for at in (5, 19, 20, 29, 30, 99)]
    assert keys == [base, base, f"{base}:1", f"{base}:1", f"{base}:2", f"{base}:2"]
    known = {row.process_key for row in feed(table, exited(SHELL, 0, at=40))}
    assert known == {f"{base}:2"}
    assert [table.key_at(SHELL, STARTED_NS, at) for at in (29, 99)] == [f"{base}:1", f"{base}:2"]


def test_a_late_event_of_a_pid_that_is_used_again_is_of_the_first_process() -> None:
    table = ProcessTable(INFO)
    for start_ns in (STARTED_NS, STARTED_NS + SECOND):
        feed(table, forked(SHELL, AGENT, start_ns=start_ns))
        for at in (10, 20):
            feed(table, executed(SHELL, AGENT, [b"sh"], start_ns=start_ns, at=at))
        feed(table, exited(SHELL, 0, start_ns=start_ns))
    feed(table, forked(SHELL, AGENT, start_ns=STARTED_NS + 2 * SECOND))
    assert table.key_at(SHELL, STARTED_NS, 25) == f"{table.key(SHELL, STARTED_NS)}:1"
    last = STARTED_NS + 2 * SECOND
    assert table.key_at(SHELL, last, 25) == table.key(SHELL, last)


def test_ended_processes_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "ENDED_PROCESSES", 3)
    table = ProcessTable(INFO)
    for pid in range(100, 200):
        feed(table, forked(pid, 1), executed(pid, 1, [b"a"]), executed(pid, 1, [b"b"], at=5))
        feed(table, exited(pid, 0))
    assert len(table._ended) == 3
    found = [table.key_at(pid, STARTED_NS, 9) for pid in (196, 197)]
    assert found == [table.key(196, STARTED_NS), f"{table.key(197, STARTED_NS)}:1"]


def test_a_tree_has_one_root() -> None:
    table = ProcessTable(INFO)
    feed(table, forked(AGENT, 1), forked(SHELL, AGENT), forked(TOOL, SHELL), forked(7, 2))
    root = table.key(AGENT, STARTED_NS)
    assert {table.root(pid, STARTED_NS) for pid in (AGENT, SHELL, TOOL)} == {root}
    assert table.root(7, STARTED_NS) == table.key(7, STARTED_NS)
    assert table.root(8, STARTED_NS) == table.key(8, STARTED_NS)
    feed(table, exited(TOOL, 0))
    assert table.root(TOOL, STARTED_NS) == root


def test_a_circle_of_parents_ends() -> None:
    table = ProcessTable(INFO)
    feed(table, forked(AGENT, SHELL), forked(SHELL, AGENT))
    assert table.root(AGENT, STARTED_NS)


def test_processes_that_another_capture_watches_are_told_no_more() -> None:
    pipeline = Pipeline(INFO, str)
    for frame in (
        executed(AGENT, 1, [b"agent"]),
        forked(SHELL, AGENT),
        executed(SHELL, AGENT, [b"underglass", b"run"]),
    ):
        pipeline.feed(frame)
    assert {row.pid for row in pipeline.take().processes} == {AGENT, SHELL}
    left = '{"watcher": 200, "pids": [300, 4711]}'  # the capture's own process is not among them
    for frame in (
        forked(TOOL, SHELL),
        frames.encode(ProbeState(1, "left_out", left, None, 0)),
        frames.encode(ProbeState(2, "left_out", "no JSON", None, 0)),
        exited(TOOL, 0),
        exited(SHELL, 2 << 8),
    ):
        pipeline.feed(frame)
    (capture,) = pipeline.take().processes
    assert (capture.pid, capture.exit_code) == (SHELL, 2)
