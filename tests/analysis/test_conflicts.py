"""All conflicts together, and who acts."""

from __future__ import annotations

import time
from random import Random

import pytest

from analysis.actors import Actor, Actors, actors_of, attributed, process_of
from analysis.conflicts import CONFLICT_KINDS, conflicts
from analysis.derived import ToolActionRow
from analysis.steps import FileStep, ProcessStep, SessionStep
from tests.analysis.acting import S, actor, fail, free, read, take, write

A, B = actor("a", seconds=100), actor("b", seconds=100)


def test_each_kind_in_order_of_time() -> None:
    lock = "/w/.lock"
    files = [
        *(write("a", 1, "/w/x"), write("b", 9, "/w/x")),
        *(write("a", 11, "/w/y"), write("b", 12, "/w/y")),
        *(take("a", 20, lock), fail("b", 21, 24, lock, 30), free("a", 24, lock)),
    ]
    files += [read(who, 30 + n + (who == "b") / 2, f"/w/{n}") for who in "ab" for n in range(30)]
    found = conflicts([A, B], files)
    assert [finding.kind for finding in found] == [
        "overwritten_work",
        "write_conflict",
        "lock_wait",
        "duplicate_work",
    ]
    assert {finding.kind for finding in found} == CONFLICT_KINDS
    assert len({finding.evidence[0].id for finding in found}) == 4
    assert conflicts([A, B], list(reversed(files))) == found


def test_nothing_and_nobody() -> None:
    assert conflicts([], []) == []
    assert conflicts([A, B], []) == []
    assert conflicts([], [write("a", 1, "/w/x"), write("b", 9, "/w/x")]) == []


def test_hostile_rows_do_no_harm() -> None:
    odd = [
        FileStep("1", "a", 1, None, 9, 3, 0, "rename", None, "", None, None),
        FileStep("2", "b", 1, "?", -5, 2**62, 2**40, "link", None, "\udcff/.lock", ""),
        FileStep("3", "a", 1, None, 0, 0, 1, "unheard", "of", "/.lock", "/.lock", "EEXIST"),
        FileStep("4", "b", 1, None, 7, 7, 3, "symlink", None, "/x.lock", None, "EEXIST"),
        fail("b", 5, 2, "/x.lock", 3),
        fail("a", 5, 5, "/x.lock", 0),
    ]
    assert isinstance(conflicts([A, B], odd), list)


def test_a_process_works_for_its_session() -> None:
    sessions = [
        SessionStep("s1", "read", "claude-code", "2.0", None, 10, 0),
        SessionStep("s2", "read", None, None, None, 20, 0),
        SessionStep("s3", "read", "claude-code", "2.0", "s1", None, 0),
    ]

    def ran(pid: int, session: str | None, ended: int | None, argv: str = "sh") -> ProcessStep:
        key = f"boot:{pid}:1"
        words = tuple(argv.split())
        return ProcessStep(key, pid, 5 if pid == 10 else 1, words, None, 0, pid, session, ended)

    processes = [
        ran(10, "s1", 99), ran(11, "s1", 50), ran(20, "s2", None, "python -u /x/agent.py one"),
        ran(1, None, None), ran(5, "s1", None),
    ]  # fmt: skip
    first, second, third = actors_of(sessions, processes)
    assert (first.label, first.wall_ns) == ("claude-code (pid 10)", 89)
    assert first.process_keys == {"boot:10:1", "boot:11:1"}
    assert (second.label, second.wall_ns) == ("agent.py (pid 20)", None)
    assert (third.label, third.process_keys, third.wall_ns) == ("claude-code s3", frozenset(), None)


def test_whose_step_it_is() -> None:
    one = Actor("1", "s1", "one", frozenset({"boot:10:1"}))
    two = Actor("2", "s2", "two", frozenset())
    known = Actors([one, two])
    by = FileStep("f1", "boot:10:1:3", 10, None, 1, 1, 1, "unlink", None, "/x")
    assert process_of(by.process_key) == "boot:10:1"
    assert known.of_file(by) is one
    assert known.of_session("s2") is two
    caused = ToolActionRow("s2", "c", "t", "file", "f1", 1, "path", "certain")
    (step,) = attributed([by], [caused])
    assert known.of_file(step) is two  # a sub-agent in the process of another
    likely = ToolActionRow("s2", "c", "t", "file", "f1", 1, "window", "likely")
    assert attributed([by], [likely]) == [by]


def test_time_grows_with_the_number_of_steps() -> None:
    def busy(count: int) -> list[FileStep]:
        files: list[FileStep] = []
        for n in range(count):
            who, lock = "ab"[n % 2], f"/w/{n % 7}.lock"
            files += [fail(who, n, n + 0.2, lock, 5), take(who, n + 0.3, lock)]
            files += [write(who, n + 0.4, f"/w/{n % 50}"), read(who, n + 0.5, f"/w/{n % 90}")]
            files.append(free(who, n + 0.6, lock))
        return files

    def seconds(files: list[FileStep]) -> float:
        begin = time.process_time()
        conflicts([A, B], files)
        return time.process_time() - begin

    small, large = busy(500), busy(8000)
    seconds(small)
    assert seconds(large) < 16 * 4 * seconds(small) + 0.2


def any_steps(chance: Random) -> list[FileStep]:
    """Up to thirty rows that may contradict each other."""
    return [
        FileStep(
            file_event_id=f"f{number:02}",
            process_key=chance.choice("abz"),
            pid=1,
            session_id=chance.choice((None, "session-a", "?")),
            first_ns=(first := chance.randrange(50 * S)),
            last_ns=chance.choice((first, first, chance.randrange(90 * S))),
            count=chance.choice((0, 1, 1, 2, 5)),
            operation=chance.choice(
                ("open", "open", "open", "unlink", "rmdir", "rename", "mkdir", "link", "truncate")
            ),
            access=chance.choice((None, "read", "write", "read_write")),
            path=chance.choice(("/w/x", "/w/x.lock", "/w/y")),
            new_path=chance.choice((None, "/w/x", "/w/x.lock", "/w/y")),
            error=chance.choice((None, None, "EEXIST", "ENOENT")),
            creates=chance.random() < 0.5,
            exclusive=chance.random() < 0.5,
            truncates=chance.random() < 0.5,
            appends=chance.random() < 0.5,
            device=chance.choice((None, 1)),
            inode=chance.choice((None, 1, 2)),
        )
        for number in range(chance.randrange(30))
    ]


@pytest.mark.parametrize("seed", range(300))
def test_any_steps_in_any_order(seed: int) -> None:
    chance = Random(seed)
    files = any_steps(chance)
    found = conflicts([A, B], files)
    assert conflicts([A, B], chance.sample(files, len(files))) == found
    known = {step.file_event_id for step in files} | {A.session_id, B.session_id}
    tries = sum(step.count for step in files if step.error == "EEXIST")
    assert sum(finding.count for finding in found if finding.kind == "lock_wait") <= tries
    for finding in found:
        assert {each.id for each in finding.evidence} <= known
        assert finding.session_id in (A.session_id, B.session_id)
        assert (finding.first_at_ns or 0) <= (finding.last_at_ns or 0)
        assert finding.waited_ms is None or 0 <= finding.waited_ms <= 90_000
