"""Waits at lock files, on rows written by hand."""

from __future__ import annotations

import random
from typing import Any

import pytest

from analysis.actors import Actor
from analysis.lock_waits import blocked_share, lock_findings, lock_waits, waited_ns
from analysis.steps import FileStep, ProcessStep
from tests.analysis.acting import S, actor, fail, free, process, read, step, take

A, B, C = actor("a", seconds=10), actor("b", seconds=10), actor("c", seconds=10)
LOCK = "/work/build.lock"


def waits(*files: FileStep, processes: tuple[ProcessStep, ...] = ()) -> list[dict[str, Any]]:
    """Who, for whom, tries, seconds."""
    return [
        {
            "who": wait.waiter.label,
            "for": wait.holder and wait.holder.label,
            "tries": wait.tries,
            "seconds": (wait.last_ns - wait.first_ns) / S,
            "acquired": wait.acquired,
        }
        for wait in lock_waits([A, B, C], files, processes)
    ]


def test_a_wait_lasts_from_the_first_failed_try_to_success() -> None:
    files = [
        take("a", 1, LOCK),
        fail("b", 1.5, 4.4, LOCK, 23),
        free("a", 4.45, LOCK),
        take("b", 4.9, LOCK),
        free("b", 5, LOCK),
    ]
    (wait,) = lock_waits([A, B, C], files)
    assert (wait.waiter, wait.holder, wait.tries, wait.acquired) == (B, A, 23, True)
    assert waited_ns([wait]) == 3.4 * S
    assert blocked_share([wait]) == pytest.approx(0.34)
    (finding,) = lock_findings([wait])
    assert (finding.kind, finding.session_id, finding.count) == ("lock_wait", B.session_id, 23)
    assert finding.waited_ms == 3400
    assert finding.severity == "warning"
    assert "b waited 3.40 s for a" in finding.title
    assert "blocked 34.0% of its time" in finding.title
    assert {each.id for each in finding.evidence} == {
        A.session_id,
        files[0].file_event_id,
        files[1].file_event_id,
    }


def test_without_contention_nobody_waits() -> None:
    files = [
        *(take("a", 1, LOCK), free("a", 2, LOCK)),
        *(take("b", 3, LOCK), free("b", 4, LOCK)),
        *(take("a", 5, LOCK), free("a", 6, LOCK)),
    ]
    assert waits(*files) == []


def test_giving_up_ends_a_wait_at_its_last_try() -> None:
    found = waits(take("a", 1, LOCK), fail("b", 2, 4, LOCK, 5), free("a", 6, LOCK))
    assert found == [{"who": "b", "for": "a", "tries": 5, "seconds": 2, "acquired": False}]


def test_a_lock_that_changes_hands_is_waited_for_twice() -> None:
    found = waits(
        take("a", 0, LOCK),
        fail("b", 1, 5, LOCK, 5),  # at 1, 2, 3, 4, 5
        free("a", 3.4, LOCK),
        take("c", 3.5, LOCK),
        free("c", 5.5, LOCK),
        take("b", 6, LOCK),
    )
    assert found == [
        {"who": "b", "for": "a", "tries": 3, "seconds": 2.5, "acquired": None},
        {"who": "b", "for": "c", "tries": 2, "seconds": 2.5, "acquired": True},
    ]


def test_a_holder_that_was_slept_through_is_not_waited_for() -> None:
    found = waits(
        take("a", 0, LOCK),
        fail("b", 1, 3, LOCK, 2),
        free("a", 3.1, LOCK),
        take("c", 3.2, LOCK),
        free("c", 3.3, LOCK),
        take("b", 5, LOCK),
    )
    assert [(one["for"], one["tries"], one["seconds"]) for one in found] == [("a", 2, 4)]


def test_a_try_may_be_told_before_the_success_it_lost_against() -> None:
    found = waits(fail("b", 0.999, 3, LOCK, 3), take("a", 1, LOCK), free("a", 3.5, LOCK))
    assert [(one["for"], one["tries"]) for one in found] == [("a", 3)]


def test_reading_the_lock_meanwhile_divides_no_wait() -> None:
    found = waits(
        take("a", 0, LOCK),
        fail("b", 1, 1, LOCK, 1),
        read("b", 1.1, LOCK),
        fail("b", 2, 2.5, LOCK, 2),
        read("b", 2.6, LOCK),
        free("a", 2.8, LOCK),
        take("b", 3, LOCK),
    )
    assert found == [{"who": "b", "for": "a", "tries": 3, "seconds": 2, "acquired": True}]


def test_two_processes_of_one_actor_do_not_wait_for_each_other() -> None:
    both = Actor("a", "session-a", "a", frozenset({"a", "a2"}))
    files = [take("a", 0, LOCK), fail("a2", 1, 2, LOCK, 9), free("a", 2.5, LOCK)]
    assert lock_waits([both, B], files) == []


@pytest.mark.parametrize("operation", ["mkdir", "link", "symlink"])
def test_directories_and_links_are_locks_too(operation: str) -> None:
    path = "/work/db.lock"

    def call(who: str, at: float, **fields: Any) -> FileStep:
        names = {"path": path} if operation == "mkdir" else {"path": f"/{who}", "new_path": path}
        return step(who, at, operation, **names, **fields)

    removed = "rmdir" if operation == "mkdir" else "unlink"
    found = waits(
        call("a", 1),
        call("b", 2, until=3, count=11, error="EEXIST"),
        step("a", 3.05, removed, path),
        call("b", 3.1),
    )
    assert found == [{"who": "b", "for": "a", "tries": 11, "seconds": 1.1, "acquired": True}]


def test_a_directory_that_is_there_already_is_no_lock() -> None:
    made = step("a", 1, "mkdir", "/work/build")
    again = step("b", 2, "mkdir", "/work/build", error="EEXIST", until=9, count=2)
    assert waits(made, again) == []
    removed = step("a", 10, "rmdir", "/work/build")
    assert waits(made, again, removed, step("b", 11, "mkdir", "/work/build")) == []


def test_what_is_written_once_is_no_lock() -> None:
    path = "/cache/entry"
    assert waits(take("a", 1, path), fail("b", 2, 3, path, 2)) == []


def test_git_gives_up_at_once() -> None:
    index = "/repo/.git/index.lock"
    files = [
        take("a", 1, index),
        fail("b", 1.5, 1.5, index, 1),
        step("a", 2, "rename", index, new_path="/repo/.git/index"),
        take("b", 70, index),
    ]
    assert waits(*files) == [{"who": "b", "for": "a", "tries": 1, "seconds": 0, "acquired": False}]


def test_tries_far_apart_are_no_wait() -> None:
    found = waits(take("a", 1, LOCK), fail("b", 100, 900, LOCK, 3), free("a", 950, LOCK))
    assert [(one["tries"], one["seconds"]) for one in found] == [(3, 0)]


def test_a_lock_that_lay_free_was_not_waited_for_meanwhile() -> None:
    found = waits(
        take("a", 0, LOCK),
        fail("b", 1, 40, LOCK, 40),
        free("a", 2, LOCK),
        take("c", 39, LOCK),
        free("c", 40.1, LOCK),
        take("b", 40.2, LOCK),
    )
    assert [one["for"] for one in found] == ["a", "c"]
    assert [one["seconds"] for one in found] == [1, pytest.approx(1.2)]
    assert sum(one["tries"] for one in found) == 40


def test_a_lock_of_a_dead_holder_is_stale() -> None:
    files = [take("a", 1, LOCK), fail("b", 2, 5, LOCK, 31), free("b", 5.1, LOCK)]
    (wait,) = lock_waits([A, B], files, [process("a", ended=3)])
    assert wait.stale_since_ns == 3 * S
    (finding,) = lock_findings([wait])
    assert "stale" in finding.title
    assert finding.severity == "warning"
    (wait,) = lock_waits([A, B], files, [process("a")])
    assert wait.stale_since_ns is None
    (wait,) = lock_waits([A, B], files)
    assert wait.stale_since_ns is None


def test_a_shell_holds_what_its_program_made() -> None:
    shell = Actor("a", "session-a", "a", frozenset({"a", "mkdir"}))
    files = [
        step("mkdir", 1, "mkdir", LOCK),
        step("b", 2, "mkdir", LOCK, until=4, count=9, error="EEXIST"),
    ]
    ended = process("mkdir", ended=1.01)
    (wait,) = lock_waits([shell, B], files, [ended, process("a")])
    assert wait.stale_since_ns is None
    (wait,) = lock_waits([shell, B], files, [ended, process("a", ended=3)])
    assert wait.stale_since_ns == 3 * S


def test_who_holds_it_may_not_be_known() -> None:
    found = waits(fail("b", 2, 5, LOCK, 31))
    assert [(one["for"], one["tries"], one["seconds"]) for one in found] == [(None, 31, 3)]
    (finding,) = lock_findings(lock_waits([B], [fail("b", 2, 5, LOCK, 31)]))
    assert "nobody seen" in finding.title


def test_sums_of_a_pair_over_its_locks() -> None:
    other = "/work/other.lock"
    files = [
        *(take("a", 0, LOCK), fail("b", 1, 2, LOCK, 10), free("a", 2, LOCK), take("b", 2.1, LOCK)),
        *(take("a", 4, other), fail("b", 5, 6, other, 7), free("a", 6, other), take("b", 6, other)),
    ]
    (finding,) = lock_findings(lock_waits([A, B], files))
    assert finding.count == 17
    assert finding.waited_ms == pytest.approx(2100)
    assert "2 locks" in finding.title


def test_a_share_is_not_said_where_the_time_is_not_known() -> None:
    waiter = actor("b")
    found = lock_waits([A, waiter], [take("a", 0, LOCK), fail("b", 1, 2, LOCK, 9)])
    assert blocked_share(found) is None
    (finding,) = lock_findings(found)
    assert "of its time" not in finding.title


@pytest.mark.parametrize("seed", range(20))
def test_a_schedule_is_found_as_it_was(seed: int) -> None:
    """Three actors, in turn, at one lock: as a simulation of them tells it."""
    chance = random.Random(seed)
    files: list[FileStep] = []
    free_at, holder = 0.0, ""
    expected: dict[tuple[str, str], list[float]] = {}
    for number in range(30):
        who = chance.choice([name for name in "abc" if name != holder])
        first = free_at - chance.uniform(0.2, 0.9) if number else 0.0
        got = free_at + chance.uniform(0.001, 0.04) if number else 0.0
        if number:
            tries = chance.randint(1, 40)
            last = first if tries == 1 else free_at - 0.01
            files.append(fail(who, first, last, LOCK, tries))
            sums = expected.setdefault((who, holder), [0, 0.0])
            sums[0] += tries
            sums[1] += got - first
        holder, free_at = who, got + chance.uniform(1, 2)
        files += [take(who, got, LOCK), free(who, free_at, LOCK)]
    chance.shuffle(files)
    found: dict[tuple[str, str], list[float]] = {}
    for wait in lock_waits([A, B, C], files):
        assert wait.holder is not None
        assert wait.acquired
        sums = found.setdefault((wait.waiter.label, wait.holder.label), [0, 0.0])
        sums[0] += wait.tries
        sums[1] += (wait.last_ns - wait.first_ns) / S
    assert found.keys() == expected.keys()
    for pair, sums in expected.items():
        assert found[pair][0] == sums[0]
        assert found[pair][1] == pytest.approx(sums[1], abs=1e-6)
