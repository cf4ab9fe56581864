"""Lost work, on rows written by hand."""

from __future__ import annotations

from analysis.actors import Actor
from analysis.overwrites import losses, overwrite_findings
from analysis.steps import FileStep, Finding, ProcessStep
from tests.analysis.acting import S, actor, fail, free, process, read, step, take, write

A, B = actor("a"), actor("b")
FILE = "/work/plan.md"


def found(*files: FileStep, processes: tuple[ProcessStep, ...] = ()) -> list[Finding]:
    return overwrite_findings(losses([A, B], files, processes), processes)


def test_writing_over_what_was_not_read_loses_it() -> None:
    files = [read("b", 0, FILE), write("a", 1, FILE), write("b", 20, FILE)]
    (finding,) = found(*files)
    assert (finding.kind, finding.session_id) == ("overwritten_work", A.session_id)
    assert finding.count == 1
    assert finding.title == f"b overwrote unread what a wrote: {FILE}"
    assert (finding.first_at_ns, finding.last_at_ns) == (1 * S, 20 * S)
    assert [each.id for each in finding.evidence] == [
        files[2].file_event_id,
        B.session_id,
        files[1].file_event_id,
    ]


def test_who_read_it_edits_knowingly() -> None:
    assert found(write("a", 1, FILE), read("b", 19, FILE), write("b", 20, FILE)) == []
    update = step("b", 20, "open", FILE, access="read_write")
    assert found(write("a", 1, FILE), update) == []
    folded = read("b", 0, FILE, until=40, count=5)
    assert found(write("a", 1, FILE), folded, write("b", 20, FILE)) == []


def test_own_work_may_be_written_over() -> None:
    assert found(write("a", 1, FILE), write("a", 2, FILE)) == []
    both = Actor("a", "session-a", "a", frozenset({"a", "b"}))
    assert losses([both], [write("a", 1, FILE), write("b", 2, FILE)]) == []


def test_in_turn_is_a_conflict() -> None:
    (finding,) = found(*(write("ab"[n % 2], 10 * n, FILE) for n in range(5)))
    assert (finding.kind, finding.count) == ("write_conflict", 4)
    assert "wrote over each other 4 times" in finding.title
    # The rows of the same, folded: a's three writes are one.
    (finding,) = found(write("a", 0, FILE, until=40, count=3), write("b", 10, FILE))
    assert (finding.kind, finding.count) == ("write_conflict", 2)


def test_at_one_moment_is_a_conflict() -> None:
    (finding,) = found(write("a", 1, FILE), write("b", 1.5, FILE))
    assert finding.kind == "write_conflict"
    assert "at the same moment" in finding.title


def test_appending_loses_nothing() -> None:
    def append(who: str, at: float) -> FileStep:
        return step(who, at, "open", FILE, access="write", creates=True, appends=True)

    assert found(*(append("ab"[n % 2], n) for n in range(6))) == []
    (finding,) = found(append("a", 1), write("b", 9, FILE))
    assert finding.kind == "overwritten_work"


def test_touch_writes_nothing() -> None:
    touch = step("b", 9, "open", FILE, access="write", creates=True)
    assert found(write("a", 1, FILE), touch) == []


def test_renaming_over_a_file_writes_it() -> None:
    def replaced(who: str, at: float) -> list[FileStep]:
        new = f"{FILE}.{who}.tmp"
        return [take(who, at, new), step(who, at + 0.1, "rename", new, new_path=FILE)]

    (finding,) = found(*replaced("a", 1), *replaced("b", 20))
    assert (finding.kind, finding.count) == ("overwritten_work", 1)
    assert FILE in finding.title
    assert found(*replaced("a", 1), read("b", 19, FILE), *replaced("b", 20)) == []


def test_work_moves_with_its_name() -> None:
    moved = step("a", 2, "rename", FILE, new_path="/work/done.md")
    (finding,) = found(write("a", 1, FILE), moved, write("b", 9, "/work/done.md"))
    assert "/work/done.md" in finding.title
    assert found(write("a", 1, FILE), moved, write("b", 9, FILE)) == []


def test_one_inode_is_one_file() -> None:
    files = [
        write("a", 1, FILE, device=8, inode=5),
        write("b", 9, "/mnt/plan.md", device=8, inode=5),
    ]
    (finding,) = found(*files)
    assert finding.kind == "overwritten_work"


def test_a_number_of_an_inode_is_used_again() -> None:
    files = [
        write("a", 1, FILE, device=8, inode=5),
        free("a", 2, FILE),
        write("b", 9, "/work/other.md", device=8, inode=5),
    ]
    assert found(*files) == []


def test_one_path_in_two_containers_is_two_files() -> None:
    files = [
        write("a", 1, FILE, device=40, inode=5),
        write("b", 9, FILE, device=41, inode=5),
    ]
    assert found(*files) == []


def test_deleting_what_was_not_read() -> None:
    (finding,) = found(write("a", 1, FILE), free("b", 60, FILE))
    assert finding.kind == "overwritten_work"
    assert "deleted" in finding.title
    assert found(write("a", 1, FILE), read("b", 50, FILE), free("b", 60, FILE)) == []
    assert found(write("a", 1, FILE), free("a", 2, FILE), free("b", 60, FILE)) == []


def test_git_checkout_by_another() -> None:
    paths = [f"/repo/src/{name}.py" for name in ("one", "two", "three", "four")]
    git = process("b", "git checkout -- .")
    files = [write("a", 1 + n, path) for n, path in enumerate(paths)]
    for n, path in enumerate(paths):
        at = 30 + n / 100
        files += [read("b", at, path), free("b", at + 0.001, path), take("b", at + 0.002, path)]
    (finding,) = found(*files, processes=(git,))
    assert (finding.kind, finding.count) == ("overwritten_work", 4)
    assert "4 files" in finding.title
    assert "by `git checkout -- .`" in finding.title
    assert "replaced" in finding.title


def test_few_files_are_said_one_by_one() -> None:
    paths = [f"/work/{n}.md" for n in range(3)]
    files = [write("a", n, path) for n, path in enumerate(paths)]
    files += [write("b", 20 + n, path) for n, path in enumerate(paths)]
    assert len(found(*files)) == 3


def test_locks_and_derived_files_are_nobodys_work() -> None:
    lock = "/work/.lock"
    files = [take("a", 1, lock), fail("b", 2, 3, lock, 4), free("b", 4, lock), take("b", 4, lock)]
    assert found(*files) == []
    for path in ("/repo/.git/index", "/w/__pycache__/a.pyc", "/dev/null", "/w/x.log"):
        assert found(write("a", 1, path), write("b", 9, path)) == []


def test_what_failed_wrote_nothing() -> None:
    assert found(write("a", 1, FILE), write("b", 9, FILE, error="EACCES")) == []


def test_old_work_has_been_used() -> None:
    assert found(write("a", 1, FILE), write("b", 2 * 3600, FILE)) == []


def test_processes_that_are_no_actor_are_nobody() -> None:
    assert found(write("z", 1, FILE), write("b", 9, FILE)) == []
    assert found(write("a", 1, FILE), write("z", 5, FILE), write("b", 9, FILE)) == []
